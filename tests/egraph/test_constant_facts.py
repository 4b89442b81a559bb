"""What constants hold: their range, halves that are the same, triangles."""

from __future__ import annotations

import numpy as np
import pytest

from eqsat.egraph.constant_facts import (
    MAX_SCANNED,
    Range,
    Triangle,
    has_equal_halves,
    has_equal_pairs,
    range_of,
    triangle_of,
)

LOWEST = float(np.finfo(np.float32).min)


def causal(size: int, masked: float, dtype: type = np.float32) -> np.ndarray:
    return np.where(np.tri(size, dtype=np.bool_), 0.0, masked).astype(dtype)


def test_halves_of_the_last_axis() -> None:
    half = np.random.default_rng(0).standard_normal((1, 1, 5, 4)).astype(np.float32)
    table = np.concatenate([half, half], axis=-1)
    assert has_equal_halves(table)
    table[..., 0, 1] += 1e-6
    assert not has_equal_halves(table)
    assert not has_equal_halves(np.concatenate([half, half[..., ::-1]], axis=-1))
    assert not has_equal_halves(np.concatenate([half, half], axis=-2))


def test_pairs_of_the_last_axis() -> None:
    table = np.repeat(np.random.default_rng(0).standard_normal((1, 1, 5, 4)).astype(np.float32), 2, axis=-1)
    assert has_equal_pairs(table)
    assert not has_equal_pairs(np.roll(table, 1, axis=-1))
    assert not has_equal_pairs(np.swapaxes(table, -1, -2))
    table[..., 0, 1] += 1e-6
    assert not has_equal_pairs(table)


@pytest.mark.parametrize(
    "array",
    [
        np.array(1.0, np.float32),
        np.ones((2, 3), np.float32),
        np.ones((0, 4), np.float32),
        np.full((2, 4), np.nan, np.float32),
        np.ones((2, 4), np.int64),
    ],
)
def test_what_has_no_pairs(array: np.ndarray) -> None:
    assert not has_equal_pairs(array)


def test_what_has_no_halves() -> None:
    assert not has_equal_halves(np.array(1.0, np.float32))
    assert not has_equal_halves(np.ones((2, 3), np.float32))
    assert not has_equal_halves(np.ones((0, 4), np.float32))
    assert not has_equal_halves(np.full((2, 4), np.nan, np.float32))
    assert not has_equal_halves(np.ones((2, 4), np.int64))


@pytest.mark.parametrize("shape", [(6, 6), (1, 1, 6, 6)])
def test_a_causal_mask_is_a_triangle(shape: tuple[int, ...]) -> None:
    assert triangle_of(causal(6, LOWEST).reshape(shape)) == Triangle(size=6, low=0.0, high=LOWEST)


def test_infinity_counts_as_the_largest_number() -> None:
    assert triangle_of(causal(3, -np.inf)) == Triangle(size=3, low=0.0, high=-float(np.finfo(np.float64).max))


def test_truths_are_ones_and_zeros() -> None:
    assert triangle_of(np.tri(4, dtype=np.bool_)) == Triangle(size=4, low=1.0, high=0.0)


def test_what_is_no_triangle() -> None:
    window = causal(6, LOWEST)
    window[5, 0] = LOWEST
    shifted = np.where(np.tri(6, k=1, dtype=np.bool_), 0.0, LOWEST)
    for array in (
        window,
        shifted,
        causal(6, LOWEST).T[:, ::-1],
        causal(6, 0.0),
        causal(6, np.nan),
        np.stack([causal(4, LOWEST)] * 2),
        np.zeros((1, 1), np.float32),
        np.zeros((3, 4), np.float32),
        np.tri(4, dtype=np.int64),
    ):
        assert triangle_of(array) is None


@pytest.mark.parametrize(
    ("elements", "found"),
    [
        ([-3.0, 0.5, 2.0], Range(largest=3.0, least=0.5, has_zero=False, has_negative=True)),
        ([0.0, 4.0], Range(largest=4.0, least=4.0, has_zero=True, has_negative=False)),
        ([0.0, 0.0], Range(largest=0.0, least=None, has_zero=True, has_negative=False)),
    ],
)
def test_the_range_of_numbers(elements: list[float], found: Range) -> None:
    assert range_of(np.array(elements, np.float32)) == found
    assert range_of(np.array(elements, np.float16)) == found


def test_a_subnormal_number_is_the_least_and_no_zero() -> None:
    assert range_of(np.array([1e-40, 1.0], np.float32)) == Range(
        largest=1.0, least=float(np.float32(1e-40)), has_zero=False, has_negative=False
    )


@pytest.mark.parametrize("element", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_has_no_range(element: float) -> None:
    assert range_of(np.array([1.0, element], np.float32)) is None
    assert range_of(np.zeros((0, 3), np.float32)) is None


def test_the_least_of_many_numbers_is_not_looked_for() -> None:
    found = range_of(np.ones(MAX_SCANNED + 1, np.float32))
    assert found == Range(largest=1.0, least=None, has_zero=True, has_negative=False)


def test_the_lowest_integer_has_a_magnitude() -> None:
    found = range_of(np.array([np.iinfo(np.int8).min, 1], np.int8))
    assert found is not None
    assert found.largest == 128.0
