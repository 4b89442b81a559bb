"""Typings of a left side, drawn at random: from the shape that comes out down to the leaves."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from eqsat.authoring.inference.operators import ROWS
from eqsat.authoring.inference.rows import Draw, Style
from eqsat.authoring.inference.terms import Apply, Leaf, Term, Typing, shape_of

if TYPE_CHECKING:
    from eqsat.authoring.inference.rows import Shape, Value

NUM_TYPINGS: Final = 240
"""Typings that an equation is put to."""

_MAX_TRIES: Final = 6
"""Draws for each typing wanted: where operands must fit, most draws do not."""

RANKS: Final = (0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5)
"""Ranks of what comes out, each as often as it is drawn."""

_SIZES: Final = ((2, 3, 4, 5), (2, 3), (1, 2, 3), (2,), (1, 3))
_STYLES: Final = (Style.PLAIN, Style.PLAIN, Style.RIGHT_MATRIX, Style.LEFT_MATRIX, Style.MIXED, Style.MIXED)
_MAX_NUMBER_RANK: Final = 2


def draw_typings(
    left: Apply,
    numbers: Sequence[int | None],
    seed: Typing,
    rng: random.Random,
    count: int = NUM_TYPINGS,
    ranks: Sequence[int] = RANKS,
) -> list[Typing]:
    """Return different typings at which ``left`` can exist, the one it was found at first.

    Args:
        left: A term whose attributes are slots.
        numbers: What its leaves are filled with.
        seed: Where it was found.
        rng: Source of chance.
        count: How many are wanted.
        ranks: Ranks of what comes out, each as often as it is to be drawn.
    """
    found = {seed: None}
    for _ in range(count * _MAX_TRIES):
        typing = _draw(left, numbers, seed, rng, ranks)
        if typing is not None and shape_of(left, typing) is not None:
            found[typing] = None
            if len(found) >= count:
                break
    return list(found)


def _draw(
    left: Apply, numbers: Sequence[int | None], seed: Typing, rng: random.Random, ranks: Sequence[int]
) -> Typing | None:
    draw = Draw(rng, rng.choice(_STYLES))
    sizes = rng.choice(_SIZES)
    wanted = tuple(rng.choice(sizes) for _ in range(rng.choice(ranks)))
    shapes: dict[int, Shape] = {}
    slots: list[Value] = []
    used: dict[str, tuple[Value, ...]] = {}

    def walk(term: Term, shape: Shape) -> bool:
        if isinstance(term, Leaf):
            shapes.setdefault(term.index, _filled(shape, rng) if numbers[term.index] is not None else shape)
            return True
        start, count = len(slots), len(term.attributes)
        offered = None
        if count and rng.random() < 0.7:
            offered = used.get(term.operator)
            if offered is None or rng.random() < 0.5:
                offered = seed.slots[start : start + count]
        spread = ROWS[term.operator].spread(shape, len(term.operands), offered, draw)
        if spread is None:
            return False
        slots.extend(spread.attributes)
        used[term.operator] = spread.attributes
        return all(walk(operand, each) for operand, each in zip(term.operands, spread.operands, strict=True))

    if not walk(left, wanted):
        return None
    return Typing(tuple(shapes[leaf] for leaf in sorted(shapes)), tuple(slots))


def _filled(shape: Shape, rng: random.Random) -> Shape:
    """A number is a tensor of one element, of this rank or any other."""
    rank: int = rng.choice((len(shape), *range(_MAX_NUMBER_RANK + 1)))
    return (1,) * rank
