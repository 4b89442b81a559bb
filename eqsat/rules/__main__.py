"""``python -m eqsat.rules``: the workflow of the person who writes rules."""

from __future__ import annotations

from eqsat.start import begin

if __name__ == "__main__":
    begin()
    from eqsat.face import call, end
    from eqsat.rules_cli import app

    end(call(app, name="python -m eqsat.rules"))
