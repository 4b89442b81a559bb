"""What stands in the way of a verification."""

from __future__ import annotations

from eqsat.errors import EqsatError


class UnsupportedInputError(EqsatError):
    """The model has an input for which no random value can be made, so that nothing can be verified."""
