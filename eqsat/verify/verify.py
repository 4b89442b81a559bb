"""Does a candidate compute what the original computes? Both are run on the same inputs, at several sizes."""

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
from eqsat.verify.judge import CheckedInputs, Judge, Observation, Runner, UsualRun, Verdict
from eqsat.verify.plan import input_plan
from eqsat.verify.sensitivity import Sensitivity, output_sensitivities
from eqsat.verify.tolerance import EQUAL, Difference, Tolerance, compare, tolerance
from eqsat.verify.trials import Draw, SkippedSize, Trial, Trials, has_finite, prepare
from ir.graph import Graph


class Reason(StrEnum):
    """How a verification ended."""

    EQUAL = "equal"
    DIFFERENT = "different"
    CANDIDATE_FAILED = "candidate-failed"
    """The candidate cannot be run where the original can."""
    ORIGINAL_FAILED = "original-failed"
    """The original cannot be run on any inputs tried."""
    RANDOM_OPERATORS = "random-operators"
    """The model gives another result each time."""
    NOTHING_FINITE = "nothing-finite"
    """All that the original computes is infinite, NaN or empty, so that nothing was compared."""
    UNSUPPORTED_INPUT = "unsupported-input"
    """No random value can be made for an input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputCheck:
    """What was found of one output over all checks.

    Attributes:
        name: Its name.
        verdict: The worst.
        max_abs_error: Largest absolute difference where both results are finite, on given and on ordinary inputs.
        max_rel_error: Largest of these as a share of the output's size.
        num_mismatched: Most elements out of tolerance in one check.
    """

    name: str
    verdict: Verdict
    max_abs_error: float
    max_rel_error: float
    num_mismatched: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingCase:
    """Inputs on which the candidate is wrong, to be run again.

    Attributes:
        check: Number of the check.
        seed: Seed of the verification.
        draw: Where the inputs come from.
        sizes: Sizes by the name of the dimension.
        feeds: Arrays by input name.
    """

    check: int
    seed: int
    draw: Draw
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
        max_abs_error: Largest absolute difference of any float output, on given and on ordinary inputs.
        num_checks: Inputs on which both models were run.
        draws: How many of them are of which kind.
        sizes_checked: Sizes by the name of the dimension, one entry for each assignment.
        shapes_checked: Shapes by input name, one entry for each that was different.
        sizes_skipped: Sizes at which the original itself cannot be run.
        not_run_at: Sizes at which the original gives nothing but empty results, and the candidate an error.
        per_output: What was found of each output.
        failure: The first inputs on which the candidate is wrong; None where there are none.
    """

    is_equal: bool
    is_comparable: bool
    reason: Reason
    detail: str = ""
    max_abs_error: float = 0.0
    num_checks: int = 0
    draws: Mapping[Draw, int] = field(default_factory=dict)
    sizes_checked: tuple[Mapping[str, int], ...] = ()
    shapes_checked: tuple[Mapping[str, tuple[int, ...]], ...] = ()
    sizes_skipped: tuple[SkippedSize, ...] = ()
    not_run_at: tuple[Mapping[str, int], ...] = ()
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

    Several candidates of one original are better tried on the same :func:`~eqsat.verify.trials.prepare`.

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
    try:
        plan = input_plan(graph, input_shapes)
    except UnsupportedInputError as error:
        return Verification(is_equal=False, is_comparable=False, reason=Reason.UNSUPPORTED_INPUT, detail=str(error))
    trials = prepare(original, runner, settings=settings, plan=plan, num_checks=num_checks, seed=seed)
    return check(trials, candidate, float_class=float_class, settings=candidate_settings)


def check(
    trials: Trials,
    candidate: Path,
    *,
    float_class: FloatClass,
    settings: SessionSettings | None = None,
) -> Verification:
    """Run a candidate on prepared inputs and compare what it computes with what the original computed.

    Args:
        trials: The inputs, and what the original makes of them.
        candidate: The model that should compute the same.
        float_class: The loosest among the rules that were applied.
        settings: How the candidate's sessions are made; as the original's where it is left out.

    Raises:
        ProviderError: The execution provider is not available.
    """
    return _Verifier(trials, candidate, float_class, settings or trials.settings).run()


