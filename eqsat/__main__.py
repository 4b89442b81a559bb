"""``python -m eqsat`` is the ``eqsat`` command."""

from __future__ import annotations

from eqsat.cli.start import command


def main() -> None:
    """Run the ``eqsat`` command and end this process with its exit code."""
    command("eqsat.cli.console", "eqsat")


if __name__ == "__main__":
    main()
