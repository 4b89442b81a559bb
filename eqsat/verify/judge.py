"""The second look at an output that is out of tolerance: is the candidate wrong, or is the original that unsure?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol, final

import numpy as np

from eqsat.rules.rule import FloatClass
from eqsat.runtime import MeasurementError, OptimizationLevel, SessionSettings
from eqsat.verify.tolerance import Difference, Tolerance, compare, largest_of, off_elements, size_of, smallest_normal
from ir.reference import evaluate_float64, widened

SLACK: Final = 4.0
"""A candidate may be this much worse than the original's own error, which is one sample of the same distribution."""

PERTURBATION_ULPS: Final = 8.0
"""Relative size of the perturbations, in units of the last place: about 1e-6 for float32."""

NUM_PERTURBATIONS: Final = 3

BORDER: Final = 16.0
"""A result that becomes infinite when the inputs are this much larger, or zero when they are this much smaller and it
is that close to the smallest normal number, is at a border of its type, where rounding decides."""

LOST_SHARE: Final = 2.0**-18
"""Share of a usual result that the sums of the original may lose without anybody missing it: 32 steps of float32."""

NOT_FINITE: Final = 2
"""The kind of infinite elements and of NaN, see :func:`_kinds`."""

GARBAGE: Final = 0.5
"""Share of the truth by which a finite result is off only where something overflowed on its way."""


class Runner(Protocol):
    """Whatever runs models: :class:`~eqsat.runtime.Runtime`, or a stand-in."""

    def outputs(self, model: Path, feeds: Mapping[str, np.ndarray], settings: SessionSettings) -> dict[str, np.ndarray]:
        """Return the outputs of one run by name.

        Raises:
            MeasurementError: The model cannot be run on these inputs.
        """
        ...


class Verdict(StrEnum):
    """What was found of an output, the best first."""

    WITHIN = "within"
    """Within tolerance."""
    TRUE = "true"
    """Out of tolerance, but as close to the float64 result as the original itself."""
    UNSTABLE = "unstable"
    """Out of tolerance, but no more so than the original after the smallest change of its inputs or kernels."""
    MISMATCH = "mismatch"
    """The candidate computes something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One output of one check.

    Attributes:
        name: Name of the output.
        reference: What the original computed.
        candidate: What the candidate computed.
        allowed: The tolerance.
        difference: How far they are apart.
        has_jumps: True where the output jumps when a float moves by its last bit.
    """

    name: str
    reference: np.ndarray
    candidate: np.ndarray
    allowed: Tolerance
    difference: Difference
    has_jumps: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UsualRun:
    """A run of the original on usual inputs.

    Attributes:
        feeds: Arrays by input name.
        outputs: What it computed, by name.
    """

    feeds: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedInputs:
    """The inputs of one check.

    Attributes:
        feeds: Arrays by input name.
        scalable: Inputs that may be multiplied: floats that are plain data.
        is_huge: True where they are so large that the original itself may overflow on the way.
        usual: A run of the original on usual inputs, where these are much smaller.
    """

    feeds: Mapping[str, np.ndarray]
    scalable: frozenset[str] = frozenset()
    is_huge: bool = False
    usual: UsualRun | None = None


