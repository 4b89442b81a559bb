"""``python -m eqsat.run INPUT [OUTPUT]`` is ``eqsat run``."""

from __future__ import annotations

from eqsat.cli.start import command

if __name__ == "__main__":
    command("eqsat.cli.run", "python -m eqsat.run")
