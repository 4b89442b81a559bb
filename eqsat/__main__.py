"""``python -m eqsat`` is the ``eqsat`` command."""

from __future__ import annotations

from eqsat.start import begin


def main() -> None:
    """Run the ``eqsat`` command and end this process with its exit code."""
    begin()
    from eqsat.console import app
    from eqsat.face import call, end

    end(call(app))


if __name__ == "__main__":
    main()
