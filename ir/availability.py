"""Which operators a written model may contain."""

from __future__ import annotations

from ir.normalise import schema_of
from ir.operators import OPERATORS


def available_operators(opset: int, *, has_provider_operators: bool) -> frozenset[str]:
    """Return the rows of the operator table that exist at an opset.

    Args:
        opset: Version of the default domain.
        has_provider_operators: Whether operators that only ONNX Runtime knows may be used.
    """
    return frozenset(
        row.name
        for row in OPERATORS.values()
        if (row.is_provider and has_provider_operators)
        or (not row.is_provider and row.since <= opset and schema_of(row, opset) is not None)
    )
