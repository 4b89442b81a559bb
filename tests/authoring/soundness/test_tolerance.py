"""When two values count as equal."""

from __future__ import annotations

import numpy as np
import pytest

from eqsat.authoring.soundness.tolerance import difference
from eqsat.rules import FloatClass

EXACT, REASSOCIATES, FINITE = FloatClass.EXACT, FloatClass.REASSOCIATES, FloatClass.FINITE


def numbers(*values: float) -> np.ndarray:
    return np.array(values)


@pytest.mark.parametrize(
    ("expected", "found", "floats"),
    [
        (numbers(1.0, np.nan, np.inf), numbers(1.0, np.nan, np.inf), EXACT),
        (numbers(np.nan), numbers(np.inf), REASSOCIATES),
        (numbers(1e6, 1.0), numbers(1e6, 1.0 + 1e-3), REASSOCIATES),
    ],
)
def test_equal(expected: np.ndarray, found: np.ndarray, floats: FloatClass) -> None:
    assert not difference(expected, found, floats, 1e-6)


@pytest.mark.parametrize(
    ("expected", "found", "floats", "message"),
    [
        (numbers(1.0), numbers(1.0 + 1e-3), REASSOCIATES, "differs by 0.001"),
        (numbers(np.nan), numbers(0.0), REASSOCIATES, "nan became 0.0 at [0]"),
        (numbers(1.0, 2.0), numbers(1.0, np.inf), FINITE, "2.0 became inf at [1]"),
        (numbers(np.nan), numbers(np.inf), EXACT, "nan became inf"),
        (numbers(np.inf), numbers(-np.inf), EXACT, "inf became -inf"),
        (numbers(1.0), np.array([1.0], np.float32), EXACT, "float64 became float32"),
        (numbers(1.0), np.array([[1.0]]), EXACT, "shape [1] became [1, 1]"),
        (np.array([1, 2]), np.array([1, 3]), EXACT, "2 became 3 at [1]"),
    ],
)
def test_different(expected: np.ndarray, found: np.ndarray, floats: FloatClass, message: str) -> None:
    assert message in difference(expected, found, floats, 1e-6)


def test_minus_zero_is_zero_unless_it_is_asked_for() -> None:
    assert not difference(numbers(-0.0), numbers(0.0), EXACT, 0.0)
    assert "-0.0 became 0.0" in difference(numbers(-0.0), numbers(0.0), EXACT, 0.0, has_signed_zeros=True)


def test_numbers_as_large_as_masks_are_compared_with_themselves() -> None:
    lowest = float(np.finfo(np.float32).min)
    assert not difference(numbers(1e40, 1.0), numbers(1e40 * (1 + 1e-9), 1.0), REASSOCIATES, 1e-6)
    assert "differs by 1 where 1e-06" in difference(numbers(lowest, 1.0), numbers(lowest, 2.0), REASSOCIATES, 1e-6)
    assert difference(numbers(lowest), numbers(2 * lowest), REASSOCIATES, 1e-6)
