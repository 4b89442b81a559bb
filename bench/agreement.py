"""Whether two models compute the same, to the accuracy that float32 leaves."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

MAX_RELATIVE_ERROR = 1e-3
"""Above this, as a fraction of the largest magnitude of an output, a contender computes something else. On these
models reordered float32 sums stay below 1e-5, while half precision and int8 arithmetic do not stay below 1e-3."""


def relative_error(wanted: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> float:
    """Return the largest difference of any output, over the largest magnitude of that output in ``wanted``.

    NaN equals NaN and an infinity itself; everything else that is not finite on one side, or an output that is missing
    or has another shape or type, is an infinite error.
    """
    if wanted.keys() != found.keys():
        return math.inf
    return max((array_error(wanted[name], found[name]) for name in wanted), default=0.0)


def array_error(wanted: np.ndarray, found: np.ndarray) -> float:
    """Return the error of one output, see :func:`relative_error`."""
    if wanted.shape != found.shape or wanted.dtype != found.dtype:
        return math.inf
    if not np.issubdtype(wanted.dtype, np.floating):
        return 0.0 if np.array_equal(wanted, found) else math.inf
    left, right = wanted.astype(np.float64), found.astype(np.float64)
    finite = np.isfinite(left)
    if not np.array_equal(left[~finite], right[~finite], equal_nan=True) or not np.isfinite(right[finite]).all():
        return math.inf
    difference = float(np.abs(left[finite] - right[finite]).max(initial=0.0))
    magnitude = float(np.abs(left[finite]).max(initial=0.0))
    if difference == 0.0:
        return 0.0
    return difference / magnitude if magnitude > 0.0 else math.inf
