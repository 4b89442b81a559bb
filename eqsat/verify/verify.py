"""Does a candidate compute what the original computes? Both are run on random inputs, at several sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import final

import numpy as np

from eqsat.rules.rule import FloatClass
from eqsat.runtime import MeasurementError, SessionSettings
from eqsat.runtime.values import output_of
from eqsat.verify.errors import UnsupportedInputError
from eqsat.verify.inputs import InputSpec, input_specs, random_feeds
from eqsat.verify.judge import Judge, Observation, Runner, Verdict
from eqsat.verify.sensitivity import Sensitivity, output_sensitivities
from eqsat.verify.sizes import verification_sizes
from eqsat.verify.tolerance import EQUAL, Difference, Tolerance, compare, tolerance
from ir.graph import Graph
from ir.interface import unseeded_random_operators


class Reason(StrEnum):
    """How a verification ended."""

    EQUAL = "equal"
    DIFFERENT = "different"
    CANDIDATE_FAILED = "candidate-failed"
    """The candidate cannot be run where the original can."""
    ORIGINAL_FAILED = "original-failed"
    """The original cannot be run at any size tried."""
    RANDOM_OPERATORS = "random-operators"
    """The model gives another result each time."""
    NOTHING_FINITE = "nothing-finite"
    """All that the original computes on random inputs is infinite, NaN or empty, so that nothing was compared."""
    UNSUPPORTED_INPUT = "unsupported-input"
    """No random value can be made for an input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputCheck:
    """What was found of one output over all checks.

    Attributes:
        name: Its name.
        verdict: The worst.
        max_abs_error: Largest absolute difference where both results are finite.
        max_rel_error: Largest of these as a share of the output's size.
        num_mismatched: Most elements out of tolerance in one check.
    """

    name: str
    verdict: Verdict
    max_abs_error: float
    max_rel_error: float
    num_mismatched: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedSize:
    """Sizes at which the original itself cannot be run.

    Attributes:
        sizes: Sizes by the name of the dimension.
        message: Why, as one line.
    """

    sizes: Mapping[str, int]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingCase:
    """Inputs on which the candidate is wrong, to be run again.

    Attributes:
        check: Number of the check; its generator is ``numpy.random.default_rng((seed, check))``.
        seed: Seed of the verification.
        sizes: Sizes by the name of the dimension.
        feeds: Arrays by input name.
    """

    check: int
    seed: int
    sizes: Mapping[str, int]
    feeds: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a verification found.

    Attributes:
        is_equal: True where every check found every output equal, within what rounding explains.
        is_comparable: False where nothing could be compared, so that nothing is known.
        reason: How it ended.
        detail: One line for the user; empty where all is equal.
        max_abs_error: Largest absolute difference of any float output.
        num_checks: Inputs on which both models were run.
        sizes_checked: Sizes by the name of the dimension, one entry for each assignment.
        sizes_skipped: Sizes at which the original itself cannot be run.
        per_output: What was found of each output.
        failure: The first inputs on which the candidate is wrong; None where there are none.
    """

    is_equal: bool
    is_comparable: bool
    reason: Reason
    detail: str = ""
    max_abs_error: float = 0.0
    num_checks: int = 0
    sizes_checked: tuple[Mapping[str, int], ...] = ()
    sizes_skipped: tuple[SkippedSize, ...] = ()
    per_output: tuple[OutputCheck, ...] = ()
    failure: FailingCase | None = field(default=None, repr=False)


def verify(  # noqa: PLR0913  # one keyword for each setting
    original: Path,
    candidate: Path,
    graph: Graph,
    runner: Runner,
    *,
    settings: SessionSettings,
    candidate_settings: SessionSettings | None = None,
    num_checks: int,
    seed: int,
    float_class: FloatClass,
    input_shapes: Mapping[str, tuple[int, ...]],
) -> Verification:
    """Run two models on the same random inputs and compare what they compute.

    Args:
        original: The model as it was given.
        candidate: The model that should compute the same.
        graph: The original, read.
        runner: Runs both.
        settings: How sessions are made.
        candidate_settings: The same for the candidate, where it differs.
        num_checks: Random inputs; a dynamic model gets at least one for each assignment of sizes.
        seed: Of the random inputs.
        float_class: The loosest among the rules that were applied.
        input_shapes: The user's shapes by input name; they stay as they are.

    Raises:
        UsageError: A shape names no input, contradicts the model or another shape.
        ProviderError: The execution provider is not available.
        ValueError: ``num_checks`` is below 1.
    """
    if num_checks < 1:
        raise ValueError("a verification needs at least one check")
    random = unseeded_random_operators(graph)
    if random:
        return _incomparable(Reason.RANDOM_OPERATORS, f"the model is random by itself ({', '.join(random)})")
    try:
        specs = input_specs(graph, input_shapes)
    except UnsupportedInputError as error:
        return _incomparable(Reason.UNSUPPORTED_INPUT, str(error))
    task = _Task(
        original=original,
        candidate=candidate,
        graph=graph,
        runner=runner,
        settings=settings,
        candidate_settings=settings if candidate_settings is None else candidate_settings,
        specs=specs,
        seed=seed,
        float_class=float_class,
    )
    return _Verifier(task).run(list(verification_sizes(graph, input_shapes)), num_checks)


def _incomparable(reason: Reason, detail: str) -> Verification:
    return Verification(is_equal=False, is_comparable=False, reason=reason, detail=detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """The arguments of :func:`verify`, checked."""

    original: Path
    candidate: Path
    graph: Graph
    runner: Runner
    settings: SessionSettings
    candidate_settings: SessionSettings
    specs: tuple[InputSpec, ...]
    seed: int
    float_class: FloatClass


@final
class _Verifier:
    """One verification under way."""

    def __init__(self, task: _Task) -> None:
        self._task = task
        self._num_checks = 0
        self._checked: list[Mapping[str, int]] = []
        self._skipped: list[SkippedSize] = []
        self._outputs: dict[str, OutputCheck] = {}
        self._is_float: dict[str, bool] = {}
        self._has_evidence = False

    def run(self, sizes: list[dict[int, int]], num_checks: int) -> Verification:
        """Make the checks, size after size and round again, until they are done or one fails."""
        wanted = max(num_checks, len(sizes))
        check = 0
        while sizes and self._num_checks < wanted:
            current = sizes[check % len(sizes)]
            feeds = self._feeds(check, current)
            try:
                expected = self._task.runner.outputs(self._task.original, feeds, self._task.settings)
            except MeasurementError as error:
                self._skipped.append(SkippedSize(sizes=self._named(current), message=str(error)))
                sizes.remove(current)
                continue
            failed = self._check(check, current, feeds, expected)
            if failed is not None:
                return failed
            check += 1
        if not self._num_checks:
            message = self._skipped[0].message if self._skipped else ""
            return self._result(Reason.ORIGINAL_FAILED, detail=f"the original does not run on random inputs: {message}")
        if not self._has_evidence:
            return self._result(Reason.NOTHING_FINITE, detail="the original computes nothing finite on random inputs")
        return self._result(Reason.EQUAL)

    def _check(
        self, check: int, sizes: dict[int, int], feeds: dict[str, np.ndarray], expected: dict[str, np.ndarray]
    ) -> Verification | None:
        """Run the candidate and compare; return the end of the verification where it fails."""
        task = self._task
        failure = FailingCase(check=check, seed=task.seed, sizes=self._named(sizes), feeds=feeds)
        try:
            found = task.runner.outputs(task.candidate, feeds, task.candidate_settings)
        except MeasurementError as error:
            return self._result(Reason.CANDIDATE_FAILED, detail=f"the candidate does not run: {error}", failure=failure)
        self._num_checks += 1
        if failure.sizes not in self._checked:
            self._checked.append(failure.sizes)
        if found.keys() != expected.keys():
            detail = f"the outputs are {', '.join(found)} instead of {', '.join(expected)}"
            return self._result(Reason.DIFFERENT, detail=detail, failure=failure)
        judge = Judge(task.original, feeds, task.runner, task.settings, np.random.default_rng((task.seed, check, 1)))
        sensitivities = output_sensitivities(task.graph, sizes)
        for name, reference in expected.items():
            sensitivity = sensitivities.get(output_of(name, sensitivities), Sensitivity())
            seen = self._observe(name, reference, found[name], sensitivity)
            self._record(seen, judge.verdict(seen))
        wrong = [output.name for output in self._outputs.values() if output.verdict is Verdict.MISMATCH]
        if wrong:
            return self._result(Reason.DIFFERENT, detail=self._explain(wrong[0], failure), failure=failure)
        return None

    def _feeds(self, check: int, sizes: Mapping[int, int]) -> dict[str, np.ndarray]:
        rng = np.random.default_rng((self._task.seed, check))
        return random_feeds(self._task.graph, self._task.specs, rng, sizes)

    def _observe(
        self, name: str, reference: np.ndarray, candidate: np.ndarray, sensitivity: Sensitivity
    ) -> Observation:
        allowed = self._allowed(reference, sensitivity)
        return Observation(
            name=name,
            reference=reference,
            candidate=candidate,
            allowed=allowed,
            difference=compare(reference, candidate, allowed),
            has_jumps=sensitivity.has_jumps,
        )

    def _allowed(self, reference: np.ndarray, sensitivity: Sensitivity) -> Tolerance:
        if reference.dtype.kind in "iub" or reference.dtype == object:
            return EQUAL
        return tolerance(
            sensitivity.precision_bits,
            self._task.float_class,
            sensitivity.reduction_length,
            sensitivity.num_reductions,
        )

    def _record(self, seen: Observation, verdict: Verdict) -> None:
        order = list(Verdict)
        difference: Difference = seen.difference
        before = self._outputs.get(seen.name)
        new = OutputCheck(
            name=seen.name,
            verdict=verdict,
            max_abs_error=difference.max_abs_error,
            max_rel_error=difference.max_rel_error,
            num_mismatched=difference.num_mismatched,
        )
        if before is not None:
            new = OutputCheck(
                name=seen.name,
                verdict=max(before.verdict, verdict, key=order.index),
                max_abs_error=max(before.max_abs_error, new.max_abs_error),
                max_rel_error=max(before.max_rel_error, new.max_rel_error),
                num_mismatched=max(before.num_mismatched, new.num_mismatched),
            )
        self._outputs[seen.name] = new
        is_float = seen.reference.dtype.kind not in "iubO"
        self._is_float[seen.name] = is_float
        is_finite = bool(np.isfinite(seen.reference).any()) if is_float else seen.reference.size > 0
        self._has_evidence = self._has_evidence or is_finite

    def _explain(self, name: str, failure: FailingCase) -> str:
        output = self._outputs[name]
        where = "".join(f", {dim}={size}" for dim, size in failure.sizes.items())
        return (
            f"output {name!r} differs by {output.max_abs_error:.3g} ({output.num_mismatched} elements out of "
            f"tolerance; seed {failure.seed}, check {failure.check}{where})"
        )

    def _named(self, sizes: Mapping[int, int]) -> dict[str, int]:
        """Sizes of the inputs' own dimensions, by name."""
        own = {dim for spec in self._task.specs for dim in spec.type.shape}
        symbols = self._task.graph.symbols
        return {symbols.name(symbol): size for symbol, size in sizes.items() if symbol in own}

    def _result(self, reason: Reason, *, detail: str = "", failure: FailingCase | None = None) -> Verification:
        errors = [output.max_abs_error for name, output in self._outputs.items() if self._is_float[name]]
        return Verification(
            is_equal=reason is Reason.EQUAL,
            is_comparable=reason not in {Reason.ORIGINAL_FAILED, Reason.NOTHING_FINITE},
            reason=reason,
            detail=detail,
            max_abs_error=max(errors, default=0.0),
            num_checks=self._num_checks,
            sizes_checked=tuple(self._checked),
            sizes_skipped=tuple(self._skipped),
            per_output=tuple(self._outputs.values()),
            failure=failure,
        )
