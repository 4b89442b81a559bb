"""What a candidate is tried on: inputs, and what the original makes of them, computed once for all candidates.

Besides ordinary inputs there are very small and very large ones, since rules that merge constants go wrong at the ends
of a type's range, and sizes of 0 and 1, since rules that move axes go wrong there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, final

import numpy as np

from eqsat.runtime import MeasurementError, SessionSettings
from eqsat.verify.content import Role
from eqsat.verify.inputs import InputSpec, random_feeds
from eqsat.verify.judge import Runner
from eqsat.verify.plan import InputPlan
from eqsat.verify.sizes import contradiction
from ir.interface import unseeded_random_operators

MAX_EXTRA_BYTES: Final = 512 * 1024**2
"""Outputs of the original that are kept; what comes after the ordinary inputs is left out beyond it."""


class Draw(StrEnum):
    """Where inputs come from."""

    GIVEN = "given"
    """The user's own."""
    ORDINARY = "ordinary"
    """Numbers around one."""
    TINY = "tiny"
    """Numbers near the lower end of the type's range."""
    HUGE = "huge"
    """Numbers near the upper end."""
    WIDE = "wide"
    """Numbers of several orders of magnitude beside each other: some saturate or overflow, others do not."""
    EDGE = "edge"
    """A dimension of size 0 or 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """Factors for the elements of plain float inputs, by element type.

    Attributes:
        draw: What such inputs are called.
        half: Of float16.
        single: Of float32 and bfloat16.
        double: Of float64.
        is_spread: True where this is the largest factor, and each element has its own, their logarithms evenly spread
            down to 1 / ``SPREAD_BELOW``.
    """

    draw: Draw
    half: float
    single: float
    double: float
    is_spread: bool = False

    def of(self, dtype: int) -> float:
        """Return the factor for an element type; 1 for one whose range leaves no room."""
        return {10: self.half, 1: self.single, 16: self.single, 11: self.double}.get(dtype, 1.0)


SPREAD_BELOW: Final = 100.0

_SCALES: Final = (
    _Scale(draw=Draw.WIDE, half=100.0, single=1e3, double=1e3, is_spread=True),
    _Scale(draw=Draw.TINY, half=1e-3, single=1e-30, double=1e-200),
    _Scale(draw=Draw.HUGE, half=600.0, single=1e30, double=1e200),
    _Scale(draw=Draw.TINY, half=3e-5, single=1e-10, double=1e-30),
    _Scale(draw=Draw.HUGE, half=2e4, single=1e10, double=1e30),
)
"""In order of what they find. The draws themselves are normal; those of half precision have a deviation of 0.5."""


class Problem(StrEnum):
    """Why nothing can be verified, whatever the candidate."""

    RANDOM_OPERATORS = "random-operators"
    """The model gives another result each time."""
    ORIGINAL_FAILED = "original-failed"
    """The original cannot be run on any inputs tried."""
    NOTHING_FINITE = "nothing-finite"
    """All that the original computes is infinite, NaN or empty, so that nothing can be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One set of inputs and what the original computes from it.

    Attributes:
        number: Number of the trial.
        draw: Where the inputs come from.
        symbols: Sizes by symbol.
        feeds: Arrays by input name.
        expected: Outputs of the original by name.
    """

    number: int
    draw: Draw
    symbols: Mapping[int, int]
    feeds: Mapping[str, np.ndarray]
    expected: Mapping[str, np.ndarray]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes by input name."""
        return {name: array.shape for name, array in self.feeds.items()}


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
class Trials:
    """All trials of one verification.

    Attributes:
        original: The model as it was given.
        runner: Runs it.
        settings: How its sessions are made.
        seed: Of the random inputs.
        plan: What the inputs are.
        trials: At least one, unless there is a problem.
        skipped: Sizes at which the original cannot be run.
        problem: Why nothing can be verified; None where it can.
        detail: What is behind the problem, as one line.
    """

    original: Path
    runner: Runner
    settings: SessionSettings
    seed: int
    plan: InputPlan
    trials: tuple[Trial, ...] = ()
    skipped: tuple[SkippedSize, ...] = ()
    problem: Problem | None = None
    detail: str = ""

    @property
    def scalable(self) -> frozenset[str]:
        """Inputs whose elements may be multiplied without losing their meaning."""
        return frozenset(spec.name for spec in self.plan.specs if _is_scalable(spec))

    def named(self, sizes: Mapping[int, int]) -> dict[str, int]:
        """Return the sizes of the inputs' own dimensions by name."""
        return self.plan.named(sizes)


def prepare(
    original: Path,
    runner: Runner,
    *,
    settings: SessionSettings,
    plan: InputPlan,
    num_checks: int,
    seed: int,
    is_late: Callable[[], bool] = lambda: False,
) -> Trials:
    """Run the original on all inputs that candidates are to be tried on.

    Args:
        original: The model as it was given.
        runner: Runs it.
        settings: How sessions are made.
        plan: What the inputs are.
        num_checks: Ordinary random inputs; each assignment of sizes gets at least one.
        seed: Of the random inputs.
        is_late: Is asked before each trial that comes after the ordinary ones; the rest is left out once it is true.

    Raises:
        ProviderError: The execution provider is not available.
        ValueError: ``num_checks`` is below 1.
    """
    if num_checks < 1:
        raise ValueError("a verification needs at least one check")
    found = Trials(original=original, runner=runner, settings=settings, seed=seed, plan=plan)
    return _Maker(found, num_checks, is_late).run()


