"""``python -m eqsat.rules``: the workflow of the person who writes rules."""

from __future__ import annotations

import sys

from eqsat.face import call
from eqsat.rules_cli import app

if __name__ == "__main__":
    sys.exit(call(app, name="python -m eqsat.rules"))
