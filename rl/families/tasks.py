"""Tasks to train on and to validate with, each from a seed alone."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

import numpy as np

from eqsat.errors import UsageError
from rl.env.tasks import Task
from rl.families.choices import pick
from rl.families.kinds import HELD_OUT_KINDS, TRAINING_KINDS, Kind, make_graph
from rl.families.prices import CalibratedPrices, Device, measured_fits
from rl.families.regimes import Regime, rules_of

SMALLEST: Final = 80
LARGEST: Final = 700
"""Values of a small model; an episode makes it two or three times as large."""

SPREAD: Final = 0.3
"""Standard deviation of the logarithm of a kernel's speed among the devices of training."""

MOST_WORK: Final = 300.0
"""How much slower than the measured device one may be at arithmetic: as if models were that much larger."""

_REGIMES: Final = (*(Regime.DEFAULT,) * 9, *(Regime.ALL,) * 7, *(Regime.TASO,) * 4)
_TASO_KINDS: Final = frozenset(
    {Kind.RESIDUAL, Kind.GROUPED, Kind.BRANCHES, Kind.ALGEBRA, Kind.RECURRENT, Kind.FEED_FORWARD}
)
"""Kinds in which the operators of TASO are enough to change something."""


class Split(StrEnum):
    """What tasks are for; no task is of two splits."""

    TRAIN = "train"
    VALIDATION = "validation"
    """Other draws of the same kinds."""
    HELD_OUT = "held-out"
    """Kinds that training never sees."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds of its tasks."""
        return HELD_OUT_KINDS if self is Split.HELD_OUT else TRAINING_KINDS


def make_task(seed: int, *, split: Split = Split.TRAIN, kind: Kind | None = None) -> Task:
    """Return a task; equal arguments give equal tasks.

    Args:
        seed: Seed, from 0.
        split: What it is for.
        kind: Kind of model; drawn among those of the split where it is left out.

    Raises:
        UsageError: No task of that kind is of this split.
    """
    if kind is not None and kind not in split.kinds:
        raise UsageError(f"no {split} task is of kind {kind} (these are: {', '.join(split.kinds)})")
    rng = np.random.default_rng([zlib.crc32(split.encode()), seed])
    drawn = pick(rng, split.kinds)
    kind = kind or drawn
    graph, sizes = make_graph(kind, rng, _size(rng))
    regime = pick(rng, _REGIMES)
    if regime is Regime.TASO and kind not in _TASO_KINDS:
        regime = Regime.ALL
    device = Device(seed=seed, spread=SPREAD, slowness=math.exp(rng.uniform(0.0, math.log(MOST_WORK))))
    return Task(
        name=f"{split}-{kind}-{regime}-{seed}",
        graph=graph,
        rules=rules_of(regime, graph.opset),
        prices=CalibratedPrices(measured_fits(), device),
        sizes=sizes,
    )


def make_tasks(seeds: Iterable[int], *, split: Split = Split.TRAIN, kind: Kind | None = None) -> list[Task]:
    """Return the tasks of some seeds, see :func:`make_task`."""
    return [make_task(seed, split=split, kind=kind) for seed in seeds]


def training_tasks(options: Mapping[str, object]) -> Sequence[Task]:
    """Return the tasks that a training run draws from.

    Args:
        options: ``first`` seed (0) and ``count`` of tasks (200).

    Raises:
        UsageError: An option is unknown or no whole number.
    """
    return make_tasks(_seeds(options, 200), split=Split.TRAIN)


def validation_tasks(options: Mapping[str, object]) -> Sequence[Task]:
    """Return the tasks by which a training run is judged: half of them of kinds that it does not train on.

    Args:
        options: ``first`` seed (0) and ``count`` of tasks (20).

    Raises:
        UsageError: An option is unknown or no whole number.
    """
    seeds = _seeds(options, 20)
    half = len(seeds) // 2
    return [*make_tasks(seeds[half:], split=Split.VALIDATION), *make_tasks(seeds[:half], split=Split.HELD_OUT)]


def _seeds(options: Mapping[str, object], count: int) -> range:
    numbers = {"first": 0, "count": count}
    for name, value in options.items():
        if name not in numbers or not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise UsageError(f"tasks have no option {name!r} with the value {value!r} (they have: first, count)")
        numbers[name] = value
    return range(numbers["first"], numbers["first"] + numbers["count"])


def _size(rng: np.random.Generator) -> int:
    return round(math.exp(rng.uniform(math.log(SMALLEST), math.log(LARGEST))))
