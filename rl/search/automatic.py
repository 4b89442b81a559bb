"""The search that chooses between saturation and the agent by how the e-graph grows.

What learns is imported only where it is needed: most e-graphs are complete before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, final

from typing_extensions import override

from eqsat.search.interface import Arena, Outcome, Search, SearchBudget, StopReason
from eqsat.search.restarts import Restarts, cheapest
from eqsat.search.saturation import Saturate
from eqsat.text.extras import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable


LEAST_S: Final = 3.0
"""Seconds for searching below which the agent is not asked: its imports alone take as long on a slow machine."""

OPTIONS: Final = ("policy", "restarts", "width")
"""Options of the searches ``ppo`` and ``auto``: those of :class:`~rl.search.learned.Learned`, and the policy."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Auto(Search):
    """Saturates where that comes to an end soon, and lets the agent go on where it does not.

    An e-graph that is complete holds all that any search could find. One that only ran into a limit holds what came
    first; the agent then starts over from the cheapest graph of it, so that it never ends with a dearer one.

    Attributes:
        make_learned: Makes the learned search, where it is needed.
        trial_growth: Size, as a multiple of the model's own, within which saturation must come to its end.
        trial_share: Share of the time within which it must.
    """

    make_learned: Callable[[], Search]
    trial_growth: float = 8.0
    trial_share: float = 0.25

    @override
    def run(self, arena: Arena, budget: SearchBudget) -> Outcome:
        now = arena.clock()
        first = arena.size().num_enodes
        limit = min(budget.max_enodes, int(self.trial_growth * first))
        trial = replace(budget, max_enodes=limit, deadline=now + self.trial_share * (budget.deadline - now))
        outcome = Saturate().run(arena, trial)
        size = arena.size().num_enodes
        if outcome.stop_reason is StopReason.SATURATED:
            return replace(outcome, plan=f"saturation: the e-graph is complete with {size} e-nodes")
        if first >= budget.max_enodes:
            return replace(
                outcome, plan=f"nothing: the model alone has {first} e-nodes, and {budget.max_enodes} are allowed"
            )
        rest = replace(budget, max_steps=budget.max_steps - outcome.num_steps)
        if budget.deadline - arena.clock() < LEAST_S and not budget.training_s:
            plan = f"saturation: no {LEAST_S:g} s were left, with which the agent would begin"
            return _joined(outcome, Saturate().run(arena, rest), plan)
        try:
            with arena.uncounted():
                search = self.make_learned()
        except MissingExtraError as error:
            more = Saturate(restarts=Restarts()).run(arena, rest)
            return _joined(outcome, more, f"saturation that starts over, in place of the agent: {error}")
        why = (
            f"the agent: saturation went from {first} to {size} e-nodes in {outcome.num_steps} rounds "
            f"without an end ({outcome.stop_reason})"
        )
        arena.on_progress(why)
        again = arena.restarted(cheapest(arena, budget).choice)
        learned = search.run(again, rest)
        return _joined(outcome, replace(learned, session=learned.session or again.session), why)


def _joined(first: Outcome, then: Outcome, plan: str) -> Outcome:
    """The outcome of two searches, one after the other."""
    num_steps, num_applied = first.num_steps + then.num_steps, first.num_applied + then.num_applied
    return replace(then, num_steps=num_steps, num_applied=num_applied, plan=plan)