@final
class Judge:
    """Judges the outputs of one check; each further run is made when it is first needed, and once."""

    def __init__(
        self,
        original: Path,
        inputs: CheckedInputs,
        runner: Runner,
        settings: SessionSettings,
        rng: np.random.Generator,
        *,
        float_class: FloatClass = FloatClass.REASSOCIATES,
    ) -> None:
        """Remember the check.

        Args:
            original: The original model.
            inputs: The inputs of the check.
            runner: Runs the original again.
            settings: How its sessions are made.
            rng: Source of small perturbations.
            float_class: The loosest among the rules that were applied.
        """
        self._original = original
        self._inputs = inputs
        self._feeds = inputs.feeds
        self._runner = runner
        self._settings = settings
        self._rng = rng
        self._float_class = float_class
        self._scaled: list[dict[str, np.ndarray]] | None = None
        self._truths: list[dict[str, np.ndarray]] | None = None
        self._noisy_truths: list[dict[str, np.ndarray]] = []
        self._unfused: list[dict[str, np.ndarray]] | None = None
        self._perturbed: list[dict[str, np.ndarray]] | None = None

    def verdict(self, seen: Observation) -> Verdict:
        """Return what to think of one output."""
        if seen.difference.is_within:
            return Verdict.WITHIN
        if not _is_alike(seen.reference, seen.candidate):
            runs = [run.get(seen.name) for run in self._other_kernels()]
            is_unsure = any(array is None or not _is_alike(seen.reference, array) for array in runs)
            return Verdict.UNSTABLE if is_unsure else Verdict.MISMATCH
        if widened(seen.reference).dtype == np.float64:
            decided = self._decided(seen)
            if decided is None:
                return Verdict.MISMATCH
            if decided.difference.is_within:
                return Verdict.UNSTABLE
            seen = decided
        return self._verdict_on_values(seen)

    def _verdict_on_values(self, seen: Observation) -> Verdict:
        """What to think of an output that is out of tolerance, by the truth or else by the original's own doubts.

        On very small inputs a model is fed next to nothing, and all positions of an image are alike: so are their
        errors, which add up in place of cancelling out. What the weights' own rounding does is the measure then.
        """
        truths = _named(self._float64(), seen)
        if truths and is_as_true(truths[0], [seen.reference, *_named(self._other_kernels(), seen)], seen):
            return Verdict.TRUE
        if truths and not seen.has_jumps:
            is_alike = self._inputs.usual is not None and self._is_within_noise(truths[0], seen)
            return Verdict.UNSTABLE if is_alike else Verdict.MISMATCH
        variations = [*_named(self._other_kernels(), seen), *_named(self._perturbed_runs(), seen)]
        if seen.has_jumps:
            variations += _named(self._noisy_float64(), seen)
        return Verdict.UNSTABLE if is_as_unstable(variations, seen) else Verdict.MISMATCH

    def _decided(self, seen: Observation) -> Observation | None:
        """The output without the elements whose kind (zero, finite, not finite) the original leaves open.

        An element of another kind than the original's is wrong, however close to the truth it is: None then. It is
        open whether it is wrong where the original itself changes kind without the provider's fusions, or at a border
        of the type under inputs a few times smaller or larger, where the rules promise nothing of infinite values,
        where the original has overflowed on its way to a finite result, and where it is that small that the original's
        own sums lose it.
        """
        reference, candidate = seen.reference, seen.candidate
        kinds = _kinds(reference, has_jumps=seen.has_jumps)
        is_changed = off_elements(reference, candidate, seen.allowed)
        is_changed &= kinds != _kinds(candidate, has_jumps=seen.has_jumps)
        if not is_changed.any():
            return seen
        is_wrong = is_changed.copy()
        if self._float_class in {FloatClass.FINITE, FloatClass.APPROXIMATES}:
            is_wrong &= np.isfinite(widened(reference))
        elif self._float_class is FloatClass.REASSOCIATES and is_wrong.any():
            is_wrong &= ~self._is_infinite_by_overflow(seen)
        for array in _named(self._other_kernels(), seen) if is_wrong.any() else ():
            is_wrong &= kinds == _kinds(array, has_jumps=seen.has_jumps)
        is_bordering = np.where(
            np.isfinite(widened(reference)) == np.isfinite(widened(candidate)),
            _is_below(seen, BORDER * smallest_normal(reference.dtype)),
            _is_near_largest(seen) | (self._inputs.is_huge and not self._float_class.keeps_nonfinite),
        )
        for array in _named(self._scaled_runs(), seen) if is_wrong.any() else ():
            is_wrong &= ~is_bordering | (kinds == _kinds(array, has_jumps=seen.has_jumps))
        if self._inputs.is_huge and is_wrong.any():
            is_wrong &= ~self._has_overflowed(seen)
        if self._inputs.usual is not None and is_wrong.any():
            is_wrong &= ~_is_below(seen, SLACK * self._lost_in_sums(self._inputs.usual, seen))
        if is_wrong.any():
            return None
        kept = np.where(is_changed, reference, candidate)
        return replace(seen, candidate=kept, difference=compare(reference, kept, seen.allowed))

    def _is_infinite_by_overflow(self, seen: Observation) -> np.ndarray:
        """Where the original is not finite and the truth is: an intermediate value has left the type's range."""
        is_infinite: np.ndarray = ~np.isfinite(widened(seen.reference))
        truths = _named(self._float64(), seen)
        return is_infinite & np.isfinite(truths[0]) if truths else is_infinite & self._inputs.is_huge

    def _has_overflowed(self, seen: Observation) -> np.ndarray:
        """Where the original is finite and yet far from the truth; without a truth, where huge inputs give zero."""
        wide = widened(seen.reference)
        truths = _named(self._float64(), seen)
        if not truths:
            is_zero: np.ndarray = wide == 0.0
            return is_zero
        with np.errstate(invalid="ignore", over="ignore"):
            is_near: np.ndarray = np.abs(wide - truths[0]) <= GARBAGE * np.abs(truths[0])
        has_overflowed: np.ndarray = np.isfinite(wide) & ~is_near
        return has_overflowed

    def _lost_in_sums(self, usual: UsualRun, seen: Observation) -> float:
        """The largest error of the original on usual inputs, if it has errors that do not shrink with the result.

        ``1 - (1 - x)`` has them, a product has none: however small a result, its error is as much smaller. Errors that
        weigh something on usual inputs excuse nothing, as those of ``1000 - (1000 - x)``.
        """
        truth = evaluate_float64(self._original, usual.feeds)
        if truth is None or seen.name not in truth:
            return 0.0
        exact = truth[seen.name]
        plain = replace(self._settings, level=OptimizationLevel.DISABLED)
        largest, has_lost = 0.0, False
        for outputs in (usual.outputs, *self._run(usual.feeds, plain)):
            if seen.name not in outputs or outputs[seen.name].shape != exact.shape:
                return 0.0
            wide = widened(outputs[seen.name])
            is_finite = np.isfinite(wide) & np.isfinite(exact)
            errors, sizes = np.abs(wide[is_finite] - exact[is_finite]), np.abs(exact[is_finite])
            has_lost |= bool(np.any(errors > seen.allowed.relative * sizes))
            largest = max(largest, float(errors.max(initial=0.0)))
        return largest if has_lost and largest <= LOST_SHARE * size_of(exact) else 0.0

    def _float64(self) -> list[dict[str, np.ndarray]]:
        """The truth, if there is one."""
        if self._truths is None:
            truth = evaluate_float64(self._original, self._feeds)
            self._truths = [] if truth is None else [truth]
        return self._truths

    def _is_within_noise(self, truth: np.ndarray, seen: Observation) -> bool:
        """Whether weights that are a little off explain the candidate's errors; no more are tried than that takes."""
        tried = (_named(self._noisy_float64(count), seen) for count in range(1, NUM_PERTURBATIONS + 1))
        return any(is_within_noise(truth, noisy, seen) for noisy in tried)

    def _noisy_float64(self, count: int = NUM_PERTURBATIONS) -> list[dict[str, np.ndarray]]:
        """Truths of slightly other weights and inputs: they show which jumps nobody can decide."""
        while len(self._noisy_truths) < count and self._float64():
            truth = evaluate_float64(self._original, self._feeds, noise=_noise(np.dtype(np.float32)), rng=self._rng)
            if truth is None:
                break
            self._noisy_truths.append(truth)
        return self._noisy_truths[:count]

    def _other_kernels(self) -> list[dict[str, np.ndarray]]:
        """The original without the provider's own fusions."""
        if self._unfused is None:
            self._unfused = self._run(self._feeds, replace(self._settings, level=OptimizationLevel.DISABLED))
        return self._unfused

    def _perturbed_runs(self) -> list[dict[str, np.ndarray]]:
        """The original on inputs that differ by a few units in the last place."""
        if self._perturbed is None:
            self._perturbed = []
            for _ in range(NUM_PERTURBATIONS):
                self._perturbed += self._run(perturbed(self._feeds, self._rng), self._settings)
        return self._perturbed

    def _scaled_runs(self) -> list[dict[str, np.ndarray]]:
        """The original on inputs a few times smaller and larger: they show what is close to a border of the type."""
        if self._scaled is None:
            self._scaled = []
            for factor in (1.0 / BORDER, BORDER):
                with np.errstate(over="ignore"):
                    feeds = {
                        name: (array * array.dtype.type(factor)) if name in self._inputs.scalable else array
                        for name, array in self._feeds.items()
                    }
                self._scaled += self._run(feeds, self._settings)
        return self._scaled

    def _run(self, feeds: Mapping[str, np.ndarray], settings: SessionSettings) -> list[dict[str, np.ndarray]]:
        try:
            return [self._runner.outputs(self._original, feeds, settings)]
        except MeasurementError:
            return []


