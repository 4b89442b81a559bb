"""Comparison of arrays, and how much they may differ."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from eqsat.rules.rule import FloatClass
from eqsat.verify import Tolerance, compare, tolerance
from eqsat.verify.tolerance import EQUAL, size_of
from ir.interface import numpy_dtype

ARRAYS = npst.arrays(
    np.float32,
    npst.array_shapes(max_dims=3, max_side=4),
    elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
)
FINITE = npst.arrays(np.float32, st.integers(1, 20), elements=st.floats(-(2.0**60), 2.0**60, width=32))


@given(ARRAYS)
def test_an_array_equals_itself_even_where_it_is_not_finite(array: np.ndarray) -> None:
    found = compare(array, array.copy(), EQUAL)
    assert found.is_within
    assert (found.max_abs_error, found.num_mismatched) == (0.0, 0)


@given(FINITE, st.data())
def test_one_element_that_is_off_by_more_than_allowed_is_found(array: np.ndarray, data: st.DataObject) -> None:
    allowed = Tolerance(absolute=1e-3, relative=1e-3)
    position = data.draw(st.integers(0, array.size - 1))
    wrong = array.copy()
    wrong[position] += np.float32(0.01 * size_of(array) + 0.01 * abs(float(array[position])) + 1.0)
    found = compare(array, wrong, allowed)
    step = abs(float(wrong[position]) - float(array[position]))
    assert found.max_abs_error == step
    assert found.num_mismatched == (step > 1e-3 * size_of(array) + 1e-3 * abs(float(array[position])))


@given(FINITE, FINITE)
def test_a_wider_tolerance_never_finds_more(one: np.ndarray, two: np.ndarray) -> None:
    count = min(one.size, two.size)
    narrow = compare(one[:count], two[:count], Tolerance(absolute=1e-4, relative=1e-4))
    wide = compare(one[:count], two[:count], Tolerance(absolute=1e-2, relative=1e-2))
    assert wide.num_mismatched <= narrow.num_mismatched
    assert wide.max_abs_error == narrow.max_abs_error


@pytest.mark.parametrize(
    ("reference", "candidate"),
    [(math.nan, 1.0), (1.0, math.nan), (math.inf, 1.0), (math.inf, -math.inf), (1.0, math.inf), (math.inf, math.nan)],
)
def test_infinities_and_nan_equal_only_themselves(reference: float, candidate: float) -> None:
    one, two = np.array([reference, 5.0]), np.array([candidate, 5.0])
    found = compare(one, two, Tolerance(absolute=1.0, relative=1.0))
    assert (found.is_within, found.num_mismatched) == (False, 1)
    assert math.isfinite(found.max_abs_error)


@pytest.mark.parametrize(
    "candidate",
    [np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float64), np.zeros(6, np.float32), np.zeros((3, 1), np.float32)],
)
def test_another_shape_or_type_is_a_mismatch(candidate: np.ndarray) -> None:
    found = compare(np.zeros((3, 2), np.float32), candidate, Tolerance(absolute=1.0, relative=1.0))
    assert (found.is_within, found.num_mismatched) == (False, 6)


def test_large_integers_are_compared_exactly() -> None:
    one = np.array([2**62, 2**62 + 1])
    assert compare(one, one.copy(), EQUAL).is_within
    assert compare(one, one + np.array([0, 1]), EQUAL).num_mismatched == 1


def test_strings_booleans_bfloat16_and_empty_arrays_are_compared() -> None:
    words = np.array(["a", "b"], dtype=object)
    assert compare(words, words.copy(), EQUAL).is_within
    assert compare(words, np.array(["a", "c"], dtype=object), EQUAL).num_mismatched == 1
    assert compare(np.array([True, False]), np.array([True, True]), EQUAL).num_mismatched == 1
    half = np.array([1.0, 2.0], dtype=numpy_dtype(onnx.TensorProto.BFLOAT16))
    assert compare(half, half.copy(), EQUAL).is_within
    assert compare(np.zeros((0, 3)), np.zeros((0, 3)), EQUAL).is_within


def test_zero_against_noise_is_out_of_tolerance_and_infinitely_large_in_proportion() -> None:
    found = compare(np.zeros(3), np.array([0.0, 1e-9, 0.0]), Tolerance(absolute=1e-3, relative=1e-3))
    assert (found.num_mismatched, found.max_rel_error) == (1, math.inf)


def test_size_does_not_overflow() -> None:
    assert size_of(np.array([1e300, -1e300, math.inf])) == pytest.approx(1e300)
    assert size_of(np.array([3.0, 4.0])) == pytest.approx(math.sqrt(12.5))


@pytest.mark.parametrize("length", [64, 1024, 8192])
def test_another_order_of_summation_is_within_and_a_part_in_a_thousand_is_not(length: int) -> None:
    rng = np.random.default_rng(length)
    x, w = (rng.standard_normal(shape, dtype=np.float32) for shape in ((64, length), (length, 64)))
    order = rng.permutation(length)
    reference, candidate = x @ w, np.cumsum(x[:, order, None] * w[None, order, :8], axis=1)[:, -1]
    allowed = tolerance(24, FloatClass.REASSOCIATES, length, 1)
    assert compare(reference[:, :8], candidate, allowed).is_within
    assert not compare(reference, reference * np.float32(1.001), allowed).is_within


def test_tolerance_grows_with_length_depth_and_looseness_only() -> None:
    base = tolerance(24, FloatClass.REASSOCIATES, 100, 4)
    assert tolerance(24, FloatClass.REASSOCIATES, 400, 4).absolute > base.absolute
    assert tolerance(24, FloatClass.REASSOCIATES, 100, 16).absolute == pytest.approx(2 * base.absolute)
    assert tolerance(24, FloatClass.EXACT, 100, 4).absolute < base.absolute
    assert tolerance(24, FloatClass.FINITE, 100, 4) == base
    assert tolerance(24, FloatClass.APPROXIMATES, 100, 4).absolute > 100 * base.absolute
    assert tolerance(53, FloatClass.REASSOCIATES, 100, 4).absolute < 1e-8 * base.absolute


def test_sums_of_16_bit_floats_are_not_charged_for_their_length() -> None:
    short, long = (tolerance(11, FloatClass.REASSOCIATES, length, 1).absolute for length in (1, 4096))
    assert long < 1.01 * short
