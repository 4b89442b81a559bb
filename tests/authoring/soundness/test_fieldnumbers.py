"""Arithmetic modulo 2^61 - 1 on arrays is that on Python's integers."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from eqsat.authoring.soundness import fieldnumbers as f

EDGES = [0, 1, 2, 3, f.PRIME - 1, f.PRIME - 2, (1 << 31) - 1, 1 << 31, (1 << 32) + 1, 1 << 60, (1 << 61) - 3]


def some() -> list[int]:
    return [*EDGES, *np.random.default_rng(0).integers(0, f.PRIME, 40).tolist()]


def array(values: list[int]) -> np.ndarray:
    return np.array(values, np.uint64)


def test_it_is_a_prime() -> None:
    assert pow(3, f.PRIME - 1, f.PRIME) == 1
    # Lucas and Lehmer: 2^61 - 1 is prime where this sequence ends in zero.
    value = 4
    for _ in range(59):
        value = (value * value - 2) % f.PRIME
    assert value == 0


def test_the_root_of_two_is_one() -> None:
    assert pow(f.ROOT_OF_TWO, 2, f.PRIME) == 2


def test_sums_products_and_quotients() -> None:
    one, two = array([x for x in some() for _ in some()]), array([y for _ in some() for y in some()])
    pairs = list(zip(one.tolist(), two.tolist(), strict=True))
    assert f.add(one, two).tolist() == [(x + y) % f.PRIME for x, y in pairs]
    assert f.subtract(one, two).tolist() == [(x - y) % f.PRIME for x, y in pairs]
    assert f.multiply(one, two).tolist() == [x * y % f.PRIME for x, y in pairs]
    assert f.negative(one).tolist() == [-x % f.PRIME for x, _ in pairs]
    divisor = two[two > 0]
    assert f.multiply(f.divide(one[two > 0], divisor), divisor).tolist() == one[two > 0].tolist()


def test_numbers_without_axes() -> None:
    three = f.numbers(3)
    assert f.multiply(f.negative(three), f.add(three, three)).tolist() == -18 % f.PRIME
    assert f.subtract(f.numbers(0), f.numbers(0)).tolist() == 0
    assert f.total(three, []).shape == ()


def test_there_is_no_quotient_by_zero() -> None:
    with pytest.raises(ZeroDivisionError):
        f.inverse(array([1, 0]))
    with pytest.raises(ZeroDivisionError):
        f.number(Fraction(1, f.PRIME))
    with pytest.raises(ZeroDivisionError):
        f.mean(np.zeros((2, 0), np.uint64), [1])


@pytest.mark.parametrize("exponent", [-3, -1, 0, 1, 5])
def test_powers(exponent: int) -> None:
    values = [value for value in some() if value]
    assert f.power(array(values), exponent).tolist() == [pow(value, exponent, f.PRIME) for value in values]


def test_ratios() -> None:
    third = f.number(Fraction(1, 3))
    assert 3 * third % f.PRIME == 1
    assert f.scale(Fraction(-2, 3), f.numbers([3, 6])).tolist() == [f.PRIME - 2, f.PRIME - 4]
    assert f.numbers([-1, 5]).tolist() == [f.PRIME - 1, 5]
    assert f.numbers(np.array([2**64 - 1], np.uint64)).tolist() == [(2**64 - 1) % f.PRIME]


STEPS: dict[str, Callable[[int, int], int]] = {
    "total": lambda one, two: (one + two) % f.PRIME,
    "product": lambda one, two: one * two % f.PRIME,
}


def reduced(values: np.ndarray, axes: list[int], keepdims: bool, step: Callable[[int, int], int]) -> np.ndarray:
    """Python's integers along axes."""
    shape = [1 if place in {axis % 3 for axis in axes} else size for place, size in enumerate(values.shape)]
    found = np.full(shape, None, object)
    for index, value in np.ndenumerate(values.astype(object)):
        place = tuple(min(position, size - 1) for position, size in zip(index, shape, strict=True))
        found[place] = value if found[place] is None else step(found[place], value)
    kept = [size for place, size in enumerate(shape) if place not in {axis % 3 for axis in axes}]
    return found if keepdims else found.reshape(kept)


@pytest.mark.parametrize("axes", [[], [0], [-1], [0, 2], [0, 1, 2]])
@pytest.mark.parametrize("keepdims", [False, True])
def test_along_axes(axes: list[int], *, keepdims: bool) -> None:
    values = np.random.default_rng(1).integers(0, f.PRIME, (2, 3, 4), np.uint64)
    expected = {name: reduced(values, axes, keepdims, step) for name, step in STEPS.items()}
    count = int(np.prod([values.shape[axis] for axis in axes]))
    means = np.frompyfunc(lambda value: value * pow(count, -1, f.PRIME) % f.PRIME, 1, 1)(expected["total"])
    assert f.total(values, axes, keepdims=keepdims).tolist() == expected["total"].tolist()
    assert f.product(values, axes, keepdims=keepdims).tolist() == expected["product"].tolist()
    assert f.mean(values, axes, keepdims=keepdims).tolist() == np.asarray(means).tolist()


@pytest.mark.parametrize(
    ("one", "two"), [((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,)), ((5, 1, 2, 3), (4, 3, 2))]
)
def test_matrices(one: tuple[int, ...], two: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    left, right = rng.integers(0, f.PRIME, one, np.uint64), rng.integers(0, f.PRIME, two, np.uint64)
    expected = np.matmul(left.astype(object), right.astype(object)) % f.PRIME
    assert f.matrix_product(left, right).tolist() == np.asarray(expected).tolist()
