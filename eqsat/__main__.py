"""``python -m eqsat`` is the ``eqsat`` command."""

from eqsat.console import main

if __name__ == "__main__":
    main()
