"""Conditions on attributes under which two terms are equal, each with the facts that say so in a rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from typing_extensions import override

from eqsat.authoring.inference.conditions import Condition, InPattern

if TYPE_CHECKING:
    from eqsat.authoring.inference.conditions import Sight
    from eqsat.authoring.inference.names import Names


@final
@dataclass(frozen=True, slots=True)
class IsLast(Condition):
    """An axis is, or counted from the end is, the last but so many of a leaf: 1 stands for the last."""

    slot: int
    leaf: int
    offset: int

    @override
    def holds(self, sight: Sight) -> bool:
        axis = sight.typing.slots[self.slot]
        return isinstance(axis, int) and len(sight.typing.shapes[self.leaf]) == axis + self.offset

    @override
    def facts(self, names: Names) -> tuple[str, ...]:
        return (f"(= (rank {names.leaf(self.leaf)}) (+ {names.slot(self.slot)} {self.offset}))",)

    @override
    def words(self, names: Names) -> str:
        place = "last axis" if self.offset == 1 else "last axis but one"
        return f"{names.slot(self.slot)} the {place} of {names.leaf(self.leaf)}"


@final
@dataclass(frozen=True, slots=True)
class IsInner(Condition):
    """An axis stands before the last of a leaf."""

    slot: int
    leaf: int

    @override
    def holds(self, sight: Sight) -> bool:
        axis = sight.typing.slots[self.slot]
        return isinstance(axis, int) and axis + 1 < len(sight.typing.shapes[self.leaf])

    @override
    def facts(self, names: Names) -> tuple[str, ...]:
        rank = names.rank(self.leaf)
        return (f"(= {rank} (rank {names.leaf(self.leaf)}))", f"(< (+ {names.slot(self.slot)} 1) {rank})")

    @override
    def words(self, names: Names) -> str:
        return f"{names.slot(self.slot)} not the last axis of {names.leaf(self.leaf)}"


@final
@dataclass(frozen=True, slots=True)
class Differ(Condition):
    """Two attributes differ."""

    one: int
    two: int

    @override
    def holds(self, sight: Sight) -> bool:
        return sight.typing.slots[self.one] != sight.typing.slots[self.two]

    @override
    def facts(self, names: Names) -> tuple[str, ...]:
        return (f"(!= {names.slot(self.one)} {names.slot(self.two)})",)

    @override
    def words(self, names: Names) -> str:
        return f"{names.slot(self.one)} and {names.slot(self.two)} differ"


@final
@dataclass(frozen=True, slots=True)
class Equal(InPattern):
    """Two attributes are equal: the pattern has one name for both."""

    one: int
    two: int

    @override
    def holds(self, sight: Sight) -> bool:
        return sight.typing.slots[self.one] == sight.typing.slots[self.two]


@final
@dataclass(frozen=True, slots=True)
class Fixed(InPattern):
    """An attribute is this one: the pattern has it written out."""

    slot: int
    value: int | tuple[int, ...]

    @override
    def holds(self, sight: Sight) -> bool:
        return sight.typing.slots[self.slot] == self.value


@final
@dataclass(frozen=True, slots=True)
class IsIdentity(InPattern):
    """A permutation leaves every axis where it is: written out, once for each rank."""

    slot: int

    @override
    def holds(self, sight: Sight) -> bool:
        value = sight.typing.slots[self.slot]
        return isinstance(value, tuple) and value == tuple(range(len(value)))


@final
@dataclass(frozen=True, slots=True)
class SwapsLast(InPattern):
    """A permutation exchanges the last two axes and leaves the others: written out, once for each rank."""

    slot: int

    @override
    def holds(self, sight: Sight) -> bool:
        value = sight.typing.slots[self.slot]
        return isinstance(value, tuple) and len(value) > 1 and value == swapping_last(len(value))


def swapping_last(rank: int) -> tuple[int, ...]:
    """Return the permutation that exchanges the last two of some axes."""
    return (*range(rank - 2), rank - 1, rank - 2)


WRITTEN_OUT: Final = (Fixed, IsIdentity, SwapsLast)
"""Conditions that decide a slot: a rule for each value that it may have."""
