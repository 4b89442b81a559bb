"""Names of what a law speaks of, as they stand in the rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ROOT: Final = "y"
"""The e-class of the left side, where a rule must name it."""

_OPERANDS: Final = ("g", "h")


@dataclass(frozen=True, slots=True)
class Names:
    """Names of leaves and slots.

    Attributes:
        leaves: Name of each leaf.
        slots: Name of each slot, or what is written there.
        operands: Names of the operands of the outermost operator.
        root: Name of the whole.
    """

    leaves: tuple[str, ...]
    slots: tuple[str, ...]
    operands: tuple[str, ...] = _OPERANDS
    root: str = ROOT

    def leaf(self, index: int) -> str:
        """Return the name of a leaf."""
        return self.leaves[index]

    def rank(self, index: int) -> str:
        """Return the name of a leaf's rank."""
        return f"r{self.leaves[index]}"

    def slot(self, index: int) -> str:
        """Return the name of a slot, or what is written there."""
        return self.slots[index]
