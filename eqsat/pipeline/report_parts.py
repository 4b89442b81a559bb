"""What a report is made of: its parts, and the record that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from eqsat.prices.account import PriceAccount

if TYPE_CHECKING:
    pass


class Status(StrEnum):
    """What became of the model."""

    OPTIMIZED = "optimized"
    UNCHANGED = "unchanged"


class Ending(StrEnum):
    """How the run came to its end."""

    COMPLETED = "completed"
    TIME_BUDGET = "time-budget"
    MEMORY_LIMIT = "memory-limit"
    INTERRUPTED = "interrupted"
    WORKER_DIED = "worker-died"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """The paired measurement of input and output, both as a plain session with default options.

    Attributes:
        provider: ONNX Runtime's name of the provider measured on.
        threads: Intra-op threads; 0 is the provider's own default.
        original_us: Latency of one run of the input, median of the pairs of sessions.
        optimized_us: That of the output: ``original_us / speedup``, for the ratio of two medians is not the median of
            the ratios, and the latter is what was tested.
        speedup: Median of the pairs of ``original / optimized``.
        speedup_low: Lower end of its 95 % interval.
        speedup_high: Upper end of its 95 % interval.
        pairs: Pairs of fresh sessions.
        rounds: Timed rounds behind it, over all pairs.
        promised: The speed-up that prices promised, ``price of input / price of output``; None where a part of the
            input has no price.
    """

    provider: str
    threads: int
    original_us: float
    optimized_us: float
    speedup: float
    speedup_low: float
    speedup_high: float
    pairs: int
    rounds: int
    promised: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionChoice:
    """The session options that ``eqsat.load`` applies, and the speed-up with them over the input as a plain session.

    Attributes:
        graph_optimization_level: ONNX Runtime's name of the level.
        disabled_optimizers: Names of ONNX Runtime optimisers that are switched off.
        speedup: As in :class:`Latency`, for the output with these options.
        speedup_low: Lower end of its 95 % interval.
        speedup_high: Upper end of its 95 % interval.
    """

    graph_optimization_level: str
    disabled_optimizers: tuple[str, ...]
    speedup: float
    speedup_low: float
    speedup_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InputAccount:
    """What the model was fed.

    Attributes:
        source: ``"given"``: the user's own inputs; ``"random"``: drawn here.
        shapes: Shapes by input name that prices and latencies were measured at.
        assumed_sizes: Sizes in them that nobody gave, by the name of the dimension.
        verified_at: Shapes by input name that the result was verified at, the user's own first; empty where nothing
            was verified.
        draws: Sets of inputs that the result was verified on, by their kind: given, ordinary, tiny, huge, or edge for
            sizes of 0 and 1.
        assumptions: What was assumed of the values, a line for each input.
    """

    source: str
    shapes: Mapping[str, tuple[int, ...]]
    assumed_sizes: Mapping[str, int] = field(default_factory=dict)
    verified_at: tuple[Mapping[str, tuple[int, ...]], ...] = ()
    draws: Mapping[str, int] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EGraphSize:
    """The e-graph when the search ended.

    Attributes:
        num_enodes: Distinct e-nodes.
        num_eclasses: Classes of equal e-nodes.
        stop_reason: Why the search stopped.
        plan: Which search it was and why, where the run chose it; else empty.
    """

    num_enodes: int
    num_eclasses: int
    stop_reason: str
    plan: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """What the extractor proved.

    Attributes:
        cost_us: Price of the extracted graph.
        bound_us: No graph in the e-graph is cheaper than this; None where nothing was proved.
        gap: ``(cost_us - bound_us) / cost_us``; None where nothing was proved.
    """

    cost_us: float
    bound_us: float | None
    gap: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleUse:
    """A rule and how often it was applied.

    Attributes:
        name: Name of the rule.
        applied: Number of applications.
    """

    name: str
    applied: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCounts:
    """Nodes by operator.

    Attributes:
        before: Of the input.
        after: Of the output.
    """

    before: Mapping[str, int] = field(default_factory=dict)
    after: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeBytes:
    """Size of the files, external data included.

    Attributes:
        before: Of the input.
        after: Of the output.
    """

    before: int = 0
    after: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """How much of something there is in the input and in the output; None where that is not known.

    Attributes:
        before: In the input.
        after: In the output.
    """

    before: int | None = None
    after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReportFields:
    """Everything a run has to say about its result, as a record: see :class:`~eqsat.pipeline.report.Report`.

    Attributes:
        status: What became of the model.
        reason: Why, as one line.
        ending: How the run came to its end.
        output: Path of the file written; empty for a dry run.
        kept: True where the output was not written: it is the faster model that an earlier run made of the same input.
        verified: True where the output was run against the input on the same data and agreed; False for an unchanged
            model, which is the input, byte for byte.
        max_abs_error: Largest absolute difference of any output element on given and on ordinary inputs.
        inputs: What the model was fed; None where it was not run.
        original_us: Latency of one run of the input, in microseconds; None where it was not measured.
        latency: The paired measurement of input and output; None where the output is the input.
        session: The tuned session options; None where none were tried.
        egraph: Size of the e-graph; None where none was built.
        prices: Where the prices came from; None where none were asked for.
        extraction: What the extractor proved; None where it did not run.
        rules: Rules that were applied, most often first.
        operators: Nodes by operator.
        size_bytes: Size of the files.
        parameters: Elements of all constant tensors.
        macs: Multiply-accumulates of one run, see :mod:`eqsat.prices.macs`.
        memory_bytes: Most that the resident memory of a process grows by, while it makes a session and runs it twice.
        seconds: Wall-clock time by stage, ``total`` among them.
        peak_rss_bytes: Largest resident memory of the worker and its children together.
        versions: Versions of this package and of what it stands on.
        warnings: Lines that the user should read.
        fault: The internal error that ended the run, and its log, as one line; empty where there was none.
    """

    status: Status
    reason: str
    ending: Ending = Ending.COMPLETED
    output: str = ""
    kept: bool = False
    verified: bool = False
    max_abs_error: float | None = None
    inputs: InputAccount | None = None
    original_us: float | None = None
    latency: Latency | None = None
    session: SessionChoice | None = None
    egraph: EGraphSize | None = None
    prices: PriceAccount | None = None
    extraction: Extraction | None = None
    rules: tuple[RuleUse, ...] = ()
    operators: OperatorCounts = field(default_factory=OperatorCounts)
    size_bytes: SizeBytes = field(default_factory=SizeBytes)
    parameters: Amounts = field(default_factory=Amounts)
    macs: Amounts = field(default_factory=Amounts)
    memory_bytes: Amounts = field(default_factory=Amounts)
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_rss_bytes: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    fault: str = ""
