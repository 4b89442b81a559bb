"""Equations with the conditions under which they hold: what a rule says, before it is written as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eqsat.authoring.inference.terms import (
    Apply,
    Slot,
    Term,
    Typing,
    attribute_kinds,
    attributes,
    leaves,
    renamed,
    size,
    with_attributes,
)

if TYPE_CHECKING:
    from eqsat.authoring.inference.conditions import Condition
    from eqsat.authoring.inference.rows import Kind, Shape, Value


@dataclass(frozen=True, slots=True)
class Equation:
    """Two terms that compute the same at one typing; attributes are written out.

    Attributes:
        left: The larger one; its leaves are numbered in order.
        right: The other.
        shapes: Shape of each leaf.
        numbers: For each leaf, the number that it is filled with; None for any tensor.
    """

    left: Apply
    right: Term
    shapes: tuple[Shape, ...]
    numbers: tuple[int | None, ...]

    @property
    def typing(self) -> Typing:
        """Where the terms were found equal, the attributes of the left side as slots."""
        return Typing(self.shapes, tuple(_written(value) for value in attributes(self.left)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """An equation with everything open that can be.

    Attributes:
        left: Its attributes are slots.
        right: Its attributes follow from slots and ranks.
        numbers: As in :class:`Equation`.
        conditions: Where it holds.
        seed: The typing at which it was found.
        share: Share of the well-typed instances of the left side at which the conditions hold.
        is_exact: True where both sides are the same bits in floating-point numbers.
        examples: Typings at which it holds.
        near_misses: For each condition a typing at which it alone is violated, and the sides differ.
    """

    left: Apply
    right: Term
    numbers: tuple[int | None, ...]
    conditions: tuple[Condition, ...]
    seed: Typing
    share: float
    is_exact: bool
    examples: tuple[Typing, ...]
    near_misses: tuple[Typing, ...]

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What each slot says."""
        return attribute_kinds(self.left)

    @property
    def order(self) -> tuple[object, ...]:
        """Laws are listed by size, the more general ones first."""
        generality = (-len(self.numbers), -self.share)
        return (size(self.left), size(self.right), *generality, repr(self.left), repr(self.right))


def equation(left: Apply, right: Term, shapes: Sequence[Shape], numbers: Sequence[int | None]) -> Equation:
    """Return an equation, its leaves renumbered in the order in which they occur on the left.

    Args:
        left: A term.
        right: One whose leaves all occur in ``left``.
        shapes: Shapes of the leaves, by their present numbers.
        numbers: What they are filled with.
    """
    order = leaves(left)
    places = {leaf: place for place, leaf in enumerate(order)}
    new_left = renamed(left, places)
    if not isinstance(new_left, Apply):
        raise TypeError("the left side applies no operator")
    return Equation(
        new_left, renamed(right, places), tuple(shapes[leaf] for leaf in order), tuple(numbers[leaf] for leaf in order)
    )


def opened(left: Apply) -> Apply:
    """Return a left side with slots in place of its attributes."""
    found = with_attributes(left, [Slot(index) for index in range(len(attributes(left)))])
    if not isinstance(found, Apply):
        raise TypeError("the left side applies no operator")
    return found


def _written(attribute: object) -> Value:
    value: object = getattr(attribute, "value", None)
    if isinstance(value, int | tuple):
        return value
    raise TypeError(f"not written out: {attribute}")
