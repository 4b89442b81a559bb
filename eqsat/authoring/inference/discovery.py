"""The laws of some operators: every equation between small terms that does not follow from the laws found before it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, final

import numpy as np

from eqsat.authoring.inference.joining import Joined
from eqsat.authoring.inference.law import Equation, Law, equation
from eqsat.authoring.inference.learning import Learner
from eqsat.authoring.inference.space import Space, Universe, points
from eqsat.authoring.inference.terms import Apply, Leaf, Typing, leaves, size
from eqsat.authoring.inference.worth import is_case_of, is_worth_it

if TYPE_CHECKING:
    from eqsat.authoring.inference.rows import Row

MATRICES: Final = Universe(name="matrices", shapes=((2, 2),) * 4, numbers=(None,) * 4, max_operators=4)
BATCHES: Final = Universe(name="stacks", shapes=((2, 2, 2), (2, 2, 2), (2, 2)), numbers=(None,) * 3, max_operators=3)
MIXED: Final = Universe(name="mixed ranks", shapes=((2, 2), (2, 2), (2,), ()), numbers=(None,) * 4, max_operators=3)
NUMBERS: Final = Universe(name="numbers", shapes=((2, 2), (), ()), numbers=(None, 0, 1), max_operators=1)
UNIVERSES: Final = (MATRICES, MIXED, NUMBERS, BATCHES)
"""Matrices alone; matrices beside a vector and a scalar; a matrix beside 0 and 1; stacks of matrices beside a matrix.

All axes have one size, so that whatever may fit does; where a law holds is learned afterwards.
"""

_NUM_COMPARED: Final = 10
"""Equations learned before the most general of them is taken."""

_USUAL: Final = 0.3
"""Share of the instances of its left side at which a law holds that is no special case."""

_MAX_PARTNERS: Final = 4
"""Of terms that are joined, how many a term is paired with: one may say more than the other."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two terms of a class, by their numbers, and what they say, its leaves in order."""

    left: int
    right: int
    equation: Equation


