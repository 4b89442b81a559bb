"""Equality saturation: apply everything, again and again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from typing_extensions import override

from eqsat.search.interface import Arena, Outcome, Search, SearchBudget, StopReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eqsat.egraph.view import Candidate

ENODES_PER_REWRITE: Final = 6
"""How much one rewrite adds, as long as nothing was applied: more than most do."""


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
        growth = float(ENODES_PER_REWRITE)
        while True:
            reason = arena.stop_reason(budget, num_steps)
            if reason is not None:
                return Outcome(stop_reason=reason, num_steps=num_steps, num_applied=num_applied)
            before = arena.size().num_enodes
            batch = self._batch(arena.candidates(), int((budget.max_enodes - before) / growth))
            applied = arena.apply(batch, budget.max_enodes)
            if not applied and not arena.candidates():
                return Outcome(stop_reason=StopReason.SATURATED, num_steps=num_steps, num_applied=num_applied)
            num_steps += 1
            num_applied += applied
            size = arena.size()
            if applied:
                growth = max((size.num_enodes - before) / applied, 1.0)
            arena.on_progress(f"round {num_steps}: {applied} rewrites, {size.num_enodes} e-nodes")

    def _batch(self, candidates: Sequence[Candidate], room: int) -> list[Candidate]:
        """At most ``max_per_rule`` of each rule, and about as many as there is room for, shared out among the rules.

        What a rule with few candidates leaves of its share goes to those with more. The rules take turns, so that what
        is applied is shared out too where the room ends earlier.
        """
        quotas: dict[int, int] = {}
        left = max(room, 1)
        counts = sorted(Counter(candidate.rule for candidate in candidates).items(), key=lambda item: item[::-1])
        for position, (rule, count) in enumerate(counts):
            share = -(-left // (len(counts) - position))
            quotas[rule] = min(count, share, self.max_per_rule)
            left -= quotas[rule]
        turns: Counter[int] = Counter()
        batch: list[tuple[int, Candidate]] = []
        for candidate in candidates:
            if turns[candidate.rule] < quotas[candidate.rule]:
                turns[candidate.rule] += 1
                batch.append((turns[candidate.rule], candidate))
        return [candidate for _, candidate in sorted(batch, key=lambda item: item[0])]
