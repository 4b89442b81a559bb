"""What a comparison says: gains by task with their intervals, and one line for each contender."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from rl.comparison.attempts import Attempt

NUM_RESAMPLES: Final = 2_000
TIE: Final = 1e-3
"""Gains that differ by less are a tie: a difference in prices that no latency shows."""

MOST_GAIN: Final = 0.999
"""A graph that costs next to nothing counts as a thousand times as fast, so that means stay finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A median or a mean, and where 95 % of its bootstrap resamples lie (Efron 1979).

    Attributes:
        middle: The number itself.
        low: End of the interval; equal to the number where there was one draw only.
        high: The other end.
    """

    middle: float
    low: float
    high: float

    @staticmethod
    def of(middle: float, resampled: np.ndarray) -> Interval:
        """Return the interval of a number from its resamples; float (num_resamples,)."""
        low, high = np.percentile(resampled, (2.5, 97.5))
        return Interval(middle=middle, low=float(low), high=float(high))


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a contender stands after all tasks.

    Attributes:
        contender: Its name.
        speedup: Geometric mean over the tasks of the price before over the price after, the median over the seeds.
        share_of_best: What of the best known gain that is: of the geometric mean of the cheapest graphs known.
        num_best: Tasks in which nobody found a cheaper graph.
        num_better: Tasks in which it did better than the reference.
        num_worse: Tasks in which it did worse.
        seconds: Median over the tasks of its median seconds.
        num_measurements: Median over the tasks of the prices that it asked for.
        num_enodes: Median over the tasks of the size of its e-graph.
    """

    contender: str
    speedup: Interval
    share_of_best: Interval
    num_best: int
    num_better: int
    num_worse: int
    seconds: float
    num_measurements: float
    num_enodes: float


Gains = Mapping[str, Mapping[str, Sequence[float]]]
"""Gains of every seed, by task and by contender."""


def gains_of(attempts: Sequence[Attempt]) -> Gains:
    """Return the gains by task and contender, each in the order of the attempts."""
    found: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for attempt in attempts:
        found[attempt.task][attempt.contender].append(attempt.gain)
    return found


def median_gains(attempts: Sequence[Attempt], seed: int = 0) -> dict[str, dict[str, Interval]]:
    """Return the median gain over the seeds, by task and contender.

    Args:
        attempts: All attempts.
        seed: Seed of the resampling.
    """
    rng = np.random.default_rng(seed)
    return {
        task: {
            name: Interval.of(statistics.median(gains), np.median(_resampled(gains, rng), axis=1))
            for name, gains in by_name.items()
        }
        for task, by_name in gains_of(attempts).items()
    }


def standings(
    attempts: Sequence[Attempt],
    *,
    reference: str = "saturate",
    best_us: Mapping[str, float] | None = None,
    seed: int = 0,
) -> list[Standing]:
    """Return the contenders, the best one first; each must have tried every task.

    Args:
        attempts: All attempts.
        reference: The contender that the others are compared with; where it took no part, nobody is better or worse.
        best_us: Cheapest graph known of each task, from elsewhere; what was found here counts too.
        seed: Seed of the resampling.

    Raises:
        ValueError: A contender left out a task.
    """
    rng = np.random.default_rng(seed)
    gains = gains_of(attempts)
    names = list(dict.fromkeys(attempt.contender for attempt in attempts))
    for task, by_name in gains.items():
        missing = [name for name in names if name not in by_name]
        if missing:
            raise ValueError(f"{', '.join(missing)} did not try {task}")
    best = _best_gains(attempts, best_us or {})
    goal = _geometric_speedup(list(best.values()))
    found = []
    for name in names:
        medians = {task: statistics.median(gains[task][name]) for task in gains}
        rivals = {task: statistics.median(gains[task][reference]) for task in gains if reference in gains[task]}
        resampled = _resampled_speedups([gains[task][name] for task in gains], rng)
        speedup = Interval.of(_geometric_speedup(list(medians.values())), resampled)
        mine = [attempt for attempt in attempts if attempt.contender == name]
        found.append(
            Standing(
                contender=name,
                speedup=speedup,
                share_of_best=Interval(
                    middle=_share(speedup.middle, goal), low=_share(speedup.low, goal), high=_share(speedup.high, goal)
                ),
                num_best=sum(gain >= best[task] - TIE for task, gain in medians.items()),
                num_better=sum(medians[task] > rival + TIE for task, rival in rivals.items()),
                num_worse=sum(medians[task] < rival - TIE for task, rival in rivals.items()),
                seconds=_median_of_tasks(mine, [attempt.seconds for attempt in mine]),
                num_measurements=_median_of_tasks(mine, [attempt.num_measurements for attempt in mine]),
                num_enodes=_median_of_tasks(mine, [attempt.num_enodes for attempt in mine]),
            )
        )
    return sorted(found, key=lambda standing: -standing.speedup.middle)


