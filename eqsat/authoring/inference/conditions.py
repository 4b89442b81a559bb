"""Conditions on shapes under which two terms are equal, each with the facts that say so in a rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, final

from typing_extensions import override

if TYPE_CHECKING:
    from eqsat.authoring.inference.names import Names
    from eqsat.authoring.inference.rows import Shape
    from eqsat.authoring.inference.terms import Typing


@dataclass(frozen=True, slots=True)
class Sight:
    """What conditions look at: one instance of a left side.

    Attributes:
        typing: Shapes of its leaves and its attributes.
        root: Its shape.
        operands: Shapes of the operands of its outermost operator.
    """

    typing: Typing
    root: Shape
    operands: tuple[Shape, ...]


class Condition(Protocol):
    """What must hold of an instance of the left side."""

    def holds(self, sight: Sight) -> bool:
        """Return whether it holds."""

    def facts(self, names: Names) -> tuple[str, ...]:
        """Return the facts to ask for; none where the pattern itself says it."""

    def words(self, names: Names) -> str:
        """Return the condition in words."""


class InPattern(Condition, Protocol):
    """A condition that the pattern itself says: there is nothing to ask for, and nothing to tell."""

    @override
    def facts(self, names: Names) -> tuple[str, ...]:
        del names
        return ()

    @override
    def words(self, names: Names) -> str:
        del names
        return ""


@final
@dataclass(frozen=True, slots=True)
class RankIs(Condition):
    """A leaf has this rank."""

    leaf: int
    rank: int

    @override
    def holds(self, sight: Sight) -> bool:
        return len(sight.typing.shapes[self.leaf]) == self.rank

    @override
    def facts(self, names: Names) -> tuple[str, ...]:
        return (f"(= (rank {names.leaf(self.leaf)}) {self.rank})",)

    @override
    def words(self, names: Names) -> str:
        return f"{names.leaf(self.leaf)} of rank {self.rank}"


@final
@dataclass(frozen=True, slots=True)
class RankAtLeast(Condition):
    """A leaf has this rank or a higher one."""

    leaf: int
    rank: int

    @override
    def holds(self, sight: Sight) -> bool:
        return len(sight.typing.shapes[self.leaf]) >= self.rank

    @override
    def facts(self, names: Names) -> tuple[str, ...]:
        name = names.leaf(self.leaf)
        return (f"(= {names.rank(self.leaf)} (rank {name}))", f"(>= {names.rank(self.leaf)} {self.rank})")

    @override
    def words(self, names: Names) -> str:
        return f"{names.leaf(self.leaf)} of rank {self.rank} or more"


@final
@dataclass(frozen=True, slots=True)
class SameRank(Condition):
    """Two leaves have one rank."""

    one: int
    two: int

    @override
    def holds(self, sight: Sight) -> bool:
        return len(sight.typing.shapes[self.one]) == len(sight.typing.shapes[self.two])

    @override
    def facts(self, names: Names) -> tuple[str, ...]:
        return (f"(= (rank {names.leaf(self.one)}) (rank {names.leaf(self.two)}))",)

    @override
    def words(self, names: Names) -> str:
        return f"{names.leaf(self.one)} and {names.leaf(self.two)} of one rank"


@final
@dataclass(frozen=True, slots=True)
class SameShape(Condition):
    """Two leaves have one shape."""

    one: int
    two: int

    @override
    def holds(self, sight: Sight) -> bool:
        return sight.typing.shapes[self.one] == sight.typing.shapes[self.two]

    @override
    def facts(self, names: Names) -> tuple[str, ...]:
        return (f"(= (shape {names.leaf(self.one)}) (shape {names.leaf(self.two)}))",)

    @override
    def words(self, names: Names) -> str:
        return f"{names.leaf(self.one)} and {names.leaf(self.two)} of one shape"


@final
@dataclass(frozen=True, slots=True)
class SameLast(Condition):
    """The last axes of two leaves have one size."""

    one: int
    two: int

    @override
    def holds(self, sight: Sight) -> bool:
        one, two = sight.typing.shapes[self.one], sight.typing.shapes[self.two]
        return bool(one and two and one[-1] == two[-1])

    @override
    def facts(self, names: Names) -> tuple[str, ...]:
        return (f"(= (last {names.leaf(self.one)}) (last {names.leaf(self.two)}))",)

    @override
    def words(self, names: Names) -> str:
        return f"the last axes of {names.leaf(self.one)} and {names.leaf(self.two)} of one size"


@final
@dataclass(frozen=True, slots=True)
class SameExtent(Condition):
    """Two leaves have one size along an axis that a slot names."""

    one: int
    two: int
    axis: int

    @override
    def holds(self, sight: Sight) -> bool:
        axis = sight.typing.slots[self.axis]
        sizes = [sight.typing.shapes[leaf] for leaf in (self.one, self.two)]
        return isinstance(axis, int) and all(axis < len(each) for each in sizes) and sizes[0][axis] == sizes[1][axis]

    @override
    def facts(self, names: Names) -> tuple[str, ...]:
        axis = names.slot(self.axis)
        return (f"(= (extent {names.leaf(self.one)} {axis}) (extent {names.leaf(self.two)} {axis}))",)

    @override
    def words(self, names: Names) -> str:
        axis = names.slot(self.axis)
        return f"{names.leaf(self.one)} and {names.leaf(self.two)} of one size along axis {axis}"


@final
@dataclass(frozen=True, slots=True)
class KeepsShape(Condition):
    """The left side has the shape of a leaf."""

    leaf: int

    @override
    def holds(self, sight: Sight) -> bool:
        return sight.typing.shapes[self.leaf] == sight.root

    @override
    def facts(self, names: Names) -> tuple[str, ...]:
        return (f"(= (shape {names.root}) (shape {names.leaf(self.leaf)}))",)

    @override
    def words(self, names: Names) -> str:
        return f"the shape of {names.leaf(self.leaf)} stays"


@final
@dataclass(frozen=True, slots=True)
class SameOperands(Condition):
    """The operands of the outermost operator have one shape."""

    @override
    def holds(self, sight: Sight) -> bool:
        return len(set(sight.operands)) == 1

    @override
    def facts(self, names: Names) -> tuple[str, ...]:
        first, *others = names.operands
        return tuple(f"(= (shape {first}) (shape {other}))" for other in others)

    @override
    def words(self, names: Names) -> str:
        return f"{' and '.join(names.operands)} of one shape"


@final
@dataclass(frozen=True, slots=True)
class IsFloating(Condition):
    """The elements are floating-point numbers: what holds for those, but not where integers wrap around."""

    leaf: int

    @override
    def holds(self, sight: Sight) -> bool:
        return True

    @override
    def facts(self, names: Names) -> tuple[str, ...]:
        return (f"(floating-type (dtype {names.leaf(self.leaf)}))",)

    @override
    def words(self, names: Names) -> str:
        return "floating-point numbers"
