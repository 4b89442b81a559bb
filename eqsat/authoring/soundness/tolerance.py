"""When two values count as equal: by float class, element type and who computed them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from eqsat.rules import FloatClass

REFERENCE: Final[Mapping[str, float]] = {"float64": 1e-6, "float32": 3e-5, "float16": 3e-2}
"""Largest difference between two roundings of one real number, relative to the largest number of the value.

Attributes and literals of rules are float32, and so are the sums within normalisations, which float64 shows.
"""

RUNTIME: Final[Mapping[str, float]] = {"float64": 1e-6, "float32": 1e-4, "float16": 3e-2}
"""The same for ONNX Runtime's kernels."""

RUNTIME_EXACT: Final[Mapping[str, float]] = {"float64": 1e-14, "float32": 2e-6, "float16": 2e-3}
"""What its kernels need even where both sides mean the same bits: vectors finish a row with other instructions."""

APPROXIMATE: Final = 1e-2
"""Largest difference of a rule that says it approximates."""

_HUGE: Final = 1e30


def difference(
    expected: np.ndarray, found: np.ndarray, floats: FloatClass, tolerance: float, *, has_signed_zeros: bool = False
) -> str:
    """Return in what two values differ; empty where they are equal enough.

    Args:
        expected: What the left side gives.
        found: What another form of it gives.
        floats: Whether NaN and infinity must stay what they are (``exact``), must stay one of them (``rounds`` and
            ``reassociates``), or do not stand in ``expected`` at all (the others).
        tolerance: Largest difference relative to the largest number of ``expected``, but for numbers below one and
            those that are as large as masks.
        has_signed_zeros: True where -0 is another number than 0.
    """
    if expected.dtype != found.dtype:
        return f"{expected.dtype} became {found.dtype}"
    if expected.shape != found.shape:
        return f"shape {list(expected.shape)} became {list(found.shape)}"
    if expected.dtype.kind != "f":
        return "" if np.array_equal(expected, found) else _first(expected, found, expected != found)
    with np.errstate(all="ignore"):
        wrong = _wrong_kinds(expected, found, floats)
        if has_signed_zeros:
            wrong |= (expected == 0) & (found == 0) & (np.signbit(expected) != np.signbit(found))
        if bool(wrong.any()):
            is_lost = bool((wrong & (np.isfinite(expected) != np.isfinite(found))).any())
            return f"{_first(expected, found, wrong)} ({expected.dtype}){_FINITE_HINT if is_lost else ''}"
        is_number = np.isfinite(expected) & np.isfinite(found)
        one, two = expected[is_number].astype(np.float64), found[is_number].astype(np.float64)
        gap, size = np.abs(one - two), np.abs(one)
        # A number so large that it is a mask hides no other; it is compared with itself alone.
        usual = float(size[size < _HUGE].max(initial=1.0))
        allowed = tolerance * np.where(size < _HUGE, max(1.0, usual), size)
        if not bool((gap > allowed).any()):
            return ""
        worst = int(np.argmax(gap / np.maximum(allowed, np.finfo(np.float64).tiny)))
    return f"differs by {gap[worst]:.3g} where {allowed[worst]:.3g} is allowed"


def _wrong_kinds(expected: np.ndarray, found: np.ndarray, floats: FloatClass) -> np.ndarray:
    """Where one value is NaN or infinite and the other is not of the same kind."""
    lost = np.isfinite(expected) != np.isfinite(found)
    if floats is FloatClass.EXACT:
        lost |= np.isnan(expected) != np.isnan(found)
        lost |= np.isinf(expected) & np.isinf(found) & (expected != found)
    return np.asarray(lost)


_FINITE_HINT: Final = "; a rule for finite values says so: FLOATS finite"


def _first(expected: np.ndarray, found: np.ndarray, wrong: np.ndarray) -> str:
    index = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    place = f" at {[int(position) for position in index]}" if index else ""
    return f"{expected[index]} became {found[index]}{place}"
