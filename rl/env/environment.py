"""The search for a faster model as a Gymnasium environment.

An episode is about one model. An action applies one candidate (or a group of equal ones), or ends the episode (STOP).
The reward is the relative drop of the extracted price, see :mod:`rl.env.rewards`. STOP makes an episode ``terminated``,
a limit makes it ``truncated``: a learner bootstraps at the second only.

The observation has no fixed size and the actions no fixed number, so that both have spaces of their own, see
:mod:`rl.env.space`. Which actions are allowed, the observation says; no other is taken.
"""

from __future__ import annotations

import copy
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, final

import gymnasium
import numpy as np
from gymnasium.error import InvalidAction, ResetNeeded
from typing_extensions import override

from eqsat.errors import UsageError
from eqsat.extraction.cpsat import ExtractionResult, solve
from eqsat.search.room import apply_within
from rl.env.observation import FIRST_CANDIDATE, STOP, Observation
from rl.env.rewards import Ending, Rewards, potential
from rl.env.scene import Look, Scene
from rl.env.space import ActionSpace, ObservationSpace

if TYPE_CHECKING:
    from rl.env.rewards import FinalGain
    from rl.env.tasks import Task


class Truncation(StrEnum):
    """The limit that ended an episode."""

    STEPS = "steps"
    ENODES = "enodes"
    TIME = "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the episodes of an environment have in common.

    Attributes:
        max_steps: Actions of an episode.
        max_enodes: Size of the e-graph at which nothing more is applied, and an episode ends.
        growth: Least and largest size at which an episode ends, as a multiple of that at its beginning; each episode
            draws its own between them. At an infinite one only ``max_enodes`` ends it.
        max_seconds: Seconds of an episode; a finite number makes it depend on the machine.
        rewards: How it pays.
        is_grouped: Whether equal candidates are one action; else each is its own.
        max_kept_sessions: Models whose e-graphs are kept for the next episode about them.
    """

    max_steps: int = 100
    max_enodes: int = 10_000
    growth: tuple[float, float] = (math.inf, math.inf)
    max_seconds: float = math.inf
    rewards: Rewards = field(default_factory=Rewards)
    is_grouped: bool = True
    max_kept_sessions: int = 4


@final
@dataclass(slots=True, kw_only=True)
class _Episode:
    """Where an episode stands."""

    scene: Scene
    look: Look
    initial_us: float
    deadline: float
    max_enodes: float
    num_steps: int = 0
    is_over: bool = False

    @property
    def potential(self) -> float:
        return potential(self.look.selection.cost_us, self.initial_us)


@final
class EGraphEnv(gymnasium.Env[Observation, np.int64]):
    """Optimises one model an episode.

    Attributes:
        settings: What the episodes have in common.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        settings: Settings | None = None,
        *,
        final_gain: FinalGain | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make an environment; nothing is loaded before the first :meth:`reset`.

        Args:
            tasks: The models; each episode is about one of them, drawn at random.
            settings: What the episodes have in common.
            final_gain: Says at STOP what was gained; the greedy extraction where it is left out.
            clock: Seconds on a clock that only goes forward.

        Raises:
            UsageError: There is no task, or two have one name.
        """
        self.metadata = {"render_modes": []}
        self.settings = settings or Settings()
        self.observation_space = ObservationSpace()
        self.action_space = ActionSpace()
        self._tasks = {task.name: task for task in tasks}
        if not tasks or len(self._tasks) < len(tasks):
            raise UsageError("an environment needs tasks, each with a name of its own")
        self._final_gain = final_gain
        self._clock = clock
        self._kept: OrderedDict[str, Scene] = OrderedDict()
        self._episode: _Episode | None = None

    @override
    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: Seed of the draws, of the task and of the size at which the episode ends; there is no other chance.
            options: ``{"task": name}`` chooses the task.

        Raises:
            UsageError: There is no task of that name.
        """
        super().reset(seed=seed)
        names = list(self._tasks)
        drawn = names[int(self.np_random.integers(len(names)))]
        name = (options or {}).get("task", drawn)
        if name not in self._tasks:
            raise UsageError(f"there is no task {name!r} (there are: {', '.join(names)})")
        began = self._clock()
        self._episode = None
        scene = self._start(self._tasks[name])
        look = scene.look()
        self._episode = _Episode(
            scene=scene,
            look=look,
            initial_us=look.selection.cost_us,
            deadline=began + self.settings.max_seconds,
            max_enodes=min(self.settings.max_enodes, self._growth() * scene.session.size().num_enodes),
        )
        return look.observation, self._info(self._episode)

    @override
    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take an action.

        Returns:
            The observation, the reward, whether the episode is ``terminated`` and ``truncated``, and what happened:
            ``task``, ``cost_us``, ``initial_us``, ``num_enodes``, ``num_steps``, the ``rule`` applied and how often
            (``num_applied``), and the limit that was reached (``truncation``), empty where there is none.

        Raises:
            ResetNeeded: No episode has begun, or it is over.
            InvalidAction: The observation's mask does not allow this action.
        """
        episode = self._running
        if episode.is_over:
            raise ResetNeeded("the episode is over: call reset first")
        number = int(action)
        mask = episode.look.observation.action_mask
        if not 0 <= number < len(mask) or not mask[number]:
            raise InvalidAction(f"action {action} is not allowed here: see the observation's action_mask")
        episode.num_steps += 1
        if number == STOP:
            return self._stop(episode)
        before = episode.potential
        previous = episode.look
        chosen = previous.groups[number - FIRST_CANDIDATE]
        num_applied = apply_within(episode.scene.session, chosen.candidates, episode.max_enodes)
        episode.look = episode.scene.look(previous)
        reward = self.settings.rewards.step(before, episode.potential)
        truncation = self._truncation(episode)
        episode.is_over = truncation is not None
        info = self._info(episode, rule=chosen.rule, num_applied=num_applied, truncation=truncation)
        return episode.look.observation, reward, False, episode.is_over, info

    @property
    def _running(self) -> _Episode:
        """The episode.

        Raises:
            ResetNeeded: None has begun.
        """
        if self._episode is None:
            raise ResetNeeded("no episode has begun: call reset first")
        return self._episode

    @property
    def scene(self) -> Scene:
        """The session of the episode as it is now.

        Raises:
            ResetNeeded: No episode has begun.
        """
        return self._running.scene

    @property
    def look(self) -> Look:
        """What the last observation was made from.

        Raises:
            ResetNeeded: No episode has begun.
        """
        return self._running.look

    @property
    def ending(self) -> Ending:
        """What the episode would end with now, or has ended with.

        Raises:
            ResetNeeded: No episode has begun.
        """
        scene, look = self.scene, self.look
        return Ending(
            task=scene.task,
            session=scene.session,
            snapshot=look.snapshot,
            selection=look.selection,
            initial_us=self._running.initial_us,
        )

    def extract(self, *, time_limit_s: float, seed: int = 0, work_limit: float = math.inf) -> ExtractionResult:
        """Return the exact extraction of the e-graph as it is now; steps only have the greedy one.

        Args:
            time_limit_s: Seconds.
            seed: Seed of the solver.
            work_limit: Limit in the solver's own unit, see :func:`eqsat.extraction.cpsat.solve`.

        Raises:
            ResetNeeded: No episode has begun.
        """
        look = self.look
        return solve(
            look.snapshot.problem, time_limit_s=time_limit_s, hint=look.selection, seed=seed, work_limit=work_limit
        )

    @override
    def close(self) -> None:
        """Forget all sessions."""
        self._kept.clear()
        self._episode = None

    def _stop(self, episode: _Episode) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        before, look = episode.potential, episode.look
        gain = before
        if self._final_gain is not None:
            gain = self._final_gain(self.ending)
        episode.is_over = True
        reward = self.settings.rewards.stop(before, gain)
        return copy.deepcopy(look.observation), reward, True, False, self._info(episode)

    def _start(self, task: Task) -> Scene:
        """Return the scene of a task at its start: the kept one, with all that was done to it undone, or a new one."""
        kept = self._kept.pop(task.name, None)
        if kept is not None and not kept.session.refused:
            kept.session.undo()
        else:
            kept = Scene.of(task, task.graph, is_grouped=self.settings.is_grouped)
            kept.look()
        if self.settings.max_kept_sessions:
            kept.session.checkpoint()
            self._kept[task.name] = kept
            while len(self._kept) > self.settings.max_kept_sessions:
                self._kept.popitem(last=False)
        return kept.copy()

    def _growth(self) -> float:
        least, largest = self.settings.growth
        if math.isinf(largest):
            return math.inf
        return float(np.exp(self.np_random.uniform(math.log(least), math.log(largest))))

    def _truncation(self, episode: _Episode) -> Truncation | None:
        """Return the limit that is reached, None while there is none."""
        if episode.scene.session.size().num_enodes >= episode.max_enodes:
            return Truncation.ENODES
        if episode.num_steps >= self.settings.max_steps:
            return Truncation.STEPS
        return Truncation.TIME if self._clock() >= episode.deadline else None

    @staticmethod
    def _info(
        episode: _Episode, *, rule: str = "", num_applied: int = 0, truncation: Truncation | None = None
    ) -> dict[str, Any]:
        return {
            "task": episode.scene.task.name,
            "cost_us": episode.look.selection.cost_us,
            "initial_us": episode.initial_us,
            "num_enodes": episode.scene.session.size().num_enodes,
            "num_steps": episode.num_steps,
            "rule": rule,
            "num_applied": num_applied,
            "truncation": str(truncation or ""),
        }
