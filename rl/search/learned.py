"""The learned searches: what chooses step by step is followed; here it is a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, final

import numpy as np
from typing_extensions import override

from eqsat.errors import UsageError
from eqsat.search.interface import Arena, Outcome, Search, SearchBudget, StopReason
from eqsat.search.options import option
from eqsat.search.restarts import Restarts, play_with_restarts
from rl.agent.policy import Policy
from rl.env.observation import FIRST_CANDIDATE, STOP
from rl.env.prices import PriceSource
from rl.env.scene import Scene
from rl.env.tasks import Task
from rl.training.finetune import FineTune

if TYPE_CHECKING:
    from eqsat.egraph.session import Session
    from eqsat.prices.micro import Cluster, MicroMaker
    from eqsat.search.interface import Surroundings
    from rl.agent.checkpoint import Checkpoint
    from rl.env.scene import Look

DEFAULT_WIDTH: Final = 4


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Learned(Search):
    """Applies what a policy chooses, until the policy stops; where the room ends, it starts over.

    Attributes:
        checkpoint: The policy.
        width: Groups of equal candidates applied at a step, at most; see :func:`chosen_places`.
        restarts: How often it starts over from the cheapest graph.
        fine_tune: Learns about the model first, where the budget allows it.
    """

    checkpoint: Checkpoint
    width: int = option(DEFAULT_WIDTH, "width", at_least=1)
    restarts: Restarts = option(Restarts(), "restarts", parse=Restarts().told)
    fine_tune: FineTune = field(default_factory=FineTune)

    @override
    def run(self, arena: Arena, budget: SearchBudget) -> Outcome:
        checkpoint = self.checkpoint
        if budget.training_s:
            with arena.uncounted(is_on_top=True):
                checkpoint = self.fine_tune(checkpoint, task_of(arena), budget, arena.on_progress)
        likeliest = _Likeliest(Policy.of(checkpoint), self.width)

        def play(arena: Arena, budget: SearchBudget) -> Outcome:
            scene = Scene.around(task_of(arena), arena.session, is_grouped=True)
            first = scene.look()
            return follow(likeliest, scene, first, arena, budget)[0]

        return play_with_restarts(play, arena, budget, self.restarts)


class Chooser(Protocol):
    """Chooses what is applied, a step at a time."""

    def choose(self, look: Look) -> Sequence[int]:
        """Return the places of the groups to apply, the one that matters most first; none where it is best to stop."""
        ...

    def remark(self, before_us: float, after_us: float) -> str:
        """Return what is to be said of the step that was just made, besides its rule and its price.

        Args:
            before_us: Price before it.
            after_us: Price after it.
        """
        ...


def follow(chooser: Chooser, scene: Scene, look: Look, arena: Arena, budget: SearchBudget) -> tuple[Outcome, Look]:
    """Apply what a chooser chooses, until it stops or the budget ends; return how it ended, and the last look.

    Args:
        chooser: Chooses.
        scene: The arena's session, and what is known about it.
        look: The session as it is now.
        arena: The model.
        budget: What may be used.
    """
    num_steps = num_applied = 0
    while True:
        reason = arena.stop_reason(budget, num_steps)
        if reason is None and not look.groups:
            reason = StopReason.SATURATED
        places = chooser.choose(look) if reason is None else ()
        if not places:
            ended = reason or StopReason.NO_GAIN
            return Outcome(stop_reason=ended, num_steps=num_steps, num_applied=num_applied), look
        chosen, before_us = [look.groups[place] for place in places], look.selection.cost_us
        candidates = [candidate for each in chosen for candidate in each.candidates]
        num_applied += arena.apply(candidates, budget.max_enodes)
        num_steps += 1
        look = scene.look(look)
        after_us = look.selection.cost_us
        remark = chooser.remark(before_us, after_us)
        arena.on_progress(f"step {num_steps}: {chosen[0].rule}, {after_us:.0f} us{remark and f' ({remark})'}")


@final
class _Likeliest(Chooser):
    """What a policy finds likeliest."""

    def __init__(self, policy: Policy, width: int) -> None:
        self._policy = policy
        self._width = width

    @override
    def choose(self, look: Look) -> Sequence[int]:
        return chosen_places(self._policy.probabilities(look.observation), self._width)

    @override
    def remark(self, before_us: float, after_us: float) -> str:
        return ""


def chosen_places(probabilities: np.ndarray, width: int) -> list[int]:
    """Return the places of the candidates to apply, the likeliest first; none where the policy would stop.

    The first is the likeliest action. Each other is likelier than STOP, and at least half as likely as the first.

    Args:
        probabilities: Of all actions; float (num_actions,).
        width: Candidates, at most.
    """
    order = np.argsort(-probabilities, kind="stable")
    if order[0] == STOP:
        return []
    least = max(float(probabilities[STOP]), 0.5 * float(probabilities[order[0]]))
    likely = [int(action) for action in order[:width] if probabilities[action] >= least and action >= FIRST_CANDIDATE]
    return [action - FIRST_CANDIDATE for action in likely]


def task_of(arena: Arena) -> Task:
    """Return the task that an arena is about.

    Raises:
        UsageError: The arena has no surroundings.
    """
    surroundings = arena.surroundings
    if surroundings is None:
        raise UsageError("a learned search needs the surroundings of the model, and there are none")
    return Task(
        name=_NAME,
        graph=arena.session.graph,
        rules=arena.session.rules,
        prices=_Prices(surroundings),
        sizes=surroundings.sizes,
        provider=surroundings.provider,
    )


_NAME: Final = "model"


@final
class _Prices(PriceSource):
    """The prices that a run measures."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings

    @override
    def price(self, session: Session, clusters: Sequence[Cluster], maker: MicroMaker) -> Mapping[Cluster, float]:
        return self._surroundings.price(session, clusters, maker)
