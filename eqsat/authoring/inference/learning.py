"""From an equation found at one typing to a law: where else does it hold, and what do those places have in common?"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, final

import numpy as np

from eqsat.authoring.inference.conditions import IsFloating, Sight
from eqsat.authoring.inference.law import Law, opened
from eqsat.authoring.inference.menu import menu
from eqsat.authoring.inference.operators import ROWS
from eqsat.authoring.inference.rows import Kind
from eqsat.authoring.inference.sampling import draw_typings
from eqsat.authoring.inference.space import NUM_POINTS, points
from eqsat.authoring.inference.terms import (
    Apply,
    Composed,
    Expression,
    FromBack,
    Literal,
    Permuted,
    Slot,
    Typing,
    applications,
    attribute_kinds,
    attributes,
    evaluate,
    shape_of,
    size,
    with_attributes,
)

if TYPE_CHECKING:
    from eqsat.authoring.inference.conditions import Condition
    from eqsat.authoring.inference.law import Equation
    from eqsat.authoring.inference.rows import Value
    from eqsat.authoring.inference.terms import Term

_MAX_READINGS: Final = 48
"""Ways to read the attributes of a right side."""

_NUM_COMPARED: Final = 120
"""Typings at which they are compared with each other."""

MAX_CONDITIONS: Final = 5
_NUM_EXACT: Final = 24
_FEW_BITS: Final = np.iinfo(np.int8)

_MAX_SELDOM: Final = 2
"""Operators of a left side up to which conditions that are seldom natural are tried."""

NUM_CONFIRMING: Final = 600
"""Further typings that a law is put to before it is believed."""

_MAX_CONFIRMATIONS: Final = 4

_MAX_REMEMBERED: Final = 32
"""Left sides whose typings and values are kept; a megabyte or a few for each."""

MIN_EXAMPLES: Final = 10
"""Typings at which a law must hold: one that hardly ever does is no rule."""


@dataclass(frozen=True, slots=True)
class Place:
    """A typing of a left side with what it computes there.

    Attributes:
        sight: The instance.
        arrays: Values of the leaves at every point.
        value: Value of the left side.
    """

    sight: Sight
    arrays: tuple[np.ndarray, ...]
    value: np.ndarray


@final
class Learner:
    """Turns equations into laws."""

    def __init__(self, rng: random.Random, *, declared: AbstractSet[str]) -> None:
        """Prepare.

        Args:
            rng: Source of chance.
            declared: Relations that rules can ask for.
        """
        self._rng = rng
        self._numbers = np.random.default_rng(rng.getrandbits(64))
        self._has_extents = "extent" in declared
        self._has_floating = "floating-type" in declared
        self._places: dict[tuple[Apply, Typing, tuple[int | None, ...]], list[Place]] = {}

    def learn(self, found: Equation) -> Law | None:
        """Return the law behind an equation; None where no conditions tell where it holds."""
        return self._law(found, self._at(opened(found.left), found))

    def confirmed(self, law: Law, found: Equation) -> Law | None:
        """Return the law that is left of one after more typings; None where nothing is.

        Where it is wrong at one of them, it is learned again with that in mind.
        """
        places = self._at(law.left, found)
        for _ in range(_MAX_CONFIRMATIONS):
            typings = draw_typings(law.left, law.numbers, law.seed, self._rng, NUM_CONFIRMING)
            more = [self._place(law.left, typing, law.numbers) for typing in typings]
            if all(_is_equal(law.right, place) for place in more if _hold(law.conditions, place)):
                return law
            places = [*places, *more]
            again = self._law(found, places)
            if again is None:
                return None
            law = again
        return None

    def _law(self, found: Equation, places: Sequence[Place]) -> Law | None:
        left = opened(found.left)
        right = self._reading(found, left, places)
        seed = places[0]
        if not _is_equal(right, seed):
            return None
        good = [place for place in places if _is_equal(right, place)]
        bad = [place for place in places if not _is_equal(right, place)]
        kinds = attribute_kinds(left)
        if _is_curious(right):
            return None
        usual, seldom = menu(kinds, len(found.numbers), seed.sight, has_extents=self._has_extents)
        conditions = separating(usual, good, bad)
        if conditions is None and size(found.left) <= _MAX_SELDOM:
            conditions = separating([*usual, *seldom], good, bad)
        if conditions is None:
            return None
        examples = [place.sight.typing for place in good if _hold(conditions, place)]
        if len(examples) < MIN_EXAMPLES:
            return None
        law = Law(
            left=left,
            right=right,
            numbers=found.numbers,
            conditions=conditions,
            seed=found.typing,
            share=len(examples) / len(places),
            is_exact=False,
            examples=tuple(examples),
            near_misses=tuple(_near_misses(conditions, bad)),
        )
        if self._has_floating and not self._holds_wrapped(law):
            law = replace(law, conditions=(*conditions, IsFloating(0)))
        return replace(law, is_exact=self._is_exact(law))

    def _at(self, left: Apply, found: Equation) -> list[Place]:
        key = (left, found.typing, found.numbers)
        if key not in self._places:
            typings = draw_typings(left, found.numbers, found.typing, self._rng)
            self._places[key] = [self._place(left, typing, found.numbers) for typing in typings]
            if len(self._places) > _MAX_REMEMBERED:
                del self._places[next(iter(self._places))]
        return self._places[key]

    def _place(self, left: Apply, typing: Typing, numbers: Sequence[int | None]) -> Place:
        arrays = tuple(
            points(shape, number, self._numbers) for shape, number in zip(typing.shapes, numbers, strict=True)
        )
        return Place(sight_of(left, typing), arrays, evaluate(left, arrays, typing))

    def _reading(self, found: Equation, left: Apply, places: Sequence[Place]) -> Term:
        """Return the right side, its attributes read in the way that makes it equal at most places."""
        written = attributes(found.right)
        if not written:
            return found.right
        kinds = zip(written, attribute_kinds(found.right), strict=True)
        options = [
            _readings(each.value, kind, attribute_kinds(left), found.typing)
            for each, kind in kinds
            if isinstance(each, Literal)
        ]
        sides = [with_attributes(found.right, each) for each in itertools.product(*options)][:_MAX_READINGS]
        compared = places[:_NUM_COMPARED]
        return max(sides, key=lambda side: sum(_is_equal(side, place) for place in compared))

    def _holds_wrapped(self, law: Law) -> bool:
        """Whether both sides are equal for integers of few bits too, which wrap around."""
        for typing in law.examples[:_NUM_EXACT]:
            arrays = [
                np.full((1, *shape), number, np.int8)
                if number is not None
                else self._numbers.integers(_FEW_BITS.min, _FEW_BITS.max, (NUM_POINTS, *shape), np.int8, endpoint=True)
                for shape, number in zip(typing.shapes, law.numbers, strict=True)
            ]
            one, two = (evaluate(side, arrays, typing) for side in (law.left, law.right))
            if not np.array_equal(one, two):
                return False
        return True

    def _is_exact(self, law: Law) -> bool:
        """Whether both sides are made of the same elements, computed by the same operations."""
        sides = (law.left, law.right)
        if any(ROWS[each.operator].is_product for side in sides for each in applications(side)):
            return False
        for typing in law.examples[:_NUM_EXACT]:
            arrays = [
                np.full((1, *shape), number, np.float32)
                if number is not None
                else self._numbers.standard_normal((1, *shape)).astype(np.float32)
                for shape, number in zip(typing.shapes, law.numbers, strict=True)
            ]
            one, two = (evaluate(side, arrays, typing) for side in sides)
            if not np.array_equal(one, two):
                return False
        return True


def _readings(value: Value, kind: Kind, kinds: Sequence[Kind], seed: Typing) -> list[Expression]:
    """Return what an attribute of the right side may be, the plainest first."""
    alike = [slot for slot, other in enumerate(kinds) if other is kind and seed.slots[slot] == value]
    found: list[Expression] = [Slot(slot) for slot in alike]
    permutations = [slot for slot, other in enumerate(kinds) if other is Kind.PERMUTATION]
    more: list[Expression] = []
    if kind is Kind.PERMUTATION:
        more = [Composed(*pair) for pair in itertools.permutations(permutations, 2)]
    elif kind is Kind.AXIS:
        axes = [slot for slot, other in enumerate(kinds) if other is Kind.AXIS]
        more = [Permuted(*pair) for pair in itertools.product(permutations, axes)]
        more += [FromBack(leaf, offset) for offset in (1, 2) for leaf in range(len(seed.shapes))]
    return [*found, *(each for each in more if each.at(seed) == value), Literal(value)]


def _is_curious(right: Term) -> bool:
    """Whether a right side has a certain permutation of three axes or more that nothing on the left stands for."""
    written = [each.value for each in attributes(right) if isinstance(each, Literal)]
    return any(isinstance(value, tuple) and len(value) > 2 for value in written)


def _is_equal(right: Term, place: Place) -> bool:
    if shape_of(right, place.sight.typing) != place.sight.root:
        return False
    return np.array_equal(evaluate(right, place.arrays, place.sight.typing), place.value)


def sight_of(left: Apply, typing: Typing) -> Sight:
    """Return what conditions see of a left side that can exist."""
    operands = tuple(shape_of(operand, typing) or () for operand in left.operands)
    return Sight(typing, shape_of(left, typing) or (), operands)


def _hold(conditions: Sequence[Condition], place: Place) -> bool:
    return all(each.holds(place.sight) for each in conditions)


def separating(known: Sequence[Condition], good: Sequence[Place], bad: Sequence[Place]) -> tuple[Condition, ...] | None:
    """Return few conditions that no bad place meets and many good ones do; None where there are none.

    From each condition that could come first, the one that keeps most good and loses most bad places follows, and so
    on; of what is found that way the one that most good places meet is taken.
    """
    if not bad:
        return ()
    if not known:
        return None
    good_met, bad_met = (
        np.array([[each.holds(place.sight) for place in places] for each in known]) for places in (good, bad)
    )
    best: tuple[int, ...] | None = None
    for first in range(len(known)):
        chosen = _greedy(first, good_met, bad_met)
        if chosen is not None and (best is None or _worth(chosen, good_met) > _worth(best, good_met)):
            best = chosen
    return None if best is None else tuple(known[index] for index in sorted(best))


def _greedy(first: int, good_met: np.ndarray, bad_met: np.ndarray) -> tuple[int, ...] | None:
    """Return indices of conditions, ``first`` among them unless it turned out to be superfluous."""
    chosen = [first]
    while (bad_left := bad_met[:, bad_met[chosen].all(axis=0)]).size:
        good_left = good_met[:, good_met[chosen].all(axis=0)]
        lost = 1.0 - bad_left.mean(axis=1)
        kept = good_left.mean(axis=1) if good_left.size else np.zeros(len(lost))
        scores = np.where(lost > 0.0, lost + kept, -1.0)
        best = int(scores.argmax())
        if scores[best] < 0.0 or len(chosen) == MAX_CONDITIONS:
            return None
        chosen.append(best)
    for each in list(chosen):
        others = [other for other in chosen if other != each]
        if others and not bad_met[others].all(axis=0).any():
            chosen = others
    return tuple(chosen)


def _worth(chosen: tuple[int, ...], good_met: np.ndarray) -> tuple[int, int, int]:
    """Good places that meet conditions; then the fewer conditions the better, and the earlier in the menu."""
    return (int(good_met[list(chosen)].all(axis=0).sum()), -len(chosen), -sum(chosen))


def _near_misses(conditions: Sequence[Condition], bad: Sequence[Place]) -> list[Typing]:
    """Return for each condition a bad place at which the others hold, the one with the smallest tensors."""
    found = []
    for each in conditions:
        others = [other for other in conditions if other is not each]
        places = [place.sight.typing for place in bad if _hold(others, place)]
        if places:
            found.append(min(places, key=lambda typing: sum(map(len, typing.shapes))))
    return found
