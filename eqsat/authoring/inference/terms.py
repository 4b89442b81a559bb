"""Terms over typed leaves, with attributes that are numbers or follow from other attributes and ranks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from eqsat.authoring.inference.operators import ROWS

if TYPE_CHECKING:
    import numpy as np

    from eqsat.authoring.inference.rows import Kind, Shape, Value


@dataclass(frozen=True, slots=True)
class Typing:
    """What is open in an equation, decided: the shape of each leaf and the value of each slot."""

    shapes: tuple[Shape, ...]
    slots: tuple[Value, ...]


# --- attributes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal:
    """An attribute that is written out."""

    value: Value

    def at(self, _typing: Typing) -> Value | None:
        """Return its value at a typing; None where it has none."""
        return self.value


@dataclass(frozen=True, slots=True)
class Slot:
    """An attribute of the left side, by its place in it."""

    index: int

    def at(self, typing: Typing) -> Value | None:
        """Return its value at a typing; None where it has none."""
        return typing.slots[self.index]


@dataclass(frozen=True, slots=True)
class FromBack:
    """An axis counted from the end of a leaf's shape: 1 is the last."""

    leaf: int
    offset: int

    def at(self, typing: Typing) -> Value | None:
        """Return its value at a typing; None where it has none."""
        axis = len(typing.shapes[self.leaf]) - self.offset
        return axis if axis >= 0 else None


@dataclass(frozen=True, slots=True)
class Composed:
    """The permutation that two of them, one after the other, amount to."""

    first: int
    second: int

    def at(self, typing: Typing) -> Value | None:
        """Return its value at a typing; None where it has none."""
        first, second = typing.slots[self.first], typing.slots[self.second]
        if isinstance(first, int) or isinstance(second, int) or len(first) != len(second):
            return None
        return tuple(first[axis] for axis in second)


@dataclass(frozen=True, slots=True)
class Permuted:
    """The axis that a permutation takes an axis from."""

    permutation: int
    axis: int

    def at(self, typing: Typing) -> Value | None:
        """Return its value at a typing; None where it has none."""
        permutation, axis = typing.slots[self.permutation], typing.slots[self.axis]
        if isinstance(permutation, int) or not isinstance(axis, int) or axis >= len(permutation):
            return None
        return permutation[axis]


Expression: TypeAlias = "Literal | Slot | FromBack | Composed | Permuted"

# --- terms ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that nothing computes, by its number."""

    index: int


@dataclass(frozen=True, slots=True)
class Apply:
    """An operator applied."""

    operator: str
    attributes: tuple[Expression, ...]
    operands: tuple[Term, ...]


Term: TypeAlias = "Leaf | Apply"


def subterms(term: Term) -> Iterator[Term]:
    """Yield a term and everything inside it, outside first."""
    yield term
    if isinstance(term, Apply):
        for operand in term.operands:
            yield from subterms(operand)


def leaves(term: Term) -> tuple[int, ...]:
    """Return the leaves in order, each at its first occurrence."""
    return tuple(dict.fromkeys(each.index for each in subterms(term) if isinstance(each, Leaf)))


def applications(term: Term) -> list[Apply]:
    """Return the operators applied, outside first."""
    return [each for each in subterms(term) if isinstance(each, Apply)]


def size(term: Term) -> int:
    """Return how many operators are applied."""
    return len(applications(term))


def renamed(term: Term, numbers: Mapping[int, int]) -> Term:
    """Return a term with other leaves."""
    if isinstance(term, Leaf):
        return Leaf(numbers[term.index])
    return Apply(term.operator, term.attributes, tuple(renamed(operand, numbers) for operand in term.operands))


def attribute_kinds(term: Term) -> tuple[Kind, ...]:
    """Return what each attribute says, in order."""
    return tuple(kind for each in applications(term) for kind in ROWS[each.operator].kinds)


def attributes(term: Term) -> tuple[Expression, ...]:
    """Return every attribute, in order."""
    return tuple(attribute for each in applications(term) for attribute in each.attributes)


def with_attributes(term: Term, values: Sequence[Expression]) -> Term:
    """Return a term with other attributes, given in order."""
    left = iter(values)

    def rebuilt(each: Term) -> Term:
        if isinstance(each, Leaf):
            return each
        own = tuple(next(left) for _ in each.attributes)
        return Apply(each.operator, own, tuple(rebuilt(operand) for operand in each.operands))

    return rebuilt(term)


def _values(term: Apply, typing: Typing) -> tuple[Value, ...] | None:
    found = [attribute.at(typing) for attribute in term.attributes]
    values = tuple(value for value in found if value is not None)
    return values if len(values) == len(found) else None


def shape_of(term: Term, typing: Typing) -> Shape | None:
    """Return the shape that comes out; None where the term cannot exist."""
    if isinstance(term, Leaf):
        return typing.shapes[term.index]
    values = _values(term, typing)
    if values is None:
        return None
    shapes = []
    for operand in term.operands:
        shape = shape_of(operand, typing)
        if shape is None:
            return None
        shapes.append(shape)
    return ROWS[term.operator].shape(values, shapes)


def evaluate(term: Term, arrays: Sequence[np.ndarray], typing: Typing) -> np.ndarray:
    """Return the value at every point.

    Args:
        term: A term that can exist.
        arrays: Values of the leaves, the axis of points first.
        typing: Shapes and attributes.
    """
    if isinstance(term, Leaf):
        return arrays[term.index]
    values = _values(term, typing) or ()
    return ROWS[term.operator].evaluate(values, [evaluate(operand, arrays, typing) for operand in term.operands])
