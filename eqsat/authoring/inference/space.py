"""Every small term over some typed leaves, grouped by what it computes.

Terms are enumerated bottom-up, as in Ruler (Nandi et al. 2021, "Rewrite rule inference using equality saturation",
OOPSLA, section 4): terms with the same value at every random point stand in one class, and only classes, each by its
smallest term, are operands of larger terms. Of a value that no larger term is made of only a digest stays, and a table
that is full takes no more: memory is bounded whatever the operators.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, final

import numpy as np

from eqsat.authoring.inference.operators import ROWS
from eqsat.authoring.inference.terms import Apply, Leaf, Literal, Term, leaves

if TYPE_CHECKING:
    from eqsat.authoring.inference.rows import Row, Shape, Value

NUM_POINTS: Final = 16
"""Random points at which terms are compared; the sign of a single number then agrees by chance in one of 65 000."""

LARGEST: Final = 500
"""Largest magnitude of a leaf's elements: products of six fit into 64 bits."""

MAX_NODES: Final = 150_000
"""Terms of one universe; those that come after them are left out."""

MAX_BYTES: Final = 256 * 1024**2
"""Bytes of their values that are kept."""

ADDED: Final = 99
"""Size of a node that was not enumerated."""

_MAX_RANK: Final = 4
_MAX_ELEMENTS: Final = 64
_MAX_OPERANDS: Final = 2
"""Operands of what larger terms are made of; others are there for what is equal to them."""

