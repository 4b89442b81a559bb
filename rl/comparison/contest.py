"""All contenders on all tasks, and the document that says what came out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from eqsat.runtime.devices import cpu_name
from eqsat.text.versions import installed_versions
from rl.comparison.ledger import PriceBook
from rl.comparison.summary import median_gains, standings

if TYPE_CHECKING:
    from rl.comparison.attempts import Attempt, Contender, Limits
    from rl.env.tasks import Task

SCHEMA: Final = 1
_LIBRARIES: Final = ("egglog", "gymnasium", "numpy", "onnxruntime-gpu", "onnxruntime", "ortools", "torch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came out under one budget.

    Attributes:
        limits: The budget.
        attempts: Every attempt.
        best_us: Cheapest graph known of each task, from elsewhere; may be empty.
    """

    limits: Limits
    attempts: Sequence[Attempt]
    best_us: Mapping[str, float]


def compare(
    tasks: Sequence[tuple[Task, PriceBook]],
    contenders: Sequence[Contender],
    limits: Limits,
    *,
    num_seeds: int,
    tell: Callable[[Attempt], None] = lambda _: None,
) -> list[Attempt]:
    """Let every contender try every task; one that does not draw tries it once, the others once for each seed.

    Args:
        tasks: Tasks with their prices.
        contenders: Who takes part.
        limits: The budget of one attempt.
        num_seeds: Number of seeds, from 0.
        tell: Is told of each attempt.
    """
    found = []
    for task, book in tasks:
        for contender in contenders:
            for seed in range(num_seeds if contender.is_random else 1):
                found.append(contender.attempt(task, book, limits, seed))
                tell(found[-1])
    return found


def line(attempt: Attempt) -> str:
    """Return an attempt as one line."""
    return (
        f"{attempt.task}  {attempt.contender}  seed {attempt.seed}: "
        f"{attempt.initial_us:.1f} -> {attempt.cost_us:.1f} us ({attempt.gain:.1%}), "
        f"{attempt.search_s:.1f} + {attempt.extract_s:.1f} s, {attempt.num_measurements} prices, "
        f"{attempt.num_enodes} e-nodes, {attempt.num_steps} steps, {attempt.stop_reason}"
    )


def document(comparisons: Sequence[Comparison], *, reference: str, notes: Mapping[str, object]) -> dict[str, Any]:
    """Return everything as what JSON can say.

    Args:
        comparisons: Results, one for each budget.
        reference: The contender that the others are compared with.
        notes: What else is worth knowing: tasks, checkpoints, the device.
    """
    return {
        "schema": SCHEMA,
        "machine": cpu_name(),
        "versions": installed_versions(*_LIBRARIES),
        **notes,
        "comparisons": [
            {
                "limits": {name: _finite(value) for name, value in asdict(each.limits).items()},
                "reference": reference,
                "best_us": dict(each.best_us),
                "standings": [
                    asdict(standing) for standing in standings(each.attempts, reference=reference, best_us=each.best_us)
                ],
                "median_gains": {
                    task: {name: asdict(interval) for name, interval in by_name.items()}
                    for task, by_name in median_gains(each.attempts).items()
                },
                "attempts": [asdict(attempt) for attempt in each.attempts],
            }
            for each in comparisons
        ],
    }


def _finite(value: float) -> float | None:
    """JSON has no infinity: no limit is null."""
    return value if math.isfinite(value) else None