def _is_below(seen: Observation, limit: float) -> np.ndarray:
    """Where reference and candidate are finite and no further apart than ``limit``."""
    one, two = widened(seen.reference), widened(seen.candidate)
    with np.errstate(invalid="ignore", over="ignore"):
        is_below: np.ndarray = np.isfinite(one) & np.isfinite(two) & (np.abs(one - two) <= limit)
    return is_below


def _is_near_largest(seen: Observation) -> np.ndarray:
    """Where reference or candidate is finite and not far from the largest number of the original's type."""
    largest = largest_of(seen.reference.dtype) / BORDER
    wide = (widened(seen.reference), widened(seen.candidate))
    is_near: np.ndarray = np.logical_or.reduce([np.isfinite(each) & (np.abs(each) >= largest) for each in wide])
    return is_near


def _is_alike(one: np.ndarray, two: np.ndarray) -> bool:
    return one.shape == two.shape and one.dtype == two.dtype


def _kinds(array: np.ndarray, *, has_jumps: bool) -> np.ndarray:
    """For each element 0 for zero, 1 for another finite number, 2 for what is not finite.

    Where a jump may lead to zero it counts as any other number.
    """
    wide = widened(array)
    return np.where(np.isfinite(wide), 1 if has_jumps else (wide != 0.0).astype(np.int8), NOT_FINITE)


