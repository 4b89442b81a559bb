"""What a benchmark found: the rows, their summary by class, and the JSON document they are kept in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from bench.documents import write_document

SCHEMA = 1


class Standing(StrEnum):
    """How a contender stands after the test of one model."""

    TIMED = "timed"
    SAME_GRAPH = "same graph"
    WRONG = "wrong"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    NOT_SUPPORTED = "not supported"
    NOT_INSTALLED = "not installed"
    NOT_REACHED = "not reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Speedup:
    """A ratio of latencies, above 1 where the contender is faster, and its 95 % interval from the spread between pairs.

    Attributes:
        ratio: Median over fresh pairs of sessions.
        low: Lower end of the interval.
        high: Upper end of the interval; None where a single pair bounds nothing.
        num_pairs: Pairs behind it; 0 where the graphs are the same and nothing was timed.
    """

    ratio: float
    low: float
    high: float | None
    num_pairs: int

    def inverse(self) -> Speedup:
        """Return the speed-up of the baseline over the contender."""
        return Speedup(
            ratio=1.0 / self.ratio,
            low=0.0 if self.high is None else 1.0 / self.high,
            high=1.0 / self.low if self.low > 0.0 else None,
            num_pairs=self.num_pairs,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContenderRow:
    """One contender on one model.

    Attributes:
        name: The contender.
        standing: How it stands.
        speedup: Over the original at ONNX Runtime's default level; None unless it was timed or is the same graph.
        latency_us: Median latency; None unless it was timed.
        relative_error: Largest difference of an output from the original's, over the largest magnitude of that output;
            None where it was not run.
        seconds: Time it took to make the model.
        message: One line about a failure.
    """

    name: str
    standing: Standing
    speedup: Speedup | None = None
    latency_us: float | None = None
    relative_error: float | None = None
    seconds: float = 0.0
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """All contenders on one model.

    Attributes:
        name: The model.
        model_class: The class it is reported under.
        original_us: Median latency of the original; None where nothing was timed.
        contenders: The rows, ours first.
        best_peer: The fastest alternative, ``ort`` where no peer is faster than the original; empty without peers.
        over_best_peer: Our fastest form against it, in a test of its own; None where that gave no result.
        report: The report that our own run wrote; empty where it failed.
    """

    name: str
    model_class: str
    original_us: float | None
    contenders: tuple[ContenderRow, ...]
    best_peer: str = ""
    over_best_peer: Speedup | None = None
    report: Mapping[str, Any] = field(default_factory=dict)

    def contender(self, name: str) -> ContenderRow | None:
        """Return the row of a contender, None where it did not take part."""
        return next((row for row in self.contenders if row.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSummary:
    """One class of models.

    Attributes:
        model_class: The class.
        num_models: Models of it.
        num_failures: Models on which our run failed or computed something else; they count as a speed-up of 1.
        over_original: Geometric mean over its models of our speed-up over the original.
        over_best_peer: The same over the best peer of each model; None where there was none on any model.
    """

    model_class: str
    num_models: int
    num_failures: int
    over_original: float
    over_best_peer: float | None


def geometric_mean(ratios: Iterable[float]) -> float:
    """Return the geometric mean of positive numbers.

    Raises:
        ValueError: There is none, or one is not positive.
    """
    logs = [math.log(ratio) for ratio in ratios]
    if not logs:
        raise ValueError("the mean of nothing")
    return math.exp(math.fsum(logs) / len(logs))


def summarise(rows: Sequence[ModelRow], contender: str) -> tuple[ClassSummary, ...]:
    """Return one summary for each class, in the order in which the classes first appear."""
    return tuple(
        summarise_class(name, [row for row in rows if row.model_class == name], contender)
        for name in dict.fromkeys(row.model_class for row in rows)
    )


def summarise_class(name: str, rows: Sequence[ModelRow], contender: str) -> ClassSummary:
    """Return the summary of the models of one class."""
    ours = [row.contender(contender) for row in rows]
    speedups = [None if row is None else row.speedup for row in ours]
    over_peers = [row.over_best_peer.ratio for row in rows if row.over_best_peer is not None]
    return ClassSummary(
        model_class=name,
        num_models=len(rows),
        num_failures=speedups.count(None),
        over_original=geometric_mean(1.0 if speedup is None else speedup.ratio for speedup in speedups),
        over_best_peer=geometric_mean(over_peers) if over_peers else None,
    )


def write_json(path: Path, rows: Sequence[ModelRow], *, contender: str, setting: Mapping[str, Any]) -> None:
    """Write the document, whole or not at all.

    Args:
        path: Where it goes; folders are made.
        rows: The models tested so far.
        contender: Whose speed-up the summary is about.
        setting: What was run and where: machine, versions, commit, options.

    Raises:
        ValueError: A number is infinite or not a number.
    """
    document = {
        "schema": SCHEMA,
        **setting,
        "summary": [asdict(summary) for summary in summarise(rows, contender)],
        "models": [asdict(row) for row in rows],
    }
    write_document(path, document)
