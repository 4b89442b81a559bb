"""The conditions that a law may turn out to need."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from eqsat.authoring.inference.choices import Differ, Equal, Fixed, IsIdentity, IsInner, IsLast, SwapsLast
from eqsat.authoring.inference.conditions import (
    KeepsShape,
    RankAtLeast,
    RankIs,
    SameExtent,
    SameLast,
    SameOperands,
    SameRank,
    SameShape,
)
from eqsat.authoring.inference.rows import Kind

if TYPE_CHECKING:
    from eqsat.authoring.inference.conditions import Condition, Sight


def menu(kinds: Sequence[Kind], num_leaves: int, seed: Sight, *, has_extents: bool) -> tuple[list[Condition], ...]:
    """Return the conditions that hold at an instance, the usual ones first, then those that are seldom natural.

    A leaf of rank 3 or more stands for any that is a stack of matrices, so no condition asks for that very rank.
    Within each list those to be preferred come first.

    Args:
        kinds: What each slot says.
        num_leaves: Leaves of the left side.
        seed: The instance.
        has_extents: Whether rules can ask for the size of an axis by its number.
    """
    every = range(num_leaves)
    slots, shapes = seed.typing.slots, seed.typing.shapes
    axes = [slot for slot, kind in enumerate(kinds) if kind is Kind.AXIS]
    permutations = [slot for slot, kind in enumerate(kinds) if kind is Kind.PERMUTATION]
    alike = [(one, two) for one, two in itertools.combinations(range(len(kinds)), 2) if kinds[one] is kinds[two]]
    pairs = list(itertools.combinations(every, 2))
    usual: list[Condition] = [
        *(Equal(*pair) for pair in alike),
        *(SameShape(*pair) for pair in pairs),
        *(KeepsShape(leaf) for leaf in every),
        *(SameRank(*pair) for pair in pairs),
        *(RankAtLeast(leaf, rank) for rank in (1, 2) for leaf in every),
        *(RankIs(leaf, len(shapes[leaf])) for leaf in every if len(shapes[leaf]) <= 2),
        *(IsLast(slot, leaf, 1) for slot in axes for leaf in every),
        *(IsInner(slot, leaf) for slot in axes for leaf in every),
        *(Differ(*pair) for pair in alike),
        *([SameOperands()] if len(seed.operands) > 1 else []),
        *(SameExtent(*pair, slot) for slot in axes for pair in pairs if has_extents),
        *(IsIdentity(slot) for slot in permutations),
        *(SwapsLast(slot) for slot in permutations),
        *(Fixed(slot, slots[slot]) for slot in axes),
    ]
    seldom: list[Condition] = [
        *(SameLast(*pair) for pair in pairs),
        *(IsLast(slot, leaf, 2) for slot in axes for leaf in every),
        *(Fixed(slot, value) for slot, value in enumerate(slots) if slot not in axes and slot not in permutations),
    ]
    return tuple([each for each in found if each.holds(seed)] for found in (usual, seldom))