def perturbed(feeds: Mapping[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the inputs with every float moved by a few units in its last place; others stay."""
    moved = dict(feeds)
    for name, array in feeds.items():
        wide = widened(array)
        if wide.dtype == np.float64:
            factor = 1.0 + _noise(array.dtype) * rng.standard_normal(array.shape)
            moved[name] = np.asarray(wide * factor).astype(array.dtype)
    return moved


def is_as_true(truth: np.ndarray, originals: list[np.ndarray], seen: Observation) -> bool:
    """True where the candidate's error against the truth is like the original's own.

    That is: no element and not the root mean square exceeds ``SLACK`` times what the original, in any of its
    runs, shows, or the tolerance. Where the original is infinite or NaN, the same is right as well.

    Args:
        truth: The float64 result.
        originals: Results of the original.
        seen: The output.
    """
    if truth.dtype.kind != "f":
        errors = [np.count_nonzero(truth != array) for array in originals]
        return bool(np.count_nonzero(truth != seen.candidate) <= max(errors))
    candidate, reference = widened(seen.candidate), widened(seen.reference)
    is_settled = (candidate == truth) | (np.isnan(candidate) & np.isnan(truth))
    is_kept = ~np.isfinite(reference) & ((candidate == reference) | (np.isnan(candidate) & np.isnan(reference)))
    is_open = ~(is_settled | is_kept)
    if not np.all(np.isfinite(candidate[is_open]) & np.isfinite(truth[is_open])):
        return False
    own = [np.abs(widened(array) - truth)[np.isfinite(widened(array)) & np.isfinite(truth)] for array in originals]
    largest = max(float(errors.max(initial=0.0)) for errors in own)
    typical = max(size_of(errors) for errors in own)
    size = size_of(truth)
    errors = np.abs(candidate[is_open] - truth[is_open])
    tolerated = seen.allowed.absolute * size + seen.allowed.relative * np.abs(truth[is_open])
    is_everywhere = bool(np.all(errors <= np.maximum(SLACK * largest, tolerated)))
    limit = max(SLACK * typical, (seen.allowed.absolute + seen.allowed.relative) * size)
    return is_everywhere and size_of(errors) <= limit


def is_within_noise(truth: np.ndarray, noisy: list[np.ndarray], seen: Observation) -> bool:
    """True where the candidate is what the original would be with weights that are some units in the last place off.

    That is: neither an element nor the root mean square of its errors exceeds ``SLACK`` times what such weights do. A
    small backward error, in the words of numerical analysis (Higham, section 1.5).

    Args:
        truth: The float64 result.
        noisy: Float64 results with other weights.
        seen: The output.
    """
    candidate = widened(seen.candidate)
    moves = [np.abs(array - truth) for array in noisy]
    if not moves or not all(np.all(np.isfinite(array)) for array in (truth, candidate, *moves)):
        return False
    errors = np.abs(candidate - truth)
    is_everywhere = bool(errors.max(initial=0.0) <= SLACK * max(move.max(initial=0.0) for move in moves))
    return is_everywhere and size_of(errors) <= SLACK * max(size_of(move) for move in moves)


def is_as_unstable(variations: list[np.ndarray], seen: Observation) -> bool:
    """True where the original's variations differ from it as much as the candidate does.

    The number of elements out of tolerance is compared and, for floats, the largest difference: an index that
    jumps may jump anywhere.

    Args:
        variations: Results of the original after changes that mean nothing.
        seen: The output.
    """
    differences = [compare(seen.reference, array, seen.allowed) for array in variations]
    num_mismatched = max((each.num_mismatched for each in differences), default=0)
    largest = max((each.max_abs_error for each in differences), default=0.0)
    is_float = widened(seen.reference).dtype == np.float64
    if seen.difference.num_mismatched > SLACK * num_mismatched:
        return False
    return not is_float or seen.difference.max_abs_error <= SLACK * largest


def _named(runs: list[dict[str, np.ndarray]], seen: Observation) -> list[np.ndarray]:
    """One output of each run that has it in the right shape, floats in the reference's type or wider."""
    arrays = [run[seen.name] for run in runs if seen.name in run]
    is_float = widened(seen.reference).dtype == np.float64
    return [
        array
        for array in arrays
        if array.shape == seen.reference.shape and (is_float or array.dtype == seen.reference.dtype)
    ]


def _noise(dtype: np.dtype) -> float:
    bits = {np.dtype(np.float64): 53, np.dtype(np.float32): 24, np.dtype(np.float16): 11}
    return float(PERTURBATION_ULPS * 2.0 ** (1 - bits.get(dtype, 8)))
