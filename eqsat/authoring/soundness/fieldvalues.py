"""Tensors over the field: structured arrays of the tensor's own shape, each element its numbers at all points.

The name of the one field of such an array is the element type that the tensor has in the model: a tensor of
``float32`` is an array of the dtype ``[("float32", uint64, (number of points,))]``. Truths that depend on numbers are
numbers too, one for true and zero for false: ``bool``. Integers that do, casts for example, can be moved only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeGuard

import numpy as np

if TYPE_CHECKING:
    from eqsat.authoring.soundness.fieldnumbers import Numbers

FLOATS: Final = ("float16", "float32", "float64")
"""Element types that live in the field."""


def is_field(value: np.ndarray | None) -> TypeGuard[np.ndarray]:
    """Return whether a value is a tensor over the field; None, which is missing, is none."""
    return value is not None and value.dtype.names is not None


def precision(value: np.ndarray) -> str:
    """Return the element type that a tensor has in the model."""
    return value.dtype.names[0] if value.dtype.names is not None else str(value.dtype)


def joined(at_points: Sequence[Numbers], dtype: str) -> np.ndarray:
    """Return a tensor of an element type from its numbers at each point."""
    stacked = np.stack([np.asarray(numbers, np.uint64) for numbers in at_points], axis=-1)
    value = np.empty(stacked.shape[:-1], np.dtype([(dtype, np.uint64, (len(at_points),))]))
    value[dtype] = stacked
    return value


def at(value: np.ndarray, place: int) -> Numbers:
    """Return the numbers of a tensor at one point."""
    return np.ascontiguousarray(value[precision(value)][..., place]).reshape(value.shape)


def stand_in(value: np.ndarray) -> np.ndarray:
    """Return zeros of a tensor's shape and element type for one over the field, and others as they are."""
    return np.zeros(value.shape, precision(value)) if is_field(value) else value
