"""What a constant holds, where rules ask for it: its range, tables of rotary embeddings, masks of causal attention."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np

MAX_ELEMENTS: Final = 1 << 24
"""Larger constants are not looked at."""

MAX_SCANNED: Final = 1 << 20
"""The smallest element of a larger constant is not looked for: that takes a copy of it, and weights need it nowhere."""

_MIN_RANK: Final = 2


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The magnitudes of the elements of a constant of finite numbers.

    Attributes:
        largest: Of all elements.
        least: Of all elements but zero; None where all are zero, or where there are too many to look.
        has_zero: Whether some element is zero, or none was looked for.
        has_negative: Whether some element is below zero.
    """

    largest: float
    least: float | None
    has_zero: bool
    has_negative: bool


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Triangle:
    """A matrix of two numbers.

    Attributes:
        size: Number of its rows, and of its columns.
        low: What stands on the diagonal and below it.
        high: What stands above; an infinite one counts as the largest number of its sign.
    """

    size: int
    low: float
    high: float


def range_of(array: np.ndarray) -> Range | None:
    """Return the range of a constant of numbers; None where one is infinite or NaN, or where there is none."""
    if array.size == 0:
        return None
    low, high = float(array.min()), float(array.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    least, has_zero = None, True
    if array.size <= MAX_SCANNED:
        magnitudes = np.abs(array.astype(np.float64))
        others = magnitudes[magnitudes > 0]
        least, has_zero = (float(others.min()) if others.size else None), bool(others.size < array.size)
    return Range(largest=max(abs(low), abs(high)), least=least, has_zero=has_zero, has_negative=low < 0)


def has_equal_halves(array: np.ndarray) -> bool:
    """Return whether the two halves of the last axis hold the same numbers, at least two in all."""
    if not _has_even_rows(array):
        return False
    half = array.shape[-1] // 2
    return bool(np.array_equal(array[..., :half], array[..., half:]))


def has_equal_pairs(array: np.ndarray) -> bool:
    """Return whether along the last axis each element at an even place is the same as the next, at least two in all."""
    return _has_even_rows(array) and bool(np.array_equal(array[..., 0::2], array[..., 1::2]))


def triangle_of(array: np.ndarray) -> Triangle | None:
    """Return what a constant of shape [1, ..., 1, n, n], with n of at least 2, is as a triangle; None for no such."""
    if array.dtype.kind not in "bf" or array.ndim < _MIN_RANK or array.size > MAX_ELEMENTS:
        return None
    size = array.shape[-1]
    if size < _MIN_RANK or array.shape[-2] != size or array.size != size * size:
        return None
    matrix = array.reshape(size, size)
    low, high = matrix[0, 0], matrix[0, -1]
    if low == high or np.isnan(low) or np.isnan(high):
        return None
    if not np.array_equal(matrix, np.where(np.tri(size, dtype=np.bool_), low, high)):
        return None
    return Triangle(size=size, low=_finite(low), high=_finite(high))


def _has_even_rows(array: np.ndarray) -> bool:
    """Return whether there are floating-point numbers, not too many, an even number of them along the last axis."""
    return array.dtype.kind == "f" and array.ndim > 0 and 0 < array.size <= MAX_ELEMENTS and array.shape[-1] % 2 == 0


def _finite(element: np.generic) -> float:
    largest = float(np.finfo(np.float64).max)
    return min(max(float(element.item()), -largest), largest)