@final
class _Verifier:
    """One verification under way."""

    def __init__(self, trials: Trials, candidate: Path, float_class: FloatClass, settings: SessionSettings) -> None:
        self._trials = trials
        self._candidate = candidate
        self._float_class = float_class
        self._settings = settings
        self._done: list[Trial] = []
        self._outputs: dict[str, OutputCheck] = {}
        self._is_float: dict[str, bool] = {}
        self._not_run_at: list[Mapping[str, int]] = []

    def run(self) -> Verification:
        """Make the checks one after the other until one fails."""
        if self._trials.problem is not None:
            return self._result(Reason(self._trials.problem.value), detail=self._trials.detail)
        for trial in self._trials.trials:
            failed = self._check(trial)
            if failed is not None:
                return failed
        return self._result(Reason.EQUAL)

    def _check(self, trial: Trial) -> Verification | None:
        """Run the candidate and compare; return the end of the verification where it fails."""
        trials = self._trials
        failure = FailingCase(
            check=trial.number,
            seed=trials.seed,
            draw=trial.draw,
            sizes=trials.named(trial.symbols),
            feeds=trial.feeds,
        )
        try:
            found = trials.runner.outputs(self._candidate, trial.feeds, self._settings)
        except MeasurementError as error:
            if _is_empty(trial):
                self._not_run_at.append(failure.sizes)
                return None
            return self._result(Reason.CANDIDATE_FAILED, detail=f"the candidate does not run: {error}", failure=failure)
        self._done.append(trial)
        if found.keys() != trial.expected.keys():
            detail = f"the outputs are {', '.join(found)} instead of {', '.join(trial.expected)}"
            return self._result(Reason.DIFFERENT, detail=detail, failure=failure)
        inputs = CheckedInputs(
            feeds=trial.feeds,
            scalable=trials.scalable,
            is_huge=trial.draw in {Draw.HUGE, Draw.WIDE},
            usual=self._usual(trial) if trial.draw is Draw.TINY else None,
        )
        judge = Judge(
            trials.original,
            inputs,
            trials.runner,
            trials.settings,
            np.random.default_rng((trials.seed, trial.number, 1)),
            float_class=self._float_class,
        )
        sensitivities = output_sensitivities(trials.plan.graph, trial.symbols)
        for name, reference in trial.expected.items():
            if _is_evidence(trial, reference):
                sensitivity = sensitivities.get(output_of(name, sensitivities), Sensitivity())
                seen = self._observe(name, reference, found[name], sensitivity)
                self._record(seen, judge.verdict(seen), trial.draw)
        wrong = [output.name for output in self._outputs.values() if output.verdict is Verdict.MISMATCH]
        if wrong:
            return self._result(Reason.DIFFERENT, detail=self._explain(wrong[0], failure), failure=failure)
        return None

    def _usual(self, trial: Trial) -> UsualRun | None:
        """The original on ordinary inputs of the same sizes."""
        same = (each for each in self._trials.trials if each.draw is Draw.ORDINARY and each.symbols == trial.symbols)
        found = next(same, None)
        return None if found is None else UsualRun(feeds=found.feeds, outputs=found.expected)

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
            self._float_class,
            sensitivity.reduction_length,
            sensitivity.num_reductions,
        )

    def _record(self, seen: Observation, verdict: Verdict, draw: Draw) -> None:
        order = list(Verdict)
        difference: Difference = seen.difference
        is_usual = draw in {Draw.GIVEN, Draw.ORDINARY} or verdict is Verdict.MISMATCH
        before = self._outputs.get(seen.name)
        new = OutputCheck(
            name=seen.name,
            verdict=verdict,
            max_abs_error=difference.max_abs_error if is_usual else 0.0,
            max_rel_error=difference.max_rel_error if is_usual else 0.0,
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
        self._is_float[seen.name] = seen.reference.dtype.kind not in "iubO"

    def _explain(self, name: str, failure: FailingCase) -> str:
        output = self._outputs[name]
        where = "".join(f", {dim}={size}" for dim, size in failure.sizes.items())
        kind = "" if failure.draw is Draw.ORDINARY else f", {failure.draw} inputs"
        is_number = output.max_abs_error > 0.0 or not self._is_float[name]
        by = f"differs by {output.max_abs_error:.3g}" if is_number else "has another shape, or is not finite elsewhere"
        return (
            f"output {name!r} {by} ({output.num_mismatched} elements out of "
            f"tolerance; seed {failure.seed}, check {failure.check}{kind}{where})"
        )

    def _result(self, reason: Reason, *, detail: str = "", failure: FailingCase | None = None) -> Verification:
        errors = [output.max_abs_error for name, output in self._outputs.items() if self._is_float[name]]
        sizes = [self._trials.named(trial.symbols) for trial in self._done]
        shapes = [trial.shapes for trial in self._done]
        draws = [trial.draw for trial in self._done]
        return Verification(
            is_equal=reason is Reason.EQUAL,
            is_comparable=self._trials.problem is None,
            reason=reason,
            detail=detail,
            max_abs_error=max(errors, default=0.0),
            num_checks=len(self._done),
            draws={draw: draws.count(draw) for draw in dict.fromkeys(draws)},
            sizes_checked=tuple(each for i, each in enumerate(sizes) if each not in sizes[:i]),
            shapes_checked=tuple(each for i, each in enumerate(shapes) if each not in shapes[:i]),
            sizes_skipped=self._trials.skipped,
            not_run_at=tuple(self._not_run_at),
            per_output=tuple(self._outputs.values()),
            failure=failure,
        )


def _is_evidence(trial: Trial, reference: np.ndarray) -> bool:
    """Tiny and huge inputs that only overflow show nothing; an empty result shows its shape."""
    return trial.draw not in {Draw.TINY, Draw.HUGE, Draw.WIDE} or has_finite(reference)


def _is_empty(trial: Trial) -> bool:
    """Whether there is nothing to compute at a size of 0."""
    return trial.draw is Draw.EDGE and all(array.size == 0 for array in trial.expected.values())
