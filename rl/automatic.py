"""The search that chooses between saturation and the agent by how the e-graph grows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

from typing_extensions import override

from eqsat.search.interface import Arena, Outcome, Search, SearchBudget, StopReason
from eqsat.search.saturation import Saturate

if TYPE_CHECKING:
    from collections.abc import Callable


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Auto(Search):
    """Saturates where that comes to an end soon, and lets the agent choose where it does not.

    An e-graph that is complete holds all that any search could find. One that only ran into a limit holds what came
    first; the e-graph is then taken back to its start for the agent.

    Attributes:
        make_learned: Makes the learned search, where it is needed.
        trial_share: Share of the budget, in e-nodes and in time, within which saturation must come to its end.
    """

    make_learned: Callable[[], Search]
    trial_share: float = 0.5

    @override
    def run(self, arena: Arena, budget: SearchBudget) -> Outcome:
        now = arena.clock()
        first = arena.size().num_enodes
        limit = first + int(self.trial_share * max(budget.max_enodes - first, 0))
        trial = replace(budget, max_enodes=limit, deadline=now + self.trial_share * (budget.deadline - now))
        arena.session.checkpoint()
        outcome = Saturate().run(arena, trial)
        size = arena.size().num_enodes
        if outcome.stop_reason is StopReason.SATURATED:
            return replace(outcome, plan=f"saturation: the e-graph is complete with {size} e-nodes")
        arena.session.undo()
        why = (
            f"the agent: saturation went from {first} to {size} e-nodes in {outcome.num_steps} rounds "
            f"without an end ({outcome.stop_reason})"
        )
        arena.on_progress(why)
        return replace(self.make_learned().run(arena, budget), plan=why)
