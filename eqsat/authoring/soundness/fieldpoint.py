"""A random point of the field: numbers for inputs and constants, and functions of which nothing is known but laws.

A function that is not rational is uninterpreted: at each argument it has a random number of its own, the same number
whenever the argument is the same. An argument is first brought into a form that laws of the real function allow, such
as ``exp(-x) = 1 / exp(x)``, so that only what is equal is made equal; what such laws do not say stays unproved.

Mirage (Wu et al., OSDI 2025) has ``exp`` map one field into another, and so knows that exp(x + y) = exp(x) exp(y).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Final, final

import numpy as np

from eqsat.authoring.soundness.evaluator import UnevaluableError
from eqsat.authoring.soundness.fieldextrema import Extrema
from eqsat.authoring.soundness.fieldnumbers import PRIME, ROOT_OF_TWO, number

if TYPE_CHECKING:
    from eqsat.authoring.soundness.fieldnumbers import Numbers

_MAX_TERM: Final = 1 << 30
"""Numerators and denominators up to here are taken as they are: two such ratios are never the same number."""

_MAX_PRODUCT: Final = 1 << 20
"""A constant that rounds a ratio is that ratio where numerator times denominator is not more: 0.33333334 is 1/3."""

_SHORT: Final = 6
"""Digits of constants as people write them: 22.36386 is 1 / 0.044715."""

_MAX_CONVERGENTS: Final = 30

_MAX_PRODUCT_OF_ROOT: Final = 1 << 12
"""The same for multiples of the root of two, which GELU divides by."""


@final
class Point:
    """One random point."""

    def __init__(self, seed: bytes) -> None:
        """Fix everything random by a seed of up to 64 bytes."""
        self._seed = seed
        self._reals: dict[int, float] = {0: 0.0, 1: 1.0}
        self._extrema = Extrema(self.draw, self._positive, self._reals)
        self._absolute: set[int] = set()
        self._narrow: dict[int, int] = {}

    def draw(self, *key: object) -> int:
        """Return a random number for a key, equal for equal keys."""
        digest = hashlib.blake2b(repr(key).encode(), key=self._seed, digest_size=16).digest()
        return int.from_bytes(digest, "little") % PRIME

    def elements(self, key: str, shape: Sequence[int]) -> Numbers:
        """Return random numbers for a key, in a shape."""
        digest = hashlib.blake2b(key.encode(), key=self._seed, digest_size=32).digest()
        rng = np.random.default_rng(int.from_bytes(digest, "little"))
        return np.asarray(rng.integers(0, PRIME, tuple(shape), np.uint64))

    def constant(self, value: float) -> Numbers:
        """Return the number that stands for a real constant, of which the digits of a float32 count.

        Raises:
            UnevaluableError: It is no real number.
        """
        if not np.isfinite(value):
            raise UnevaluableError(f"{value} is no real number")
        found = _known(float(value))
        place = self.draw("constant", float(value)) if found is None else found
        self._reals.setdefault(place, float(value))
        return np.array(place, np.uint64)

    def apply(self, name: str, arguments: Sequence[Numbers], *parameters: object) -> Numbers:
        """Return the values of a function of which nothing is known.

        Args:
            name: The function.
            arguments: Its arguments, which broadcast.
            parameters: What else it depends on.
        """
        return self._each(lambda *values: self.draw(name, parameters, *values), arguments)

    def exponential(self, argument: Numbers) -> Numbers:
        """Return ``exp``, by the laws that exp(0) = 1 and exp(-x) = 1 / exp(x)."""
        return self._each(self._exponential, [argument])

    def _exponential(self, value: int) -> int:
        if value == 0:
            return 1
        if value > PRIME // 2:
            return pow(self._exponential(PRIME - value), -1, PRIME)
        return self.draw("exp", value)

    def logarithm(self, argument: Numbers) -> Numbers:
        """Return ``log``, by the laws that log(1) = 0 and log(1 / x) = -log(x).

        Raises:
            UnevaluableError: It is asked for at zero.
        """
        return self._each(self._logarithm, [argument])

    def _logarithm(self, value: int) -> int:
        if value == 0:
            raise UnevaluableError("the logarithm of zero")
        reciprocal = pow(value, -1, PRIME)
        if value == 1:
            return 0
        return self.draw("log", value) if value <= reciprocal else PRIME - self.draw("log", reciprocal)

    def root(self, argument: Numbers) -> Numbers:
        """Return the square root, of which it is known that those of zero and one are zero and one."""
        return self._each(self._root, [argument])

    def _root(self, value: int) -> int:
        return value if value in {0, 1} else self.draw("sqrt", value)

    def absolute(self, argument: Numbers) -> Numbers:
        """Return absolute values, by the laws that abs(-x) = abs(x) and abs(abs(x)) = abs(x)."""
        return self._each(self._absolute_value, [argument])

    def _absolute_value(self, value: int) -> int:
        if value == 0 or value in self._absolute:
            return value
        found = self.draw("abs", min(value, PRIME - value))
        self._absolute.add(found)
        return found

    def even(self, name: str, argument: Numbers) -> Numbers:
        """Return a function by the law that f(-x) = f(x)."""
        return self._each(lambda value: self.draw(name, min(value, PRIME - value) if value else 0), [argument])

    def odd(self, name: str, argument: Numbers) -> Numbers:
        """Return a function by the laws that f(-x) = -f(x) and f(0) = 0."""
        return self._each(lambda value: self._odd(name, value), [argument])

    def _odd(self, name: str, value: int) -> int:
        if value == 0:
            return 0
        return PRIME - self.draw(name, PRIME - value) if value > PRIME // 2 else self.draw(name, value)

    def cast(self, argument: Numbers, source: int, target: int) -> Numbers:
        """Return numbers in another precision: the same in a wider one, and where they came from one as narrow.

        Args:
            argument: Numbers.
            source: Bits of their element type.
            target: Bits of the new one.
        """
        return self._each(lambda value: self._cast(value, source, target), [argument])

    def _cast(self, value: int, source: int, target: int) -> int:
        if target >= source:
            self._narrow[value] = min(source, self._narrow.get(value, source))
            return value
        return value if self._narrow.get(value, source) <= target else self.draw("Cast", value, target)

    def is_positive(self, argument: Numbers) -> Numbers:
        """Return whether numbers are above zero: one where they are and zero where not, but it is not known where."""
        return self._each(self._positive, [argument])

    def _positive(self, value: int) -> int:
        return int(self._reals[value] > 0) if value in self._reals else self.draw("positive", value)

    def maximum(self, arguments: Sequence[Numbers]) -> Numbers:
        """Return maxima, by the laws of distributive lattices, and that max(x, 0) is x where x > 0."""
        return self._each(lambda *values: self._extrema.maximum(values), arguments)

    def minimum(self, arguments: Sequence[Numbers]) -> Numbers:
        """Return minima, by the same laws, and that min(x, y) = x + y - max(x, y)."""
        return self._each(lambda *values: self._extrema.minimum(values), arguments)

    def _each(self, function: Callable[..., int], arguments: Sequence[Numbers]) -> Numbers:
        arrays = np.broadcast_arrays(*arguments)
        rows = zip(*(array.reshape(-1).tolist() for array in arrays), strict=True)
        return np.array([function(*row) for row in rows], np.uint64).reshape(arrays[0].shape)


@lru_cache(maxsize=2**16)
def _known(value: float) -> int | None:
    """Return the number of a constant that is a simple ratio, or such a multiple of the root of two."""
    with np.errstate(all="ignore"):
        rounded = np.float32(value)
    if not np.isfinite(rounded):
        return None
    simple = _simple(value, 1.0, rounded, _MAX_PRODUCT)
    if simple is not None:
        return number(simple)
    multiple = _simple(value, 2**0.5, rounded, _MAX_PRODUCT_OF_ROOT)
    if multiple is not None:
        return number(multiple) * ROOT_OF_TWO % PRIME
    written = _written(rounded)
    if max(abs(written.numerator), written.denominator) <= _MAX_TERM:
        return number(written)
    return None


def _written(rounded: np.float32) -> Fraction:
    """Return the decimal number that a float32 rounds, or where that is short the one whose reciprocal it rounds."""
    digits = str(rounded).partition("e")[0].replace(".", "").strip("-0")
    reciprocal = Fraction(f"{1 / float(rounded):.{_SHORT}g}")
    is_reciprocal = len(digits) > _SHORT and np.float32(float(1 / reciprocal)) == rounded
    return 1 / reciprocal if is_reciprocal else Fraction(str(rounded))


def _simple(value: float, factor: float, rounded: np.float32, max_product: int) -> Fraction | None:
    """Return the first convergent that, times a factor, rounds to a number; None where it is not simple."""
    one, two = (0, 1), (1, 0)
    rest = abs(Fraction(value / factor))
    for _ in range(_MAX_CONVERGENTS):
        whole = rest.numerator // rest.denominator
        one, two = two, (whole * two[0] + one[0], whole * two[1] + one[1])
        if two[0] * two[1] > max_product:
            return None
        if np.float32(two[0] / two[1] * factor) == abs(rounded):
            return Fraction(two[0] if value >= 0 else -two[0], two[1])
        rest -= whole
        if not rest:
            return None
        rest = 1 / rest
    return None
