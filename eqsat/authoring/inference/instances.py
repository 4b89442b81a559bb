"""``INSTANCE`` and ``NEAR-MISS`` lines for laws: where a rule must match, and where it must not."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, final

import numpy as np

from eqsat.authoring.inference.conditions import IsFloating
from eqsat.authoring.inference.learning import sight_of
from eqsat.authoring.inference.naming import literal_text
from eqsat.authoring.inference.sampling import RANKS, draw_typings
from eqsat.authoring.inference.space import points
from eqsat.authoring.inference.terms import Literal, Typing, attributes, evaluate, shape_of, with_attributes
from eqsat.authoring.inference.writing import pattern

if TYPE_CHECKING:
    from eqsat.authoring.inference.law import Law
    from eqsat.authoring.inference.names import Names
    from eqsat.authoring.inference.rows import Shape
    from eqsat.authoring.inference.variants import Variant

NUM_LINES: Final = 2
"""Instances of a rule."""

_NUM_TYPINGS: Final = 120
_NUM_CHECKED: Final = 4
_INSISTENCE: Final = 12
_SIZES: Final = (2, 3, 4, 5, 6, 7)
_AXES: Final = 2
"""Axes of a leaf that are easy to read."""

_WRONG_NUMBER: Final = 3.0


@final
class Instances:
    """Writes the instances of rules."""

    def __init__(self, rng: random.Random) -> None:
        """Take chance from ``rng``."""
        self._rng = rng
        self._numbers = np.random.default_rng(rng.getrandbits(64))

    def typings(self, law: Law, variant: Variant) -> list[Typing]:
        """Return typings at which a rule matches, those that show most first."""
        slots = list(law.seed.slots)
        for slot, value in variant.written.items():
            slots[slot] = value
        seed = Typing(law.seed.shapes, tuple(slots))
        drawn = draw_typings(law.left, law.numbers, seed, self._rng, _NUM_TYPINGS, RANKS + variant.ranks * _INSISTENCE)
        found = [typing for typing in (*law.examples, *drawn) if variant.includes(law, typing) and holds(law, typing)]
        return sorted(dict.fromkeys(found), key=_merit)

    def lines(self, law: Law, names: Names, typings: Sequence[Typing]) -> list[str]:
        """Return ``INSTANCE`` lines at some typings, each at leaves of other ranks, with letters for free sizes."""
        return [_line(law, names, typing, self._letters(law, typing)) for typing in varied(typings, NUM_LINES)]

    def near_miss_lines(self, law: Law, names: Names, typings: Sequence[Typing]) -> list[str]:
        """Return ``NEAR-MISS`` lines: for each condition that can be violated alone, each number, and integers."""
        lines = [_line(law, names, typing, {}) for typing in law.near_misses]
        for leaf, number in enumerate(law.numbers):
            if number is not None and typings:
                wrong = replace(law, numbers=(*law.numbers[:leaf], int(_WRONG_NUMBER), *law.numbers[leaf + 1 :]))
                lines.append(_line(wrong, names, typings[0], {}))
        is_floating = any(isinstance(each, IsFloating) for each in law.conditions)
        if typings and is_floating and all(number is None for number in law.numbers):
            lines.append(_line(law, names, typings[0], {}, ":i64"))
        return list(dict.fromkeys(lines))

    def _letters(self, law: Law, typing: Typing) -> Mapping[int, str]:
        """Return letters for the sizes that may be any; none where sizes depend on each other in other ways."""
        sizes = list(dict.fromkeys(size for shape in typing.shapes for size in shape if size > 1))
        if len(sizes) > len(_SIZES):
            return {}
        for _ in range(_NUM_CHECKED):
            others = dict(zip(sizes, self._rng.sample(_SIZES, len(sizes)), strict=True))
            shapes = tuple(tuple(others.get(size, size) for size in shape) for shape in typing.shapes)
            if not self._is_right(law, Typing(shapes, typing.slots)):
                return {}
        return dict(zip(sizes, string.ascii_uppercase, strict=False))

    def _is_right(self, law: Law, typing: Typing) -> bool:
        if not holds(law, typing) or shape_of(law.right, typing) != shape_of(law.left, typing):
            return False
        arrays = [
            points(shape, number, self._numbers) for shape, number in zip(typing.shapes, law.numbers, strict=True)
        ]
        return np.array_equal(evaluate(law.left, arrays, typing), evaluate(law.right, arrays, typing))


def both_sides(law: Law, names: Names, typing: Typing) -> str:
    """Return an instance with two roots: both sides of a law at a typing, everything written out."""
    values = [each.at(typing) for each in attributes(law.right)]
    right = with_attributes(law.right, [Literal(value) for value in values if value is not None])
    return f"{_line(law, names, typing, {})} {pattern(right, names)}"


def varied(typings: Sequence[Typing], count: int) -> list[Typing]:
    """Return some typings, the first ones whose leaves have other ranks than those before."""
    found: dict[tuple[int, ...], Typing] = {}
    for typing in typings:
        found.setdefault(tuple(map(len, typing.shapes)), typing)
        if len(found) == count:
            break
    return list(found.values())


def holds(law: Law, typing: Typing) -> bool:
    """Return whether a law's left side can exist there, and its conditions hold."""
    if shape_of(law.left, typing) is None:
        return False
    sight = sight_of(law.left, typing)
    return all(each.holds(sight) for each in law.conditions)


def _merit(typing: Typing) -> tuple[int, int, str]:
    """Many different sizes in few axes show most; axes of one element and permutations that do nothing show little."""
    sizes = [size for shape in typing.shapes for size in shape]
    num_plain = sum(size == 1 for size in sizes) + sum(not shape for shape in typing.shapes)
    num_plain += sum(isinstance(value, tuple) and value == tuple(range(len(value))) for value in typing.slots)
    return (num_plain, abs(len(sizes) - _AXES * len(typing.shapes)) - len(set(sizes)), repr(typing))


def _line(law: Law, names: Names, typing: Typing, letters: Mapping[int, str], dtype: str = "") -> str:
    leaves = list(_leaves(law, names, typing.shapes, letters, dtype))
    written = tuple(literal_text(kind, value) for kind, value in zip(law.kinds, typing.slots, strict=True))
    return f"{' '.join(leaves)} | {pattern(law.left, replace(names, slots=written))}"


def _leaves(law: Law, names: Names, shapes: Sequence[Shape], letters: Mapping[int, str], dtype: str) -> Iterator[str]:
    for leaf, (shape, number) in enumerate(zip(shapes, law.numbers, strict=True)):
        dims = f"[{','.join(letters.get(size, str(size)) for size in shape)}]"
        yield f"{names.leaf(leaf)}{dtype}{dims}" if number is None else f"{names.leaf(leaf)}={float(number)}{dims}"