_DIGEST_BYTES: Final = 16
_NUM_PER_LOOK: Final = 1024
"""Terms between two looks at the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Universe:
    """Typed leaves.

    Attributes:
        name: What it is called where a search is reported.
        shapes: Shape of each.
        numbers: For each, the number that it is filled with, None for any tensor.
        max_operators: Operators in a term.
    """

    name: str
    shapes: tuple[Shape, ...]
    numbers: tuple[int | None, ...]
    max_operators: int


@dataclass(frozen=True, slots=True)
class Node:
    """An operator on classes, or a leaf: then the operator is empty and the attribute is its number."""

    operator: str
    attributes: tuple[Value, ...]
    operands: tuple[int, ...]
    size: int


@dataclass(slots=True)
class EClass:
    """Terms with one value.

    Attributes:
        shape: Its shape.
        size: Operators in the smallest of them.
        is_open: True where its value depends on a leaf that may be any tensor.
        value: The value at every point; None where no larger term is made of it.
        members: Numbers of the nodes, smallest first.
        by_operator: The same for each operator.
    """

    shape: Shape
    size: int
    is_open: bool
    value: np.ndarray | None
    members: list[int] = field(default_factory=list)
    by_operator: dict[str, list[int]] = field(default_factory=dict)


@final
class Space:
    """The terms of one universe, grown size by size.

    Attributes:
        universe: The leaves.
        commutative: Operators whose two operands may change places.
        nodes: The terms.
        eclass_of: Place of each node's class.
        eclasses: The classes.
        num_cut: Terms that were left out of a full table, or for lack of time.
    """

    def __init__(
        self, universe: Universe, rows: Sequence[Row], commutative: AbstractSet[str], rng: np.random.Generator
    ) -> None:
        """Start with the leaves.

        Args:
            universe: The leaves.
            rows: Operators.
            commutative: Those whose two operands may change places.
            rng: Source of the points.
        """
        self.universe = universe
        self.commutative = commutative
        self.nodes: list[Node] = []
        self.eclass_of: list[int] = []
        self.eclasses: list[EClass] = []
        self.num_cut = 0
        self._rows = rows
        self._num_bytes = 0
        self._known: dict[tuple[str, tuple[Value, ...], tuple[int, ...]], int] = {}
        self._by_value: dict[tuple[Shape, bytes], int] = {}
        self._of_size: defaultdict[int, list[int]] = defaultdict(list)
        self._fits: dict[tuple[str, tuple[Shape, ...]], list[tuple[tuple[Value, ...], Shape]]] = {}
        self._terms: dict[int, Term] = {}
        for index, (shape, number) in enumerate(zip(universe.shapes, universe.numbers, strict=True)):
            value = points(shape, number, rng)
            self._put(Node("", (index,), (), 0), shape, value, is_open=number is None)

    def grow(self, size: int, is_over: Callable[[], bool]) -> None:
        """Add every term of a size, those of smaller ones being there.

        Where the table has no room for all, each operator gets the same share of it.

        Args:
            size: Operators in a term.
            is_over: Asked now and then: True ends it.
        """
        for index, row in enumerate(self._rows):
            room = len(self.nodes) + (MAX_NODES - len(self.nodes)) // (len(self._rows) - index)
            candidates = itertools.chain.from_iterable(self._operands(row, arity, size) for arity in row.arities)
            for count, operands in enumerate(candidates):
                if self._has_room(room) and not (count % _NUM_PER_LOOK == 0 and is_over()):
                    self._apply(row, operands, size)
                else:
                    self.num_cut += 1 + sum(1 for _ in candidates)

    def find_or_add(self, operator: str, attributes: tuple[Value, ...], operands: tuple[int, ...]) -> int | None:
        """Return the node of that kind; None where no enumerated term has its value.

        A node that was not enumerated for being made of a larger or an unusual operator joins the class of its value.
        """
        found = self._known.get((operator, attributes, self._in_order(operator, operands)))
        if found is not None:
            return found
        row, eclasses = ROWS[operator], [self.eclasses[each] for each in operands]
        shape = row.shape(attributes, [each.shape for each in eclasses])
        if shape is None or math.prod(shape) > _MAX_ELEMENTS or len(self.nodes) >= 2 * MAX_NODES:
            return None
        value = row.evaluate(attributes, [self.value(each) for each in operands])
        if (shape, _digest(value)) not in self._by_value:
            return None
        self._put(Node(operator, attributes, operands, ADDED), shape, value, is_open=True)
        return len(self.nodes) - 1

    def value(self, place: int) -> np.ndarray:
        """Return the value of a class at every point."""
        eclass = self.eclasses[place]
        if eclass.value is not None:
            return eclass.value
        node = self.nodes[eclass.members[0]]
        return ROWS[node.operator].evaluate(node.attributes, [self.value(each) for each in node.operands])

    def of_size(self, size: int) -> list[int]:
        """Return the nodes of a size."""
        return [number for number, node in enumerate(self.nodes) if node.size == size]

    def term(self, number: int) -> Term:
        """Return a node as a term, each operand as the smallest term of its class."""
        if number not in self._terms:
            node = self.nodes[number]
            if not node.operator:
                (index,) = node.attributes
                self._terms[number] = Leaf(index if isinstance(index, int) else 0)
            else:
                operands = tuple(self.term(self.eclasses[each].members[0]) for each in node.operands)
                self._terms[number] = Apply(node.operator, tuple(Literal(each) for each in node.attributes), operands)
        return self._terms[number]

    def is_first(self, place: int) -> bool:
        """Return whether a class is the first among those that differ from it in the names of leaves alone.

        That is the one whose smallest term has leaves of one kind in the order of their numbers.
        """
        used: dict[object, list[int]] = {}
        kinds = list(zip(self.universe.shapes, self.universe.numbers, strict=True))
        for leaf in leaves(self.term(self.eclasses[place].members[0])):
            used.setdefault(kinds[leaf], []).append(leaf)
        return all(found == _numbers_of(kind, kinds)[: len(found)] for kind, found in used.items())

    def _has_room(self, room: int) -> bool:
        return len(self.nodes) < room and self._num_bytes < MAX_BYTES

    def _operands(self, row: Row, arity: int, size: int) -> Iterator[tuple[int, ...]]:
        if arity == 1 and len(row.arities) == 1:
            yield from ((each,) for each in self._of_size[size - 1])
        if arity != 2:
            # Lists of one are what they hold, those of three are there for the lists in lists that they are equal to.
            if len(row.arities) > 1 and size == 1:
                yield from itertools.product(self._of_size[0], repeat=arity)
            return
        is_commutative = row.name in self.commutative
        for first in range(size):
            for one in self._of_size[first]:
                for two in self._of_size[size - 1 - first]:
                    if one <= two or not is_commutative:
                        yield (one, two)

    def _apply(self, row: Row, operands: tuple[int, ...], size: int) -> None:
        eclasses = [self.eclasses[each] for each in operands]
        if not any(each.is_open for each in eclasses):
            return
        for attributes, shape in self._fitting(row, tuple(each.shape for each in eclasses)):
            value = row.evaluate(attributes, [self.value(each) for each in operands])
            self._put(Node(row.name, attributes, operands, size), shape, value, is_open=True)

    def _fitting(self, row: Row, shapes: tuple[Shape, ...]) -> list[tuple[tuple[Value, ...], Shape]]:
        """Return the attributes that operands of these shapes can have, each with what comes out."""
        key = (row.name, shapes)
        if key not in self._fits:
            found = ((attributes, row.shape(attributes, shapes)) for attributes in row.menu(shapes))
            self._fits[key] = [
                (attributes, shape)
                for attributes, shape in found
                if shape is not None and len(shape) <= _MAX_RANK and math.prod(shape) <= _MAX_ELEMENTS
            ]
        return self._fits[key]

    def _put(self, node: Node, shape: Shape, value: np.ndarray, *, is_open: bool) -> None:
        key = (node.operator, node.attributes, self._in_order(node.operator, node.operands))
        if key in self._known:
            return
        number = self._known[key] = len(self.nodes)
        self.nodes.append(node)
        data = (shape, _digest(value))
        place = self._by_value.get(data)
        if place is None:
            place = self._by_value[data] = len(self.eclasses)
            is_kept = node.size < max(self.universe.max_operators, 1)
            self._num_bytes += value.nbytes if is_kept else 0
            self.eclasses.append(EClass(shape=shape, size=node.size, is_open=is_open, value=value if is_kept else None))
            if len(node.operands) <= _MAX_OPERANDS:
                self._of_size[node.size].append(place)
        eclass = self.eclasses[place]
        eclass.members.append(number)
        eclass.by_operator.setdefault(node.operator, []).append(number)
        self.eclass_of.append(place)

    def _in_order(self, operator: str, operands: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(operands)) if operator in self.commutative else operands


def points(shape: Shape, number: int | None, rng: np.random.Generator) -> np.ndarray:
    """Return values of a leaf at every point: any integers, or one number throughout."""
    if number is not None:
        return np.full((NUM_POINTS, *shape), number, np.int64)
    return rng.integers(-LARGEST, LARGEST, (NUM_POINTS, *shape), endpoint=True)


def _digest(value: np.ndarray) -> bytes:
    return blake2b(value.tobytes(), digest_size=_DIGEST_BYTES).digest()


def _numbers_of(kind: object, kinds: Sequence[object]) -> list[int]:
    return [leaf for leaf, other in enumerate(kinds) if other == kind]
