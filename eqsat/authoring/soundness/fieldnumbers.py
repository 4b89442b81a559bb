"""Numbers modulo the prime 2^61 - 1, as arrays of ``uint64`` below the prime.

The prime is a Mersenne prime, so that a product of 122 bits is reduced by adding its two halves.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers: TypeAlias = NDArray[np.uint64]
    """Numbers of the field, in any shape."""

PRIME: Final = (1 << 61) - 1
"""The ninth Mersenne prime."""

ROOT_OF_TWO: Final = 1 << 31
"""A square root of two: 2^62 is 2."""

_PRIME: Final = np.uint64(PRIME)
_BITS_OF_PRIME: Final = np.uint64(61)
_HALF_BITS: Final = np.uint64(31)
_HALF: Final = np.uint64((1 << 31) - 1)
_MIDDLE_BITS: Final = np.uint64(30)
_MIDDLE: Final = np.uint64((1 << 30) - 1)
_WORD_BITS: Final = np.uint64(32)
_WORD: Final = np.uint64((1 << 32) - 1)


def number(value: Fraction | int) -> int:
    """Return a rational number as a number of the field.

    Raises:
        ZeroDivisionError: The denominator is a multiple of the prime.
    """
    ratio = Fraction(value)
    if ratio.denominator % PRIME == 0:
        raise ZeroDivisionError(f"{value} has no place in the field")
    return ratio.numerator * pow(ratio.denominator, -1, PRIME) % PRIME


def numbers(values: object) -> Numbers:
    """Return whole numbers, of any sign and size, as numbers of the field."""
    array = np.asarray(values)
    if array.dtype.kind == "O":
        return np.vectorize(lambda value: value % PRIME, otypes=[np.uint64])(array) if array.size else _empty(array)
    if array.dtype.kind == "u":
        return np.asarray(array.astype(np.uint64) % _PRIME)
    return np.asarray(np.mod(array.astype(np.int64), PRIME), dtype=np.uint64)


def _empty(array: np.ndarray) -> Numbers:
    return np.zeros(array.shape, np.uint64)


def _reduced(sums: Numbers) -> Numbers:
    """Return numbers below 2^64 modulo the prime."""
    folded = (sums & _PRIME) + (sums >> _BITS_OF_PRIME)
    return np.asarray(folded - _PRIME * (folded >= _PRIME))


def add(one: Numbers, two: Numbers) -> Numbers:
    """Return the sum."""
    return _reduced(one + two)


def negative(one: Numbers) -> Numbers:
    """Return the number that gives zero when it is added."""
    return np.asarray((_PRIME - one) * (one != 0))


def subtract(one: Numbers, two: Numbers) -> Numbers:
    """Return the difference."""
    return _reduced(one + (_PRIME - two))


def multiply(one: Numbers, two: Numbers) -> Numbers:
    """Return the product, from products of halves of 31 bits."""
    high_1, low_1 = one >> _HALF_BITS, one & _HALF
    high_2, low_2 = two >> _HALF_BITS, two & _HALF
    # one * two = high 2^62 + middle 2^31 + low, where 2^61 is 1.
    middle = low_1 * high_2 + high_1 * low_2
    high = ((high_1 * high_2) << np.uint64(1)) + (middle >> _MIDDLE_BITS)
    low = _reduced(((middle & _MIDDLE) << _HALF_BITS) + low_1 * low_2)
    return _reduced(high + low)


def inverse(one: Numbers) -> Numbers:
    """Return the number that gives one when it is multiplied.

    Raises:
        ZeroDivisionError: One of them is zero.
    """
    if bool((one == 0).any()):
        raise ZeroDivisionError("a division by zero")
    flat = [pow(value, -1, PRIME) for value in one.reshape(-1).tolist()]
    return np.array(flat, np.uint64).reshape(one.shape)


def divide(one: Numbers, two: Numbers) -> Numbers:
    """Return the quotient.

    Raises:
        ZeroDivisionError: A divisor is zero.
    """
    return multiply(one, inverse(two))


def scale(factor: Fraction | int, one: Numbers) -> Numbers:
    """Return a multiple by a rational number."""
    return multiply(np.array(number(factor), np.uint64), one)


def power(one: Numbers, exponent: int) -> Numbers:
    """Return a whole power.

    Raises:
        ZeroDivisionError: Zero to a power below zero.
    """
    base = inverse(one) if exponent < 0 else one
    result = np.ones_like(base)
    for _ in range(abs(exponent)):
        result = multiply(result, base)
    return result


def total(one: Numbers, axes: Sequence[int], *, keepdims: bool = False) -> Numbers:
    """Return the sum along axes."""
    where = tuple(axes)
    low = (one & _WORD).sum(axis=where, keepdims=keepdims, dtype=np.uint64)
    high = (one >> _WORD_BITS).sum(axis=where, keepdims=keepdims, dtype=np.uint64)
    return add(multiply(_reduced(np.asarray(high)), np.array(1 << 32, np.uint64)), _reduced(np.asarray(low)))


def mean(one: Numbers, axes: Sequence[int], *, keepdims: bool = False) -> Numbers:
    """Return the mean along axes.

    Raises:
        ZeroDivisionError: There is nothing along them.
    """
    count = int(np.prod([one.shape[axis] for axis in axes], dtype=np.int64))
    if count == 0:
        raise ZeroDivisionError("a mean of nothing")
    return scale(Fraction(1, count), total(one, axes, keepdims=keepdims))


def product(one: Numbers, axes: Sequence[int], *, keepdims: bool = False) -> Numbers:
    """Return the product along axes."""
    places = sorted(axis % one.ndim for axis in axes)
    last = np.moveaxis(one, places, range(-len(places), 0)) if places else one[..., None]
    kept = [size for place, size in enumerate(one.shape) if place not in places]
    flat = last.reshape(*kept, int(np.prod([one.shape[place] for place in places], dtype=np.int64)))
    result = np.ones(flat.shape[:-1], np.uint64)
    for place in range(flat.shape[-1]):
        result = multiply(result, flat[..., place])
    shape = [1 if place in places else size for place, size in enumerate(one.shape)]
    return result.reshape(shape) if keepdims else result


def matrix_product(one: Numbers, two: Numbers) -> Numbers:
    """Return the product of matrices as ``MatMul`` says, vectors and batches included."""
    left = one[None, :] if one.ndim == 1 else one
    right = two[:, None] if two.ndim == 1 else two
    result = total(multiply(left[..., :, :, None], right[..., None, :, :]), [-2])
    if one.ndim == 1:
        result = result[..., 0, :]
    return np.asarray(result[..., 0] if two.ndim == 1 else result)