@final
class Discovery:
    """Finds the laws of some operators.

    Attributes:
        laws: What was found so far.
        cuts: What was left out, in words.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        *,
        max_operators: int,
        seed: int,
        declared: AbstractSet[str],
        is_over: Callable[[], bool],
        on_progress: Callable[[str], None],
    ) -> None:
        """Prepare.

        Args:
            rows: The operators.
            max_operators: Operators of a term.
            seed: Seed of everything random.
            declared: Relations that rules can ask for.
            is_over: Asked between two laws: True ends the search with what there is.
            on_progress: Is told, now and then, how far it has come.
        """
        self.laws: list[Law] = []
        self.cuts: list[str] = []
        self._rows = rows
        self._max_operators = max_operators
        self._is_over = is_over
        self._on_progress = on_progress
        self._rng = np.random.default_rng(seed)
        self._learner = Learner(random.Random(seed), declared=declared)  # no secret
        self._learned: dict[Equation, Law | None] = {}

    def run(self) -> list[Law]:
        """Return the laws, those of smaller terms first."""
        swaps = [law for row in self._rows if (law := self._swap(row)) is not None]
        commutative = frozenset(law.left.operator for law in swaps)
        self.laws = swaps
        largest = [replace(each, max_operators=min(each.max_operators, self._max_operators)) for each in UNIVERSES]
        joined = [Joined(Space(each, self._rows, commutative, self._rng)) for each in largest]
        for count in range(1, self._max_operators + 1):
            for each in joined:
                self._look(each, count)
        return [law for law in self.laws if not any(is_case_of(law, other) for other in self.laws)]

    def _look(self, joined: Joined, count: int) -> None:
        """Look for laws among the terms of one size in one universe, and note what was left out."""
        space = joined.space
        where = f"{space.universe.name}, {count} {'operator' if count == 1 else 'operators'}"
        if count > space.universe.max_operators or self._is_over():
            reason = "not enumerated" if count > space.universe.max_operators else "no time left"
            self.cuts.append(f"{where}: {reason}")
            return
        num_cut = space.num_cut
        space.grow(count, self._is_over)
        if space.num_cut > num_cut:
            self.cuts.append(f"{where}: {space.num_cut - num_cut} candidates for a term left out")
        num_open = self._settle(joined, count)
        if num_open:
            self.cuts.append(f"{where}: {num_open} equations not looked at for lack of time")
        self._on_progress(f"{where}: {len(space.nodes)} terms so far, {len(self.laws)} laws")

    def _swap(self, row: Row) -> Law | None:
        """Return the law that two operands may change places; None where they may not."""
        if row.arities != (2,) or row.kinds:
            return None
        one, two = (points((2, 2), None, self._rng) for _ in range(2))
        if not np.array_equal(row.evaluate((), (one, two)), row.evaluate((), (two, one))):
            return None
        typing = Typing(((2, 2), (2, 2)), ())
        return Law(
            left=Apply(row.name, (), (Leaf(0), Leaf(1))),
            right=Apply(row.name, (), (Leaf(1), Leaf(0))),
            numbers=(None, None),
            conditions=(),
            seed=typing,
            share=1.0,
            is_exact=True,
            examples=(typing, Typing(((2, 3), (3,)), ())),
            near_misses=(),
        )

    def _settle(self, joined: Joined, count: int) -> int:
        """Find laws until every term of a size follows from them; return how many equations were left for lack of time.

        Of terms that nothing larger is made of, those that differ in the names of leaves alone are looked at once.
        """
        space = joined.space
        places = sorted({space.eclass_of[number] for number in space.of_size(count)})
        crowded = [place for place in places if len(space.eclasses[place].members) > 1]
        if count == space.universe.max_operators:
            crowded = [place for place in crowded if space.is_first(place)]
        for place in crowded:
            if self._is_over():
                break
            for number in list(space.eclasses[place].members):
                for law in self.laws:
                    joined.apply(law, number)
        pairs = self._pairs(joined, crowded, count)
        while pairs and not self._is_over():
            pairs = [pair for pair in pairs if joined.root(pair.left) != joined.root(pair.right)]
            found = [pair for pair in pairs[:_NUM_COMPARED] if self._law(pair.equation) is not None]
            pairs = [pair for pair in pairs if self._learned.get(pair.equation, pair) is not None]
            best = max(found, key=self._merit, default=None)
            if best is None:
                continue
            pairs.remove(best)
            found_laws = list(self._both_ways(joined, best))
            if not found_laws:
                joined.join(best.left, best.right)
            open_nodes = {number for pair in pairs for number in self._members(joined, pair)}
            for law in found_laws:
                self.laws.append(law)
                for number in open_nodes:
                    joined.apply(law, number)
        return len(pairs)

    def _members(self, joined: Joined, pair: _Pair) -> list[int]:
        space = joined.space
        return space.eclasses[space.eclass_of[pair.left]].members[:]

    def _pairs(self, joined: Joined, places: Iterable[int], count: int) -> list[_Pair]:
        """Return the equations that are open, each once up to the names of its leaves."""
        space = joined.space
        found: dict[Equation, _Pair] = {}
        for place in places:
            for left, right in _partners(joined, place, count):
                one, two = space.term(left), space.term(right)
                if isinstance(one, Apply) and set(leaves(two)) <= set(leaves(one)):
                    said = equation(one, two, space.universe.shapes, space.universe.numbers)
                    found.setdefault(said, _Pair(left, right, said))
        return sorted(found.values(), key=_order)

    def _law(self, said: Equation) -> Law | None:
        if said not in self._learned:
            self._learned[said] = self._learner.learn(said)
        return self._learned[said]

    def _merit(self, pair: _Pair) -> tuple[bool, int, float, int]:
        law = self._learned[pair.equation]
        if law is None:
            return (False, 0, 0.0, 0)
        return (law.share >= _USUAL, len(law.numbers), round(law.share, 1), -size(law.right))

    def _both_ways(self, joined: Joined, pair: _Pair) -> Iterator[Law]:
        """Yield the law of a pair and, where neither side is larger and it needs another one, that of the way back."""
        law = self._confirmed(pair.equation)
        if law is None:
            return
        yield law
        space, said = joined.space, pair.equation
        right = space.term(pair.right)
        if not isinstance(right, Apply) or size(said.left) != size(right):
            return
        laws = [*self.laws, law]
        if any(pair.left in joined.targets(each, pair.right) for each in laws):
            return
        if set(leaves(right)) == set(leaves(space.term(pair.left))):
            back = equation(right, space.term(pair.left), space.universe.shapes, space.universe.numbers)
            other = self._confirmed(back) if self._law(back) is not None else None
            if other is not None:
                yield other

    def _confirmed(self, said: Equation) -> Law | None:
        law = self._law(said)
        if law is not None:
            law = self._learned[said] = self._learner.confirmed(law, said)
        if law is None or not is_worth_it(law) or any(is_case_of(law, other) for other in self.laws):
            return None
        return law


def _partners(joined: Joined, place: int, count: int) -> Iterator[tuple[int, int]]:
    """Yield pairs of terms of a class that are not joined, the first of this size and the only one of its party."""
    space = joined.space
    parties: dict[int, list[int]] = {}
    for number in space.eclasses[place].members:
        if space.nodes[number].size <= count:
            parties.setdefault(joined.root(number), []).append(number)
    for one, two in itertools.permutations(parties.values(), 2):
        left = one[0]
        size_left = space.nodes[left].size
        for right in two[:_MAX_PARTNERS]:
            if space.nodes[right].size <= size_left == count:
                yield (left, right)


def _order(pair: _Pair) -> tuple[object, ...]:
    said = pair.equation
    return (size(said.right), -len(said.shapes), len(repr(said.left)), repr(said.left), repr(said.right))
