"""How far two results may be apart before it has to be explained, and how far apart they are.

A float32 sum of K terms, added in two different orders, differs by about ``eps sqrt(K)`` of its size: the errors of
the additions are independent (N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 2.8).
The errors of L such sums in a row grow like ``sqrt(L)`` for the same reason. Sums of 16 bit floats are accumulated
in float32, so that only their results are rounded to 16 bits. The size is that of the whole output, because an
element near zero is a difference of larger numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from eqsat.rules.rule import FloatClass

ACCUMULATOR_BITS: Final = 24
"""Bits in which sums of narrower floats are accumulated."""

ROUNDINGS: Final[Mapping[FloatClass, float]] = MappingProxyType(
    {FloatClass.EXACT: 4.0, FloatClass.ROUNDS: 8.0, FloatClass.REASSOCIATES: 8.0, FloatClass.FINITE: 8.0},
)
"""Roundings of a single operator, in units of the last place. Exact rules have some too: a provider fuses and blocks
the rewritten graph in its own way."""

APPROXIMATION: Final = 0.05
"""Share of the output's size by which a rule that approximates may change it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """An element may be off by ``absolute * size of the output + relative * |element|``.

    Attributes:
        absolute: Share of the output's size, its root mean square over finite elements.
        relative: Share of the element.
    """

    absolute: float
    relative: float


SMALLEST_STEPS: Final = 4.0
"""Steps of a type's smallest number that any result may be off by: there is nothing between them."""

EQUAL: Final = Tolerance(absolute=0.0, relative=0.0)
"""For integers and booleans that no rounded float decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How far a candidate is from a reference.

    Attributes:
        max_abs_error: Largest absolute difference where both are finite.
        max_rel_error: Largest absolute difference as a share of the reference's size (its root mean square); 0 where
            there is none, infinite where the reference is zero everywhere.
        num_mismatched: Elements out of tolerance; all of them where the shape or the type differs.
        num_elements: Elements of the reference.
        is_within: True where none is out of tolerance.
    """

    max_abs_error: float
    max_rel_error: float
    num_mismatched: int
    num_elements: int
    is_within: bool


def tolerance(precision_bits: int, float_class: FloatClass, reduction_length: int, num_reductions: int) -> Tolerance:
    """Return the tolerance for an output.

    Args:
        precision_bits: Bits of the significand of the least precise float on the way (24 for float32).
        float_class: The loosest class among the rules that were applied.
        reduction_length: Elements added up by the longest reduction on the way.
        num_reductions: Reductions in a row.
    """
    if float_class is FloatClass.APPROXIMATES:
        return Tolerance(absolute=APPROXIMATION, relative=APPROXIMATION)
    chain = math.sqrt(max(num_reductions, 1))
    rounding = ROUNDINGS[float_class] * 2.0 ** (1 - precision_bits)
    accumulated = math.sqrt(max(reduction_length, 1)) * 2.0 ** (1 - max(precision_bits, ACCUMULATOR_BITS))
    return Tolerance(absolute=(rounding + accumulated) * chain, relative=rounding * chain)


def size_of(array: np.ndarray) -> float:
    """Return the root mean square of the finite elements; 0 where there are none."""
    wide = _wide(array)
    finite = wide[np.isfinite(wide)]
    if finite.size == 0:
        return 0.0
    largest = float(np.abs(finite).max())
    if largest == 0.0:
        return 0.0
    return largest * math.sqrt(float(np.mean(np.square(finite / largest))))


def compare(reference: np.ndarray, candidate: np.ndarray, allowed: Tolerance) -> Difference:
    """Return how far ``candidate`` is from ``reference``.

    NaN equals NaN, and an infinity equals the same infinity. Shapes and types must be the same.

    Args:
        reference: What should come out.
        candidate: What came out.
        allowed: The tolerance.
    """
    if reference.shape != candidate.shape or reference.dtype != candidate.dtype:
        count = max(reference.size, 1)
        return Difference(
            max_abs_error=0.0, max_rel_error=0.0, num_mismatched=count, num_elements=count, is_within=False
        )
    if reference.dtype == object:
        return _difference(np.zeros(1), reference != candidate, 0.0)
    return _difference(_errors(reference, candidate), off_elements(reference, candidate, allowed), size_of(reference))


def off_elements(reference: np.ndarray, candidate: np.ndarray, allowed: Tolerance) -> np.ndarray:
    """Return where numbers of equal shapes are out of tolerance.

    Near the bottom of the type's range a result can be no closer than some steps of its smallest number.

    Args:
        reference: What should come out.
        candidate: What came out.
        allowed: The tolerance.
    """
    one, two = _wide(reference), _wide(candidate)
    is_finite = np.isfinite(one) & np.isfinite(two)
    floor = 0.0 if allowed == EQUAL else SMALLEST_STEPS * smallest_of(reference.dtype)
    with np.errstate(over="ignore"):
        limits = (
            allowed.absolute * size_of(reference) + allowed.relative * np.abs(np.where(is_finite, one, 0.0)) + floor
        )
    is_same = (one == two) | (np.isnan(one) & np.isnan(two))
    off: np.ndarray = ~is_same & ~(is_finite & (_errors(reference, candidate) <= limits))
    return off


def smallest_of(dtype: np.dtype) -> float:
    """Return the smallest number above zero of a float type; 0 for every other type."""
    return 0.0 if dtype.kind in "iub" else float(np.nextafter(dtype.type(0), dtype.type(1)))


def largest_of(dtype: np.dtype) -> float:
    """Return the largest finite number of a float type; infinity for every other type."""
    with np.errstate(over="ignore"):
        return math.inf if dtype.kind in "iub" else float(np.nextafter(dtype.type(math.inf), dtype.type(0)))


def smallest_normal(dtype: np.dtype) -> float:
    """Return the smallest number of a float type that has all its bits; 0 for every other type."""
    if dtype.kind in "iub":
        return 0.0
    return smallest_of(dtype) / (float(np.nextafter(dtype.type(1), dtype.type(2))) - 1.0)


def _errors(reference: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    """Absolute differences, 0 where one of the two is not finite."""
    one, two = _wide(reference), _wide(candidate)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(np.isfinite(one) & np.isfinite(two) & (one != two), np.abs(one - two), 0.0)


def _difference(errors: np.ndarray, is_off: np.ndarray, size: float) -> Difference:
    largest = min(float(errors.max(initial=0.0)), float(np.finfo(np.float64).max))
    share = largest / size if size > 0.0 else math.inf
    num_off = int(np.count_nonzero(is_off))
    return Difference(
        max_abs_error=largest,
        max_rel_error=share if largest > 0.0 else 0.0,
        num_mismatched=num_off,
        num_elements=int(is_off.size),
        is_within=num_off == 0,
    )


def _wide(array: np.ndarray) -> np.ndarray:
    """Elements as float64, 64 bit integers as the widest float there is."""
    is_long = array.dtype in {np.dtype(np.int64), np.dtype(np.uint64)}
    return array.astype(np.longdouble if is_long else np.float64)
