"""What a run has found out, and the reports that say so."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from eqsat.pipeline.report import Report
from eqsat.pipeline.report_parts import (
    Amounts,
    EGraphSize,
    Extraction,
    InputAccount,
    Latency,
    OperatorCounts,
    RuleUse,
    SessionChoice,
    SizeBytes,
    Status,
)
from eqsat.prices.account import PriceAccount
from eqsat.prices.macs import model_macs
from eqsat.text.versions import installed_versions
from ir.external_data import outer_files
from ir.inner_sizes import inner_sizes
from ir.onnx_file import external_files, num_parameters, operator_counts, written_bytes

if TYPE_CHECKING:
    from eqsat.egraph.session import Size
    from eqsat.extraction.cpsat import ExtractionResult
    from eqsat.pipeline.job import Job
    from eqsat.pipeline.tournament import Finalist
    from eqsat.runtime.measurements import Comparison, ContenderResult
    from eqsat.runtime.settings import SessionSettings
    from eqsat.search.interface import Outcome
    from eqsat.verify.plan import Feeds, InputPlan
    from eqsat.verify.verify import Verification
    from ir.graph import Graph

_PACKAGES: Final = ("eqsat", "egglog", "onnx", "onnx-ir", "onnxruntime-gpu", "onnxruntime", "ortools", "numpy")


@final
@dataclass(slots=True, kw_only=True)
class Findings:
    """Filled in while the run goes on; what was not reached stays None.

    Attributes:
        price_us: Price of the input.
    """

    job: Job
    graph: Graph | None = None
    plan: InputPlan | None = None
    feeds: Feeds = field(default_factory=dict)
    size: Size | None = None
    search: Outcome | None = None
    prices: PriceAccount | None = None
    extraction: ExtractionResult | None = None
    comparison: Comparison | None = None
    price_us: float | None = None
    verification: Verification | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def input_bytes(self) -> int:
        """Bytes of the input, its external data included."""
        path = Path(self.job.input_path)
        files = external_files(path) if self.graph is None else outer_files(self.graph.model)
        return path.stat().st_size + sum(file.stat().st_size for file in files)

    @property
    def best_speedup(self) -> float | None:
        """Measured speed-up of the result so far."""
        result = self.comparison.results.get(1) if self.comparison is not None else None
        return result.speedup if result is not None else None


def unchanged_report(findings: Findings, reason: str) -> Report:
    """Return the report of a run that gives the input back."""
    counts = _counts(findings)
    size, parameters, macs = findings.input_bytes, _parameters(findings), _macs(findings)
    return Report(
        status=Status.UNCHANGED,
        reason=reason,
        inputs=_inputs(findings, None),
        egraph=_egraph(findings),
        prices=findings.prices,
        extraction=_extraction(findings),
        original_us=_original_us(findings),
        operators=OperatorCounts(before=counts, after=counts),
        size_bytes=SizeBytes(before=size, after=size),
        parameters=Amounts(before=parameters, after=parameters),
        macs=Amounts(before=macs, after=macs),
        seconds=dict(findings.seconds),
        versions=installed_versions(*_PACKAGES),
        warnings=tuple(findings.warnings),
    )


def optimized_report(
    findings: Findings,
    winner: Finalist,
    tuned: SessionSettings | None,
    tuned_result: ContenderResult | None,
    *,
    winner_macs: int | None = None,
    added_bytes: int = 0,
) -> Report:
    """Return the report of a run that found a faster model.

    Args:
        findings: What the run has found out.
        winner: The faster model.
        tuned: The session options that make it faster still; None where there are none.
        tuned_result: What was measured with them.
        winner_macs: Multiply-accumulates of one run of it; None where they are not known.
        added_bytes: Bytes that its file will have more, by what is added to its metadata.
    """
    choice = None
    if tuned is not None and tuned_result is not None:
        choice = SessionChoice(
            graph_optimization_level=tuned.level.value,
            disabled_optimizers=tuned.disabled_optimizers,
            speedup=tuned_result.speedup,
            speedup_low=tuned_result.speedup_low,
            speedup_high=tuned_result.speedup_high,
        )
    uses = sorted(winner.built.origins.items(), key=lambda item: (-item[1], item[0]))
    verification = findings.verification
    return Report(
        status=Status.OPTIMIZED,
        reason="verified equal and measured faster",
        verified=True,
        max_abs_error=verification.max_abs_error if verification is not None else None,
        inputs=_inputs(findings, verification),
        original_us=_original_us(findings),
        latency=latency_of(findings, winner.selection.cost_us),
        session=choice,
        egraph=_egraph(findings),
        prices=findings.prices,
        extraction=_extraction(findings),
        rules=tuple(RuleUse(name=name, applied=count) for name, count in uses),
        operators=OperatorCounts(before=_counts(findings), after=winner.built.operators),
        size_bytes=SizeBytes(before=findings.input_bytes, after=written_bytes(winner.built.path) + added_bytes),
        parameters=Amounts(before=_parameters(findings), after=winner.built.num_parameters),
        macs=Amounts(before=_macs(findings), after=winner_macs),
        seconds=dict(findings.seconds),
        versions=installed_versions(*_PACKAGES),
        warnings=tuple(findings.warnings),
    )


def _inputs(findings: Findings, verification: Verification | None) -> InputAccount | None:
    if findings.plan is None or not findings.feeds:
        return None
    return InputAccount(
        source="given" if findings.plan.samples else "random",
        shapes={name: array.shape for name, array in findings.feeds.items()},
        assumed_sizes=findings.plan.assumed_sizes(),
        verified_at=() if verification is None else verification.shapes_checked,
        draws={} if verification is None else {draw.value: count for draw, count in verification.draws.items()},
        assumptions=findings.plan.assumptions,
    )


def latency_of(findings: Findings, price_us: float | None = None) -> Latency | None:
    """Return the paired measurement of input and output, whose price is ``price_us``; None where none was made."""
    comparison = findings.comparison
    result = comparison.results.get(1) if comparison is not None else None
    if comparison is None or result is None or not math.isfinite(result.speedup_high):
        return None
    original_us = comparison.results[0].latency_us
    return Latency(
        provider=findings.job.providers[0],
        threads=findings.job.threads,
        original_us=original_us,
        optimized_us=original_us / result.speedup,
        speedup=result.speedup,
        speedup_low=result.speedup_low,
        speedup_high=result.speedup_high,
        pairs=result.num_pairs,
        rounds=comparison.rounds * result.num_pairs,
        promised=findings.price_us / price_us if findings.price_us is not None and price_us else None,
    )


def _original_us(findings: Findings) -> float | None:
    return None if findings.comparison is None else findings.comparison.results[0].latency_us


def _parameters(findings: Findings) -> int | None:
    return None if findings.graph is None else num_parameters(findings.graph.model)


def _macs(findings: Findings) -> int | None:
    if findings.graph is None or findings.plan is None or not (findings.plan.samples or findings.plan.can_draw):
        return None
    return model_macs(findings.graph, inner_sizes(findings.graph, findings.plan.sizes()))


def _egraph(findings: Findings) -> EGraphSize | None:
    if findings.size is None or findings.search is None:
        return None
    return EGraphSize(
        num_enodes=findings.size.num_enodes,
        num_eclasses=findings.size.num_eclasses,
        stop_reason=findings.search.stop_reason.value,
        plan=findings.search.plan,
    )


def _extraction(findings: Findings) -> Extraction | None:
    found = findings.extraction
    if found is None:
        return None
    return Extraction(cost_us=found.selection.cost_us, bound_us=found.bound_us, gap=found.gap)


def _counts(findings: Findings) -> dict[str, int]:
    return {} if findings.graph is None else operator_counts(findings.graph.model.graph)
