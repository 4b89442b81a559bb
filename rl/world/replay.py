"""Trajectories of the real environment, kept to learn from again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

import numpy as np

from rl.agent.packing import PackedObservation, pack
from rl.env.observation import FIRST_CANDIDATE, STOP, Observation
from rl.world.identity import NEW, predecessors

if TYPE_CHECKING:
    from eqsat.egraph.groups import Group
    from rl.env.environment import EGraphEnv

Choose = Callable[[Observation], int]
"""Returns an allowed action."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """One real episode.

    Attributes:
        task: Name of what it was about.
        observations: Every state, the last one included; num_steps + 1.
        actions: int64 (num_steps,).
        rewards: float64 (num_steps,).
        predecessors: For each step, which candidate each candidate after it continues, see
            :func:`rl.world.identity.predecessors`; int64 (num_candidates after it,).
        costs_us: Price of the extraction in every state; float64 (num_steps + 1,).
        num_enodes: Size of the e-graph in every state; int64 (num_steps + 1,).
        is_terminated: True where STOP ended it, False where a limit did.
    """

    task: str
    observations: tuple[PackedObservation, ...]
    actions: np.ndarray
    rewards: np.ndarray
    predecessors: tuple[np.ndarray, ...]
    costs_us: np.ndarray
    num_enodes: np.ndarray
    is_terminated: bool

    @property
    def num_steps(self) -> int:
        """Number of actions taken."""
        return len(self.actions)

    @property
    def num_moves(self) -> int:
        """Number of steps that led to another state: all but STOP."""
        return self.num_steps - int(self.is_terminated)

    @property
    def gain(self) -> float:
        """Relative drop of the price."""
        initial = float(self.costs_us[0])
        return 1.0 - float(self.costs_us[-1]) / initial if initial > 0 else 0.0

    @property
    def log_costs(self) -> np.ndarray:
        """Logarithm of the price of every state, relative to that of the first; float64 (num_steps + 1,)."""
        costs: np.ndarray = np.log(np.maximum(self.costs_us, _LEAST_US)) - np.log(max(self.costs_us[0], _LEAST_US))
        return costs


_LEAST_US: Final = 1e-3


def play(env: EGraphEnv, choose: Choose, task: str, seed: int) -> Trajectory:
    """Play one episode, and keep all of it.

    Args:
        env: Knows the task.
        choose: Decides.
        task: Name of the task.
        seed: Seed of the environment.

    Raises:
        UsageError: The environment has no such task.
    """
    observation, info = env.reset(seed=seed, options={"task": task})
    observations, costs_us, num_enodes = [pack(observation)], [info["cost_us"]], [info["num_enodes"]]
    actions: list[int] = []
    rewards: list[float] = []
    links: list[np.ndarray] = []
    terminated = truncated = False
    while not (terminated or truncated):
        action, before = choose(observation), env.look.groups
        observation, reward, terminated, truncated, info = env.step(np.int64(action))
        links.append(_links(env, action, before))
        observations.append(pack(observation))
        actions.append(action)
        rewards.append(reward)
        costs_us.append(info["cost_us"])
        num_enodes.append(info["num_enodes"])
    return Trajectory(
        task=task,
        observations=tuple(observations),
        actions=np.array(actions, np.int64),
        rewards=np.array(rewards),
        predecessors=tuple(links),
        costs_us=np.array(costs_us),
        num_enodes=np.array(num_enodes, np.int64),
        is_terminated=terminated,
    )


def _links(env: EGraphEnv, action: int, before: Sequence[Group]) -> np.ndarray:
    """Return the predecessors of the candidates on offer now, after an action."""
    after = env.look.groups
    if action == STOP:
        return np.arange(len(after))
    return predecessors(env.scene.session, before, after)


def problems(trajectory: Trajectory) -> list[str]:
    """Return what is wrong with a trajectory: lengths that do not fit, or a candidate that continues two."""
    steps, found = trajectory.num_steps, []
    if not len(trajectory.observations) == len(trajectory.costs_us) == len(trajectory.num_enodes) == steps + 1:
        found.append("there must be one state more than there are steps")
    if not len(trajectory.rewards) == len(trajectory.predecessors) == steps:
        found.append("each step has one reward and one set of predecessors")
    counts = [len(each.arrays["candidate_rule"]) for each in trajectory.observations]
    for step, links in enumerate(trajectory.predecessors):
        known = links[links != NEW]
        if len(links) != counts[step + 1] or (known.size and not 0 <= known.min() <= known.max() < counts[step]):
            found.append(f"the predecessors of step {step} are not candidates of the state before it")
        elif len(np.unique(known)) < len(known):
            found.append(f"a candidate is continued twice by step {step}")
    return found


@final
class Replay:
    """The last trajectories, up to a number of steps.

    Attributes:
        trajectories: From the oldest to the newest.
    """

    def __init__(self, max_steps: int) -> None:
        """Keep as many steps at most, and always the newest trajectory."""
        self.trajectories: list[Trajectory] = []
        self._max_steps = max_steps

    @property
    def num_steps(self) -> int:
        """Steps of all trajectories."""
        return sum(each.num_steps for each in self.trajectories)

    def add(self, trajectories: Sequence[Trajectory]) -> None:
        """Keep more, and forget the oldest where there is no room."""
        self.trajectories.extend(trajectories)
        surplus = self.num_steps - self._max_steps
        num_forgotten = 0
        while surplus > 0 and num_forgotten < len(self.trajectories) - 1:
            surplus -= self.trajectories[num_forgotten].num_steps
            num_forgotten += 1
        del self.trajectories[:num_forgotten]

    def rules(self) -> frozenset[int]:
        """Return the buckets of all rules that had a candidate somewhere."""
        seen = [each.arrays["candidate_rule"] for one in self.trajectories for each in one.observations]
        return frozenset(np.unique(np.concatenate(seen)).tolist()) if seen else frozenset()


def chosen_candidate(action: int) -> int:
    """Return the candidate that an action applies.

    Raises:
        ValueError: It applies none: STOP has no state after it.
    """
    if action < FIRST_CANDIDATE:
        raise ValueError(f"action {action} applies no candidate")
    return action - FIRST_CANDIDATE
