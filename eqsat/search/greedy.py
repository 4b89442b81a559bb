"""Greedy search: always the rewrite that helps most right now, as TASO does with alpha = 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from typing_extensions import override

from eqsat.search.interface import Arena, Outcome, Search, SearchBudget, StopReason
from eqsat.search.options import option

if TYPE_CHECKING:
    from eqsat.egraph.groups import Group


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Greedy(Search):
    """Tries each group of equal candidates, takes the one that lowers the extracted price most, and starts over.

    It never goes uphill: a rewrite that pays only together with another is never found.

    Attributes:
        min_gain: Relative drop of the price below which nothing counts as a gain.
    """

    min_gain: float = option(1e-4, "min-gain", at_least=0.0, at_most=1.0)

    @override
    def run(self, arena: Arena, budget: SearchBudget) -> Outcome:
        num_steps = num_applied = 0
        cost_us = arena.cost_us()
        while True:
            reason = arena.stop_reason(budget, num_steps)
            best, best_us = (None, cost_us) if reason is not None else self._best(arena, budget, cost_us)
            if best is None:
                ended = reason or arena.stop_reason(budget, num_steps) or StopReason.NO_GAIN
                return Outcome(stop_reason=ended, num_steps=num_steps, num_applied=num_applied)
            num_applied += arena.apply(best.candidates, budget.max_enodes)
            cost_us = best_us
            num_steps += 1
            arena.on_progress(f"step {num_steps}: {best.rule} x{len(best.candidates)}, {cost_us:.0f} us")

    def _best(self, arena: Arena, budget: SearchBudget, cost_us: float) -> tuple[Group | None, float]:
        best: Group | None = None
        best_us = cost_us * (1 - self.min_gain)
        for each in arena.groups():
            if arena.clock() >= budget.deadline:
                break
            arena.session.checkpoint()
            arena.apply(each.candidates, budget.max_enodes)
            found_us = arena.cost_us()
            arena.session.undo()
            if found_us < best_us:
                best, best_us = each, found_us
        return best, best_us
