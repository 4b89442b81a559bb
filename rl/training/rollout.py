"""Whole episodes, played by a policy.

Every episode has an order that names its task and its seed, and comes out the same wherever and after whatever it is
played.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, final

import numpy as np
import torch
from typing_extensions import override

from rl.agent.packing import PackedObservation, pack
from rl.agent.policy import Policy
from rl.env.environment import Truncation

if TYPE_CHECKING:
    from rl.agent.checkpoint import Checkpoint
    from rl.env.environment import EGraphEnv


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An episode to be played.

    Attributes:
        task: Name of the task.
        seed: Seed of every draw.
        is_greedy: True takes the likeliest action each time, and keeps no observation.
    """

    task: str
    seed: int
    is_greedy: bool = False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """An episode that was played.

    Attributes:
        order: What was asked for.
        observations: State before each step; none of a greedy episode.
        actions: int64 (num_steps,).
        log_probs: Of the actions, by the policy that took them; float64 (num_steps,).
        values: Of the states before each step, by the same; float64 (num_steps,).
        rewards: float64 (num_steps,).
        is_terminated: True where it ended by STOP, False where a limit ended it.
        last_value: Value of the state after the last step. 0 where STOP ended it, and where the room that it was given
            was used up (``growth`` of the settings): that is what a task is about, and nothing comes after it.
        initial_us: Price of the model.
        cost_us: Price of what was extracted at the end.
        num_enodes: Size of the e-graph at the end.
    """

    order: Order
    observations: tuple[PackedObservation, ...]
    actions: np.ndarray
    log_probs: np.ndarray
    values: np.ndarray
    rewards: np.ndarray
    is_terminated: bool
    last_value: float
    initial_us: float
    cost_us: float
    num_enodes: int

    @property
    def gain(self) -> float:
        """Relative drop of the price."""
        return 1.0 - self.cost_us / self.initial_us if self.initial_us > 0 else 0.0

    @property
    def num_steps(self) -> int:
        """Number of actions taken."""
        return len(self.actions)


def play(env: EGraphEnv, policy: Policy, order: Order) -> Episode:
    """Play one episode.

    Args:
        env: Knows the order's task.
        policy: Decides.
        order: Which episode.

    Raises:
        UsageError: The environment has no such task.
    """
    generator = None if order.is_greedy else torch.Generator().manual_seed(order.seed)
    observation, info = env.reset(seed=order.seed, options={"task": order.task})
    kept: list[PackedObservation] = []
    steps: list[tuple[int, float, float, float]] = []
    terminated = truncated = False
    while not (terminated or truncated):
        (decision,) = policy.act([observation], generator)
        if not order.is_greedy:
            kept.append(pack(observation))
        observation, reward, terminated, truncated, info = env.step(np.int64(decision.action))
        steps.append((decision.action, decision.log_prob, decision.value, reward))
    is_full = info["truncation"] == Truncation.ENODES and math.isfinite(env.settings.growth[1])
    last_value = 0.0 if terminated or is_full else policy.act([observation])[0].value
    actions, log_probs, values, rewards = (np.array(column) for column in zip(*steps, strict=True))
    return Episode(
        order=order,
        observations=tuple(kept),
        actions=actions,
        log_probs=log_probs,
        values=values,
        rewards=rewards,
        is_terminated=terminated,
        last_value=last_value,
        initial_us=info["initial_us"],
        cost_us=info["cost_us"],
        num_enodes=info["num_enodes"],
    )


class Players(Protocol):
    """Plays episodes."""

    def play(self, checkpoint: Checkpoint, orders: Sequence[Order]) -> list[Episode]:
        """Return the episodes of the orders, in their order; fewer, but at least one, where time is over.

        Args:
            checkpoint: Plays them all.
            orders: Which ones.
        """
        ...


@final
class PlayersHere(Players):
    """Plays in this process, one episode after the other; :class:`~rl.training.apart.Apart` has one in each process."""

    def __init__(self, env: EGraphEnv, is_over: Callable[[], bool] = lambda: False) -> None:
        """Play in an environment.

        Args:
            env: Where.
            is_over: Asked after each episode; True leaves out those that are still to be played.
        """
        self._env = env
        self._is_over = is_over

    @override
    def play(self, checkpoint: Checkpoint, orders: Sequence[Order]) -> list[Episode]:
        policy = Policy.of(checkpoint)
        episodes: list[Episode] = []
        for order in orders:
            episodes.append(play(self._env, policy, order))
            if self._is_over():
                break
        return episodes
