"""Equality saturation: apply everything, again and again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from typing_extensions import override

from eqsat.search.interface import Arena, Outcome, Search, SearchBudget, StopReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eqsat.egraph.view import Candidate


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Saturate(Search):
    """Applies all candidates of a round at once.

    Attributes:
        max_per_rule: Candidates of one rule in one round; the rest wait, so that an explosive rule does not starve
            the others.
    """

    max_per_rule: int = 2_000

    @override
    def run(self, arena: Arena, budget: SearchBudget) -> Outcome:
        num_steps = num_applied = 0
        while True:
            reason = arena.stop_reason(budget, num_steps)
            if reason is not None:
                return Outcome(stop_reason=reason, num_steps=num_steps, num_applied=num_applied)
            batch = self._batch(arena.candidates(), budget.max_enodes - arena.size().num_enodes)
            applied = arena.apply(batch) if batch else 0
            if not applied and not arena.candidates():
                return Outcome(stop_reason=StopReason.SATURATED, num_steps=num_steps, num_applied=num_applied)
            num_steps += 1
            num_applied += applied
            size = arena.size()
            arena.on_progress(f"round {num_steps}: {applied} rewrites, {size.num_enodes} e-nodes")

    def _batch(self, candidates: Sequence[Candidate], room: int) -> list[Candidate]:
        """At most ``max_per_rule`` of each rule and no more than there is room for, at a guess of two e-nodes each."""
        counts: Counter[int] = Counter()
        batch: list[Candidate] = []
        for candidate in candidates:
            counts[candidate.rule] += 1
            if counts[candidate.rule] <= self.max_per_rule:
                batch.append(candidate)
        return batch[: max(room // 2, 1)]
