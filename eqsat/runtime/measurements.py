"""What ONNX Runtime was measured to do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from eqsat.runtime.settings import SessionSettings

LAYOUT_OPERATORS = frozenset({"ReorderInput", "ReorderOutput"})
"""The nodes ONNX Runtime adds where a blocked (NCHWc) region begins or ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One node of the graph as ONNX Runtime runs it, after its own fusions.

    Attributes:
        name: Node name that ONNX Runtime gave it; may be empty.
        op_type: Operator that ran, for example ``FusedConv``.
        provider: Provider that ran it.
        latency_us: Its share of a run.
    """

    name: str
    op_type: str
    provider: str
    latency_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Where the time of one model goes.

    The profiler of ONNX Runtime adds some 3 us to every node it watches and cuts times to whole microseconds, so it
    says only how the time is shared out; how much there is comes from runs that nobody watches. On a GPU it sees the
    launches of the nodes, so there the shares of several nodes are only a hint.

    Attributes:
        kernel_us: Time inside the nodes: ``wall_us`` less what ONNX Runtime takes to run a model of no nodes.
        wall_us: Lower quartile of the times of a run, inputs and outputs bound to the device.
        yardstick_us: What the yardstick took that ran in turn with it (:mod:`eqsat.runtime.yardstick`).
        spread: Distance of the quartiles of these runs over their median.
        num_runs: Runs in all.
        kernels: The nodes in the order they run in; their latencies sum to ``kernel_us``. Nodes inside If, Loop and
            Scan are part of that node.
    """

    kernel_us: float
    wall_us: float
    yardstick_us: float
    spread: float
    num_runs: int
    kernels: tuple[Kernel, ...]

    def without_us(self, op_types: Collection[str] = LAYOUT_OPERATORS) -> float:
        """Return the time inside the nodes whose operator is not one of ``op_types``, in us."""
        return sum(kernel.latency_us for kernel in self.kernels if kernel.op_type not in op_types)


Price = Profile
"""The profile of a micro-model: a few nodes that stand for one e-node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One model of a paired latency test.

    Attributes:
        path: The model.
        settings: How its sessions are made.
    """

    path: Path
    settings: SessionSettings


class StopReason(StrEnum):
    """Why a paired latency test ended."""

    DECIDED = "decided"
    NUM_PAIRS = "num_pairs"
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContenderResult:
    """How one contender did against contender 0.

    Attributes:
        speedup: Median over pairs of (latency of contender 0) / (latency of this one); above 1 is faster.
        speedup_low: Lower end of the 95 % interval of :func:`~eqsat.runtime.intervals.paired_interval`.
        speedup_high: Upper end of it.
        latency_us: Median over pairs of the median time of a run.
        num_pairs: Fresh pairs of sessions behind these numbers.
    """

    speedup: float
    speedup_low: float
    speedup_high: float
    latency_us: float
    num_pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Outcome of a paired latency test.

    Picking the best of several contenders by these very numbers flatters it a little: measure the winner again where
    the number itself is to be reported.

    Attributes:
        results: Result by index of the contender; 0 is the baseline, whose speed-up is 1 by definition. A
            contender without one complete pair is not here.
        failures: What went wrong, one line each, by index of the contender.
        num_pairs: Rows of fresh sessions that were measured.
        rounds: Rounds asked for in each.
        stop_reason: Why it ended.
    """

    results: Mapping[int, ContenderResult]
    failures: Mapping[int, str] = field(default_factory=dict)
    num_pairs: int
    rounds: int
    stop_reason: StopReason
