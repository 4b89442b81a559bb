"""Which candidate after a step is which one before it.

A candidate is the match of a rule: the rule, and what its variables are bound to. Both outlive a step, up to e-classes
that have become one: their numbers are brought to the one that stands for both. Equal candidates are offered as one
group, and a step may part or join groups: one continues in the group that has the most of its members.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from eqsat.egglog.schema import HANDLES

if TYPE_CHECKING:
    from eqsat.egraph.groups import Group
    from eqsat.egraph.session import Session
    from eqsat.egraph.view import Candidate

NEW: Final = -1
"""Stands for the predecessor of a candidate that was not there before."""


def predecessors(session: Session, before: Sequence[Group], after: Sequence[Group]) -> np.ndarray:
    """Return which group each group continues; int64 (num_after,), :data:`NEW` where none.

    Args:
        session: As it is now, after the step.
        before: The groups on offer before it.
        after: The groups on offer now.
    """
    names = _Names(session)
    owner = {names.of(candidate): place for place, each in enumerate(before) for candidate in each.candidates}
    shared: Counter[tuple[int, int]] = Counter()
    for place, each in enumerate(after):
        for candidate in each.candidates:
            known = owner.get(names.of(candidate))
            if known is not None:
                shared[known, place] += 1
    found = np.full(len(after), NEW, np.int64)
    taken: set[int] = set()
    for old, new in sorted(shared, key=lambda pair: (-shared[pair], pair)):
        if old not in taken and found[new] == NEW:
            found[new] = old
            taken.add(old)
    return found


class _Names:
    """Names candidates by what does not change about them but by merges, which are brought up to date."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._canonical = session.mirror.canonical
        self._is_handle: dict[int, tuple[bool, ...]] = {}

    def of(self, candidate: Candidate) -> Hashable:
        is_handle = self._is_handle.get(candidate.rule)
        if is_handle is None:
            sorts = self._session.rule_of(candidate).sorts
            is_handle = self._is_handle[candidate.rule] = tuple(sort in HANDLES for sort in sorts)
        return (
            candidate.rule,
            tuple(
                self._canonical[value] if here and isinstance(value, int) else value
                for here, value in zip(is_handle, candidate.bindings, strict=True)
            ),
        )
