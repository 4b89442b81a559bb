"""What an episode pays: the relative drop of the price, told step by step without changing which policy is best.

With the potential ``phi(s) = (initial - cost(s)) / initial`` and the gain ``G`` at the end of an episode, a step pays

    ``gamma * phi(s') - phi(s)``    (Ng, Harada, Russell 1999, "Policy invariance under reward transformations")

and STOP pays ``G - phi(s)``: the potential of a state after the end is zero. The discounted sum over an episode that
stops after ``T`` steps is ``gamma^T * G``, whatever it went through: going uphill for a while costs nothing in the end.
A policy that changes nothing earns zero, however long it goes on, since the potential of the start is zero.

``G`` is ``phi(s)`` itself, from the extraction's price, or a measurement of the finalist from end to end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, final

from typing_extensions import override

from eqsat.extraction.cpsat import solve

if TYPE_CHECKING:
    from eqsat.egraph.session import Session
    from eqsat.extraction.problem import Selection
    from rl.env.tasks import Task
    from rl.env.tracker import Snapshot


def potential(cost_us: float, initial_us: float) -> float:
    """Return the relative drop of a price, at most 1; 0 where nothing was to be paid in the first place."""
    return (initial_us - cost_us) / initial_us if initial_us > 0 else 0.0


def shaping(before: float, after: float, gamma: float) -> float:
    """Return what a step pays, from the potentials of the two states."""
    return gamma * after - before


def discounted_sum(rewards: list[float], gamma: float) -> float:
    """Return the sum of rewards, each weighted by ``gamma`` to the power of its place."""
    total = 0.0
    for reward in reversed(rewards):
        total = reward + gamma * total
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewards:
    """How an environment pays.

    Attributes:
        gamma: Discount of the learner, from 0 to 1.
        is_shaped: False pays nothing before STOP, and the whole gain there.

    Raises:
        ValueError: ``gamma`` is not between 0 and 1.
    """

    gamma: float = 0.99
    is_shaped: bool = True

    def __post_init__(self) -> None:
        """Refuse a discount that is none."""
        if not 0.0 <= self.gamma <= 1.0:
            raise ValueError(f"gamma is {self.gamma}, not between 0 and 1")

    def step(self, before: float, after: float) -> float:
        """Return what a step pays that goes on, from the potentials of the two states."""
        return shaping(before, after, self.gamma) if self.is_shaped else 0.0

    def stop(self, before: float, gain: float) -> float:
        """Return what STOP pays, from the potential of the state and the gain of the whole episode."""
        return gain - before if self.is_shaped else gain


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """An episode at STOP.

    Attributes:
        task: What it was about.
        session: The e-graph.
        snapshot: Its prices.
        selection: The current extraction.
        initial_us: Price of the extraction at the start.
    """

    task: Task
    session: Session
    snapshot: Snapshot
    selection: Selection
    initial_us: float


class FinalGain(Protocol):
    """Says at STOP what an episode has gained, better than the extraction of a step can."""

    def __call__(self, ending: Ending) -> float:
        """Return the relative drop: at most 1, below 0 for a loss."""
        ...


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ExactGain(FinalGain):
    """The gain by exact extraction.

    Attributes:
        time_limit_s: Seconds at most; a result that a clock has cut short need not come out the same again.
        work_limit: Limit in the solver's own unit, which cuts at the same point on every machine.
    """

    time_limit_s: float = 60.0
    work_limit: float = 2.0

    @override
    def __call__(self, ending: Ending) -> float:
        found = solve(
            ending.snapshot.problem,
            time_limit_s=self.time_limit_s,
            hint=ending.selection,
            work_limit=self.work_limit,
        )
        return potential(found.selection.cost_us, ending.initial_us)
