"""E-nodes as Python values: what the e-graph holds, without egglog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from ir.operators import OPERATORS
from ir.types import TensorType

if TYPE_CHECKING:
    from ir.graph import AttributeValue

ClassType: TypeAlias = "TensorType | tuple[TensorType | None, ...] | None"
"""Type of an e-class: of a tensor, of each output of an operator with several, or not known."""

INPUT: Final = "Input"
CONST: Final = "Const"
ABSENT: Final = "Absent"
OUT: Final = "Out"
OPAQUE: Final = "Opaque"
NIL: Final = "Nil"
CONS: Final = "Cons"

LEAVES: Final = frozenset({INPUT, CONST, ABSENT})
STRUCTURE: Final = frozenset({INPUT, CONST, ABSENT, OUT, NIL, CONS})
"""Constructors that stand for no work at run time."""


@dataclass(frozen=True, slots=True)
class ENode:
    """One e-node.

    Attributes:
        operator: Row of the operator table, or one of the constructors of this module.
        children: Handles of its child e-classes; a variadic operator has one child, a list.
        attributes: Values of the row's attributes in order; the name of an ``Input``, the number of a ``Const`` or
            an ``Opaque``, the index of an ``Out``.
    """

    operator: str
    children: tuple[int, ...] = ()
    attributes: tuple[AttributeValue, ...] = ()

    @property
    def is_operator(self) -> bool:
        """True for a row of the operator table."""
        return self.operator in OPERATORS

    def named_attributes(self) -> Mapping[str, AttributeValue]:
        """Return the attributes by name; only for rows of the operator table."""
        columns = OPERATORS[self.operator].attributes
        return {column.name: value for column, value in zip(columns, self.attributes, strict=True)}
