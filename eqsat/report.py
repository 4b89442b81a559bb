"""What a run found: the document behind ``--json`` (schema 1, described in ``docs/report.md``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

from typing_extensions import override

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SCHEMA: Final = 1


class ReportFormatError(ValueError):
    """A document is no report of this schema; the message names the key."""


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
class PriceAccount:
    """Where the prices of a run came from, distinct ones.

    Attributes:
        num_measured: Measured in this run.
        num_cached: Found in the price database.
        num_failed: Could not be measured: ONNX Runtime refused or crashed.
        num_assumed: Not measured: nothing depended on them, or time was short.
    """

    num_measured: int
    num_cached: int
    num_failed: int
    num_assumed: int


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
class Report:
    """Everything a run has to say about its result.

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
        macs: Multiply-accumulates of one run, see :mod:`eqsat.cost.macs`.
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

    @override
    def __repr__(self) -> str:
        """Return the table that the command prints at its end."""
        from eqsat.table import as_text

        return as_text(self)

    def to_record(self) -> dict[str, Any]:
        """Return the report as a JSON object, the schema's number first."""
        return {"schema": SCHEMA} | asdict(self)

    def to_json(self) -> str:
        """Return the report as an indented JSON document.

        Raises:
            ValueError: A number is infinite or not a number.
        """
        return json.dumps(self.to_record(), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Return the report that :meth:`to_json` wrote.

        Raises:
            ReportFormatError: The document is something else.
        """
        try:
            record = json.loads(text)
        except ValueError as error:
            raise ReportFormatError(f"not JSON: {error}") from error
        return cls.from_record(record)

    @classmethod
    def from_record(cls, record: object) -> Report:
        """Return the report that :meth:`to_record` gave.

        Raises:
            ReportFormatError: The object is something else.
        """
        values = _mapping(record, "report")
        if values.pop("schema", None) != SCHEMA:
            raise ReportFormatError(f"schema is not {SCHEMA}")
        try:
            values["status"] = Status(values["status"])
            values["ending"] = Ending(values["ending"])
            values["inputs"] = None if values["inputs"] is None else _inputs(values["inputs"])
            values["session"] = None if values["session"] is None else _session(values["session"])
            values["rules"] = tuple(_build(RuleUse, rule, "rules") for rule in values["rules"])
            values["warnings"] = tuple(values["warnings"])
            values["operators"] = _build(OperatorCounts, values["operators"], "operators")
            values["size_bytes"] = _build(SizeBytes, values["size_bytes"], "size_bytes")
            for key in ("parameters", "macs", "memory_bytes"):
                values[key] = _build(Amounts, values[key], key)
            for key, kind in _OPTIONAL_PARTS.items():
                values[key] = None if values[key] is None else _build(kind, values[key], key)
        except KeyError as error:
            raise ReportFormatError(f"key {error} is missing") from error
        except (TypeError, ValueError) as error:
            raise ReportFormatError(str(error)) from error
        return _build(cls, values, "report")


_OPTIONAL_PARTS: Final[Mapping[str, type[Any]]] = {
    "latency": Latency,
    "egraph": EGraphSize,
    "prices": PriceAccount,
    "extraction": Extraction,
}

_Part = TypeVar("_Part", bound="DataclassInstance")


def _mapping(record: object, where: str) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise ReportFormatError(f"{where} is not an object")
    return dict(record)


def _build(kind: type[_Part], record: object, where: str) -> _Part:
    """Return a ``kind`` of exactly the keys of ``record``."""
    values = _mapping(record, where)
    expected = {each.name for each in fields(kind)}
    if values.keys() != expected:
        raise ReportFormatError(f"{where} has other keys than expected: {sorted(values.keys() ^ expected)}")
    return kind(**values)


def _session(record: object) -> SessionChoice:
    values = _mapping(record, "session")
    values["disabled_optimizers"] = tuple(values["disabled_optimizers"])
    return _build(SessionChoice, values, "session")


def _inputs(record: object) -> InputAccount:
    values = _mapping(record, "inputs")
    values["shapes"] = _shapes(values["shapes"])
    values["verified_at"] = tuple(_shapes(shapes) for shapes in values["verified_at"])
    values["assumptions"] = tuple(values["assumptions"])
    return _build(InputAccount, values, "inputs")


def _shapes(record: object) -> dict[str, tuple[int, ...]]:
    return {name: tuple(shape) for name, shape in _mapping(record, "inputs").items()}