def has_finite(array: np.ndarray) -> bool:
    """Return whether an output holds anything that can be compared."""
    if array.dtype.kind in "iubOSU":
        return array.size > 0
    with np.errstate(invalid="ignore"):
        return bool(np.isfinite(array.astype(np.float64)).any())


def scaled_feeds(
    specs: tuple[InputSpec, ...], feeds: Mapping[str, np.ndarray], scale: _Scale, rng: np.random.Generator
) -> dict[str, np.ndarray] | None:
    """Return feeds whose plain floats are multiplied; None where there are none."""
    moved = dict(feeds)
    for spec in specs:
        factor = scale.of(spec.type.dtype)
        if _is_scalable(spec) and factor != 1.0 and feeds[spec.name].size:
            array = feeds[spec.name]
            factors = _spread(factor, array.shape, rng) if scale.is_spread else factor
            wide = array.astype(np.float64) * factors
            moved[spec.name] = np.asarray(wide).astype(array.dtype)
    return moved if any(moved[name] is not feeds[name] for name in moved) else None


def _spread(largest: float, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    return np.asarray(np.exp(rng.uniform(-np.log(SPREAD_BELOW), np.log(largest), shape)))


def _is_scalable(spec: InputSpec) -> bool:
    return spec.content.role is Role.DATA and spec.type.dtype in {1, 10, 11, 16}


@final
class _Maker:
    """Trials under way."""

    def __init__(self, frame: Trials, num_checks: int, is_late: Callable[[], bool]) -> None:
        self._frame = frame
        self._num_checks = num_checks
        self._is_late = is_late
        self._trials: list[Trial] = []
        self._skipped: list[SkippedSize] = []
        self._num_bytes = 0
        self._message = ""
        self._number = 0

    def run(self) -> Trials:
        random = unseeded_random_operators(self._frame.plan.graph)
        if random:
            return self._end(Problem.RANDOM_OPERATORS, f"the model is random by itself ({', '.join(random)})")
        for sample in self._frame.plan.samples:
            self._try(Draw.GIVEN, self._frame.plan.sizes_of(sample), sample)
        self._ordinary()
        if not self._trials:
            return self._end(Problem.ORIGINAL_FAILED, f"the original does not run on the inputs tried: {self._message}")
        for draw, sizes, feeds in self._extras():
            if self._num_bytes > MAX_EXTRA_BYTES or self._is_late():
                break
            self._try(draw, sizes, feeds)
        if not any(has_finite(array) for trial in self._trials for array in trial.expected.values()):
            return self._end(Problem.NOTHING_FINITE, "the original computes nothing finite on the inputs tried")
        return self._end()

    def _ordinary(self) -> None:
        """Numbers around one, size after size and round again."""
        plan = self._frame.plan
        sizes = list(plan.assignments) if plan.can_draw else []
        wanted = max(self._num_checks, len(sizes))
        turn = done = 0
        while sizes and done < wanted:
            current = sizes[turn % len(sizes)]
            if self._try(Draw.ORDINARY, current, self._drawn(current)):
                done += 1
                turn += 1
            else:
                sizes.remove(current)

    def _extras(self) -> Iterator[tuple[Draw, Mapping[int, int], Mapping[str, np.ndarray]]]:
        """Magnitudes at the smallest sizes that ran, and sizes of 0 and 1 in turn: what finds most comes first."""
        plan = self._frame.plan
        if not plan.can_draw:
            return
        ran = [trial.symbols for trial in self._trials if trial.draw is Draw.ORDINARY]
        if not ran:
            return
        small = min(ran, key=lambda sizes: (sum(sizes.values()), sorted(sizes.items())))
        for scale in _SCALES:
            rng = np.random.default_rng((self._frame.seed, self._number, 1))
            feeds = scaled_feeds(plan.specs, self._drawn(small), scale, rng)
            if feeds is not None:
                yield scale.draw, small, feeds
        for sizes in plan.edges(small):
            yield Draw.EDGE, sizes, self._drawn(sizes)

    def _drawn(self, sizes: Mapping[int, int]) -> dict[str, np.ndarray]:
        rng = np.random.default_rng((self._frame.seed, self._number))
        return random_feeds(self._frame.plan.graph, self._frame.plan.specs, rng, sizes)

    def _try(self, draw: Draw, sizes: Mapping[int, int], feeds: Mapping[str, np.ndarray]) -> bool:
        """Run the original and note what it computes; False where it cannot be run."""
        frame = self._frame
        try:
            expected = frame.runner.outputs(frame.original, feeds, frame.settings)
        except MeasurementError as error:
            self._message = self._message or str(error)
            self._skipped.append(SkippedSize(sizes=frame.named(sizes), message=str(error)))
            return False
        strange = contradiction(frame.plan.graph, sizes, expected) if 0 in sizes.values() else ""
        if strange:
            self._skipped.append(SkippedSize(sizes=frame.named(sizes), message=strange))
            return False
        self._num_bytes += sum(array.nbytes for array in expected.values())
        self._trials.append(Trial(number=self._number, draw=draw, symbols=sizes, feeds=feeds, expected=expected))
        self._number += 1
        return True

    def _end(self, problem: Problem | None = None, detail: str = "") -> Trials:
        frame = self._frame
        return Trials(
            original=frame.original,
            runner=frame.runner,
            settings=frame.settings,
            seed=frame.seed,
            plan=frame.plan,
            trials=tuple(self._trials),
            skipped=tuple(self._skipped),
            problem=problem,
            detail=detail,
        )
