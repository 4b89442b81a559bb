"""The tasks of a training, and the environment that plays them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rl.env import EGraphEnv, Settings
from rl.rewards import ExactGain, FinalGain, Rewards
from rl.tasks import Task, read_task

if TYPE_CHECKING:
    from rl.config import EpisodeConfig, TaskConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSplit:
    """What is trained on, and what tells whether it helps.

    Attributes:
        training: At least one task.
        validation: At least one; the same one may be in both.
    """

    training: Sequence[Task]
    validation: Sequence[Task]


TaskSource = Callable[[], TaskSplit]
"""Makes the tasks, the same ones in every process; importable from there."""


def make_env(config: EpisodeConfig, source: TaskSource) -> EGraphEnv:
    """Return the environment of a process that plays."""
    split = source()
    tasks = {task.name: task for task in (*split.training, *split.validation)}
    settings = Settings(
        max_steps=config.max_steps,
        max_enodes=config.max_enodes,
        growth=(config.min_growth, config.max_growth) if config.max_growth else (math.inf, math.inf),
        rewards=Rewards(gamma=config.gamma, is_shaped=config.is_shaped),
        has_rebase=config.has_rebase,
        max_kept_sessions=config.max_kept_sessions,
    )
    return EGraphEnv(list(tasks.values()), settings, final_gain=_final_gain(config))


def _final_gain(config: EpisodeConfig) -> FinalGain | None:
    if config.is_measured:
        from rl.measured_gain import MeasuredGain

        return MeasuredGain()
    return ExactGain() if config.is_exact else None


def source_of(config: TaskConfig) -> TaskSource:
    """Return what makes the tasks that settings ask for."""
    if config.models:
        return partial(_models, tuple(config.models))
    return partial(_families, config)


def _families(config: TaskConfig) -> TaskSplit:
    from rl.families import training_tasks, validation_tasks

    return TaskSplit(
        training=training_tasks({"first": config.first_seed, "count": config.num_training}),
        validation=validation_tasks({"first": config.first_seed, "count": config.num_validation}),
    )


def _models(paths: tuple[str, ...]) -> TaskSplit:
    from eqsat.rules.book import load_rules
    from rl.prices import TablePrices

    rules, prices = load_rules(), TablePrices()
    tasks = [read_task(Path(path), rules.select(), prices) for path in paths]
    return TaskSplit(training=tasks, validation=tasks)
