"""Equality saturation: apply everything, again and again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from typing_extensions import override

from eqsat.search.interface import Arena, Outcome, Search, SearchBudget, StopReason
from eqsat.search.options import option
from eqsat.search.restarts import ONCE, Restarts, play_with_restarts

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
        restarts: How often it starts over from the cheapest graph; never, unless told.
    """

    max_per_rule: int = option(2_000, "max-per-rule", at_least=1)
    restarts: Restarts = option(ONCE, "restarts", parse=ONCE.told)

    @override
    def run(self, arena: Arena, budget: SearchBudget) -> Outcome:
        return play_with_restarts(self._saturate, arena, budget, self.restarts)

    def _saturate(self, arena: Arena, budget: SearchBudget) -> Outcome:
        num_steps = num_applied = 0
        while True:
            reason = arena.stop_reason(budget, num_steps)
            if reason is not None:
                return Outcome(stop_reason=reason, num_steps=num_steps, num_applied=num_applied)
            applied = arena.apply(shared_out(arena.candidates(), self.max_per_rule), budget.max_enodes)
            if not applied and not arena.candidates():
                return Outcome(stop_reason=StopReason.SATURATED, num_steps=num_steps, num_applied=num_applied)
            num_steps += 1
            num_applied += applied
            arena.on_progress(f"round {num_steps}: {applied} rewrites, {arena.size().num_enodes} e-nodes")


def shared_out(candidates: Sequence[Candidate], max_per_rule: int) -> list[Candidate]:
    """Return candidates in an order of which every beginning is shared out among the rules as evenly as can be.

    First come the first candidates of all rules, then the second ones, and so on: wherever the room ends, what a rule
    with few candidates leaves of its share has gone to those with more.

    Args:
        candidates: On offer.
        max_per_rule: Candidates of one rule, at most.
    """
    counts: Counter[int] = Counter()
    ranked: list[tuple[int, Candidate]] = []
    for candidate in candidates:
        if counts[candidate.rule] < max_per_rule:
            ranked.append((counts[candidate.rule], candidate))
            counts[candidate.rule] += 1
    return [candidate for _, candidate in sorted(ranked, key=lambda item: item[0])]
