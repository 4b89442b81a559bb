"""The tasks of a training, and the environment that plays them."""

from __future__ import annotations

import atexit
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from eqsat.text.arguments import parse_input_shapes
from rl.env.environment import EGraphEnv, Settings
from rl.env.rewards import ExactGain, FinalGain, Rewards
from rl.env.tasks import Task, read_task

if TYPE_CHECKING:
    from rl.env.device import Device
    from rl.training.config import EpisodeConfig, TaskConfig


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
        max_kept_sessions=config.max_kept_sessions,
    )
    return EGraphEnv(list(tasks.values()), settings, final_gain=_final_gain(config))


def _final_gain(config: EpisodeConfig) -> FinalGain | None:
    if config.is_measured:
        from rl.env.measured_gain import MeasuredGain

        return MeasuredGain()
    return ExactGain() if config.is_exact else None


def source_of(config: TaskConfig) -> TaskSource:
    """Return what makes the tasks that settings ask for."""
    if config.models:
        return partial(_models, config)
    return partial(_families, config)


def _families(config: TaskConfig) -> TaskSplit:
    from rl.families import training_tasks, validation_tasks

    return TaskSplit(
        training=training_tasks({"first": config.first_seed, "count": config.num_training}),
        validation=validation_tasks({"first": config.first_seed, "count": config.num_validation}),
    )


def _models(config: TaskConfig) -> TaskSplit:
    from eqsat.rules.book import load_rules
    from rl.env.prices import TablePrices

    rules, table = load_rules([Path(file) for file in config.rules]).select(), TablePrices()
    shapes = parse_input_shapes(config.input_shapes)
    tasks = [
        read_task(Path(path), rules, table, input_shapes=shapes, provider=config.provider) for path in config.models
    ]
    if not config.is_tabulated:
        device = _device(config.provider, config.threads)
        tasks = [replace(task, prices=device.prices(task.graph.opset)) for task in tasks]
    return TaskSplit(training=tasks, validation=tasks)


@cache
def _device(provider: str, threads: int) -> Device:
    """Return the machine that this process measures on; what runs on it ends with the process."""
    from rl.env.device import Device

    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(Device(None, provider=provider, threads=threads))