def _best_gains(attempts: Sequence[Attempt], best_us: Mapping[str, float]) -> dict[str, float]:
    """Return the gain of the cheapest graph known, by task."""
    best: dict[str, float] = {}
    for attempt in attempts:
        known_us = min(attempt.cost_us, best_us.get(attempt.task, math.inf))
        gain = max(0.0, 1.0 - known_us / attempt.initial_us) if attempt.initial_us > 0 else 0.0
        best[attempt.task] = max(best.get(attempt.task, 0.0), gain)
    return best


def _geometric_speedup(gains: Sequence[float]) -> float:
    """Return the geometric mean of the speed-ups that belong to gains: 1 / (1 - gain)."""
    return math.exp(statistics.fmean(-math.log1p(-min(gain, MOST_GAIN)) for gain in gains))


def _share(speedup: float, goal: float) -> float:
    """Return what of a gain is reached, all of it where there is none."""
    return (speedup - 1.0) / (goal - 1.0) if goal > 1.0 else 1.0


def _resampled(gains: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Return gains drawn again with replacement; float (num_resamples, num_gains)."""
    values = np.array(gains)
    drawn: np.ndarray = values[rng.integers(len(values), size=(NUM_RESAMPLES, len(values)))]
    return drawn


def _resampled_speedups(gains: Sequence[Sequence[float]], rng: np.random.Generator) -> np.ndarray:
    """Return the geometric mean speed-up for each resample of the seeds within each task; float (num_resamples,)."""
    logs = [-np.log1p(-np.minimum(np.median(_resampled(each, rng), axis=1), MOST_GAIN)) for each in gains]
    speedups: np.ndarray = np.exp(np.mean(logs, axis=0))
    return speedups


def _median_of_tasks(attempts: Sequence[Attempt], values: Sequence[float]) -> float:
    by_task: defaultdict[str, list[float]] = defaultdict(list)
    for attempt, value in zip(attempts, values, strict=True):
        by_task[attempt.task].append(value)
    return statistics.median(statistics.median(each) for each in by_task.values())


def table(found: Sequence[Standing]) -> str:
    """Return standings as lines of text."""
    head = ("contender", "speed-up", "95 %", "of best", "best", "better", "worse", "seconds", "prices", "e-nodes")
    rows = [
        (
            each.contender,
            f"{each.speedup.middle:.4f}",
            f"{each.speedup.low:.4f}-{each.speedup.high:.4f}",
            f"{each.share_of_best.middle:.1%}",
            str(each.num_best),
            str(each.num_better),
            str(each.num_worse),
            f"{each.seconds:.1f}",
            f"{each.num_measurements:.0f}",
            f"{each.num_enodes:.0f}",
        )
        for each in found
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (head, *rows)
    )


def gain_table(attempts: Sequence[Attempt]) -> str:
    """Return the median gain of each contender in each task as lines of text."""
    medians = median_gains(attempts)
    names = list(dict.fromkeys(attempt.contender for attempt in attempts))
    width = max(len(task) for task in medians)
    lines = [" " * width + "".join(f"{name:>12}" for name in names)]
    for task, by_name in medians.items():
        cells = (f"{by_name[name].middle:>12.1%}" if name in by_name else f"{'':>12}" for name in names)
        lines.append(task.ljust(width) + "".join(cells))
    return "\n".join(lines)
