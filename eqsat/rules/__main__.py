"""``python -m eqsat.rules`` is ``eqsat rules``: a command, which stands above this package and is looked up by name."""

from __future__ import annotations

import importlib

if __name__ == "__main__":
    importlib.import_module("eqsat.cli.start").command("eqsat.cli.rules", "python -m eqsat.rules")
