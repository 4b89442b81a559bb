"""Random search: the least that every other search must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from typing_extensions import override

from eqsat.search.interface import Arena, Outcome, Search, SearchBudget, StopReason
from eqsat.search.options import option


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Random(Search):
    """Applies a random group of equal candidates at each step.

    Attributes:
        num_steps: Steps to make.
    """

    num_steps: int = option(100, "steps", at_least=1)

    @override
    def run(self, arena: Arena, budget: SearchBudget) -> Outcome:
        num_applied = 0
        for step in range(self.num_steps):
            reason = arena.stop_reason(budget, step)
            groups = arena.groups() if reason is None else []
            if not groups:
                ended = StopReason.SATURATED if reason is None else reason
                return Outcome(stop_reason=ended, num_steps=step, num_applied=num_applied)
            chosen = arena.rng.choice(groups)
            num_applied += arena.apply(chosen.candidates, budget.max_enodes)
            arena.on_progress(f"step {step + 1}: {chosen.rule} x{len(chosen.candidates)}")
        return Outcome(stop_reason=StopReason.STEP_LIMIT, num_steps=self.num_steps, num_applied=num_applied)
