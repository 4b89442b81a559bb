"""What a constant holds, where rules ask for it: tables of rotary embeddings, masks of causal attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np

MAX_ELEMENTS: Final = 1 << 24
"""Larger constants are not looked at."""

_MIN_RANK: Final = 2


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
