"""Real episodes on order, with an exact account of what they took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, assert_never, final

import numpy as np
from typing_extensions import override

from rl.agent.policy import Policy
from rl.env.observation import STOP, Observation
from rl.training.tasks import TaskSource, TaskSplit, make_env
from rl.world.accounts import Account, CountedPrices, counted
from rl.world.collect import explorer
from rl.world.replay import Choose, Trajectory, play

if TYPE_CHECKING:
    from rl.agent.checkpoint import Checkpoint
    from rl.env.environment import EGraphEnv
    from rl.training.config import EpisodeConfig


class Manner(StrEnum):
    """How an episode is played."""

    EXPLORING = "exploring"
    """Drawn from the policy, and now and then from all candidates alike."""
    GREEDY = "greedy"
    """By the policy's likeliest action."""
    AT_RANDOM = "at_random"
    """Drawn from all candidates alike, until none is left."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An episode to be played.

    Attributes:
        task: Name of the task.
        seed: Seed of every draw.
        manner: How.
        random_share: Where it is exploring, the chance that a step takes any candidate.
    """

    task: str
    seed: int
    manner: Manner
    random_share: float = 0.0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """An episode that was played.

    Attributes:
        trajectory: What happened.
        account: What it took.
    """

    trajectory: Trajectory
    account: Account


class Reality(Protocol):
    """Plays episodes."""

    def play(self, checkpoint: Checkpoint, orders: Sequence[Order]) -> list[Played]:
        """Return the episodes of the orders, in their order.

        Args:
            checkpoint: The policy.
            orders: Which ones.
        """
        ...


@final
class RealityHere(Reality):
    """Plays in this process, one episode after the other."""

    def __init__(self, config: EpisodeConfig, source: TaskSource, clock: Callable[[], float] = time.monotonic) -> None:
        """Make an environment.

        Args:
            config: What the episodes are like.
            source: Makes the tasks.
            clock: Seconds on a clock that only goes forward.
        """
        self._env, self._prices = _counting(config, source)
        self._clock = clock

    @override
    def play(self, checkpoint: Checkpoint, orders: Sequence[Order]) -> list[Played]:
        policy = Policy.of(checkpoint)
        return [self._play(policy, order) for order in orders]

    def _play(self, policy: Policy, order: Order) -> Played:
        began, num_prices = self._clock(), self._num_prices()
        trajectory = play(self._env, chooser(policy, order), order.task, order.seed)
        account = Account(
            num_episodes=1,
            num_steps=trajectory.num_steps,
            num_prices=self._num_prices() - num_prices,
            real_s=self._clock() - began,
        )
        return Played(trajectory=trajectory, account=account)

    def _num_prices(self) -> int:
        return sum(each.num_prices for each in self._prices)


def chooser(policy: Policy, order: Order) -> Choose:
    """Return what decides in an episode."""
    match order.manner:
        case Manner.EXPLORING:
            return explorer(policy, order.seed, random_share=order.random_share)
        case Manner.GREEDY:
            return lambda observation: policy.act([observation])[0].action
        case Manner.AT_RANDOM:
            return _any_candidate(order.seed)
        case never:
            assert_never(never)


def _any_candidate(seed: int) -> Choose:
    rng = np.random.default_rng(seed)

    def choose(observation: Observation) -> int:
        allowed = [int(each) for each in np.flatnonzero(observation.action_mask) if each != STOP]
        return int(rng.choice(allowed or [STOP]))

    return choose


def _counting(config: EpisodeConfig, source: TaskSource) -> tuple[EGraphEnv, list[CountedPrices]]:
    """Return an environment of all tasks, and where the prices that it asks for are counted."""
    split = source()
    tasks = {task.name: task for task in (*split.training, *split.validation)}
    pairs = [counted(task) for task in tasks.values()]
    env = make_env(config, lambda: TaskSplit(training=[task for task, _ in pairs], validation=[]))
    return env, [prices for _, prices in pairs]
