"""Functions of which only laws are known: the laws hold, and what is no law does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np
import pytest

from eqsat.authoring.soundness import fieldfunctions
from eqsat.authoring.soundness import fieldnumbers as f
from eqsat.authoring.soundness.evaluator import UnevaluableError
from eqsat.authoring.soundness.fieldpoint import Point

Sides = Callable[[Point, np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@pytest.fixture
def point() -> Point:
    return Point(b"one")


def numbers(name: str) -> np.ndarray:
    return Point(b"numbers").elements(name, (50,))


LAWS: Mapping[str, Sides] = {
    "exp(-x) = 1 / exp(x)": lambda p, x, y, z: (p.exponential(f.negative(x)), f.inverse(p.exponential(x))),
    "exp(0) = 1": lambda p, x, y, z: (p.exponential(f.subtract(x, x)), f.divide(x, x)),
    "log(1 / x) = -log(x)": lambda p, x, y, z: (p.logarithm(f.inverse(x)), f.negative(p.logarithm(x))),
    "abs(-x) = abs(x)": lambda p, x, y, z: (p.absolute(f.negative(x)), p.absolute(x)),
    "abs(abs(x)) = abs(x)": lambda p, x, y, z: (p.absolute(p.absolute(x)), p.absolute(x)),
    "erf(-x) = -erf(x)": lambda p, x, y, z: (p.odd("Erf", f.negative(x)), f.negative(p.odd("Erf", x))),
    "cos(-x) = cos(x)": lambda p, x, y, z: (p.even("Cos", f.negative(x)), p.even("Cos", x)),
    "max(x, y) = max(y, x)": lambda p, x, y, z: (p.maximum([x, y]), p.maximum([y, x])),
    "max(x, x) = x": lambda p, x, y, z: (p.maximum([x, x]), x),
    "max(max(x, y), z) = max(x, max(y, z))": lambda p, x, y, z: (
        p.maximum([p.maximum([x, y]), z]),
        p.maximum([x, p.maximum([y, z])]),
    ),
    "min(min(x, y), z) = min(x, min(y, z))": lambda p, x, y, z: (
        p.minimum([p.minimum([x, y]), z]),
        p.minimum([x, p.minimum([y, z])]),
    ),
    "max(x, min(y, z)) = min(max(x, y), max(x, z))": lambda p, x, y, z: (
        p.maximum([x, p.minimum([y, z])]),
        p.minimum([p.maximum([x, y]), p.maximum([x, z])]),
    ),
    "min(x, max(y, z)) = max(min(x, y), min(x, z))": lambda p, x, y, z: (
        p.minimum([x, p.maximum([y, z])]),
        p.maximum([p.minimum([x, y]), p.minimum([x, z])]),
    ),
    "min(x, max(x, y)) = x": lambda p, x, y, z: (p.minimum([x, p.maximum([x, y])]), x),
    "max(x, min(x, y)) = x": lambda p, x, y, z: (p.maximum([x, p.minimum([x, y])]), x),
    "max(max(x, 2), 3) = max(x, 3)": lambda p, x, y, z: (
        p.maximum([p.maximum([x, p.constant(2.0)]), p.constant(3.0)]),
        p.maximum([p.constant(3.0), x]),
    ),
    "clip(clip(x, -1, 4), 0, 6) = clip(x, 0, 4)": lambda p, x, y, z: (
        fieldfunctions.clip(
            p, fieldfunctions.clip(p, x, p.constant(-1.0), p.constant(4.0)), f.numbers(0), p.constant(6.0)
        ),
        fieldfunctions.clip(p, x, f.numbers(0), p.constant(4.0)),
    ),
    "min(max(x, 0), 6) = max(min(x, 6), 0)": lambda p, x, y, z: (
        p.minimum([p.maximum([x, f.numbers(0)]), p.constant(6.0)]),
        p.maximum([p.minimum([x, p.constant(6.0)]), f.numbers(0)]),
    ),
    "max(min(x, 6), 6) = 6": lambda p, x, y, z: (
        p.maximum([p.minimum([x, p.constant(6.0)]), p.constant(6.0)]),
        f.add(f.subtract(x, x), p.constant(6.0)),
    ),
    "2 > 0": lambda p, x, y, z: (p.is_positive(p.constant(2.0)), f.numbers(1)),
    "max(x, y) + min(x, y) = x + y": lambda p, x, y, z: (f.add(p.maximum([x, y]), p.minimum([y, x])), f.add(x, y)),
    "max(x, 0) = x if x > 0": lambda p, x, y, z: (fieldfunctions.relu(p, x), f.multiply(x, p.is_positive(x))),
    "sigmoid(-x) = 1 - sigmoid(x)": lambda p, x, y, z: (
        fieldfunctions.sigmoid(p, f.negative(x)),
        f.subtract(f.numbers(1), fieldfunctions.sigmoid(p, x)),
    ),
    "tanh(-x) = -tanh(x)": lambda p, x, y, z: (
        fieldfunctions.tanh(p, f.negative(x)),
        f.negative(fieldfunctions.tanh(p, x)),
    ),
    "a narrow number stays": lambda p, x, y, z: (p.cast(p.cast(x, 16, 64), 64, 32), x),
}

NO_LAWS: Mapping[str, Sides] = {
    "exp(x + y) = exp(x) + exp(y)": lambda p, x, y, z: (
        p.exponential(f.add(x, y)),
        f.add(p.exponential(x), p.exponential(y)),
    ),
    "exp(-x) = exp(x)": lambda p, x, y, z: (p.exponential(f.negative(x)), p.exponential(x)),
    "sqrt(x x) = x": lambda p, x, y, z: (p.root(f.multiply(x, x)), x),
    "sqrt(-x) = sqrt(x)": lambda p, x, y, z: (p.root(f.negative(x)), p.root(x)),
    "abs(x) = x": lambda p, x, y, z: (p.absolute(x), x),
    "erf(-x) = erf(x)": lambda p, x, y, z: (p.odd("Erf", f.negative(x)), p.odd("Erf", x)),
    "sin(x) = tan(x)": lambda p, x, y, z: (p.odd("Sin", x), p.odd("Tan", x)),
    "max(x, y) = x": lambda p, x, y, z: (p.maximum([x, y]), x),
    "max(x, y) = min(x, y)": lambda p, x, y, z: (p.maximum([x, y]), p.minimum([x, y])),
    "max(x, y, z) = min(x, y, z)": lambda p, x, y, z: (p.maximum([x, y, z]), p.minimum([x, y, z])),
    "max(-x, -y) = -max(x, y)": lambda p, x, y, z: (
        p.maximum([f.negative(x), f.negative(y)]),
        f.negative(p.maximum([x, y])),
    ),
    "max(x, min(y, z)) = min(max(x, y), z)": lambda p, x, y, z: (
        p.maximum([x, p.minimum([y, z])]),
        p.minimum([p.maximum([x, y]), z]),
    ),
    "min(max(x, 6), 0) = max(min(x, 0), 6)": lambda p, x, y, z: (
        p.minimum([p.maximum([x, p.constant(6.0)]), f.numbers(0)]),
        p.maximum([p.minimum([x, f.numbers(0)]), p.constant(6.0)]),
    ),
    "max(x, 2) = max(x, 3)": lambda p, x, y, z: (
        p.maximum([x, p.constant(2.0)]),
        p.maximum([x, p.constant(3.0)]),
    ),
    "clip(x, 0, 6) = clip(x, 0, 5)": lambda p, x, y, z: (
        fieldfunctions.clip(p, x, f.numbers(0), p.constant(6.0)),
        fieldfunctions.clip(p, x, f.numbers(0), p.constant(5.0)),
    ),
    "x > 0 or -x > 0": lambda p, x, y, z: (
        f.add(p.is_positive(x), p.is_positive(f.negative(x))),
        np.ones_like(x),
    ),
    "a wide number stays": lambda p, x, y, z: (p.cast(x, 64, 32), x),
    "a cut number comes back": lambda p, x, y, z: (p.cast(p.cast(x, 64, 16), 16, 64), x),
}


@pytest.mark.parametrize("law", LAWS)
def test_laws_hold(law: str, point: Point) -> None:
    one, two = LAWS[law](point, *map(numbers, "xyz"))
    assert one.tolist() == two.tolist()


@pytest.mark.parametrize("law", NO_LAWS)
def test_what_is_no_law_fails_everywhere(law: str, point: Point) -> None:
    one, two = NO_LAWS[law](point, *map(numbers, "xyz"))
    assert not (one == two).any()


def test_many_minima_are_those_of_a_set(point: Point) -> None:
    several = [Point(b"several").elements(str(place), (5,)) for place in range(9)]
    assert point.minimum(several).tolist() == point.minimum(several[::-1]).tolist()
    assert point.minimum([*several, several[0]]).tolist() == point.minimum(several).tolist()
    assert not (point.minimum(several) == point.minimum(several[1:])).any()
    assert not (point.minimum(several) == point.maximum(several)).any()


def test_another_point_has_other_functions(point: Point) -> None:
    x, other = numbers("x"), Point(b"two")
    assert not (point.exponential(x) == other.exponential(x)).any()
    assert not (point.elements("x", (50,)) == other.elements("x", (50,))).any()
    assert (point.exponential(x) == Point(b"one").exponential(x)).all()


@pytest.mark.parametrize(
    ("value", "ratio"),
    [
        (0.5, Fraction(1, 2)),
        (float(np.float32(1 / 3)), Fraction(1, 3)),
        (1 / 3, Fraction(1, 3)),
        (-1 / 6, Fraction(-1, 6)),
        (1e-4 / 3, Fraction(1, 30_000)),
        (1e-5, Fraction(1, 100_000)),
        (-3.0, Fraction(-3)),
        (0.044715, Fraction("0.044715")),
        (0.09997559, Fraction("0.09997559")),
        (1 / 0.044715, 1 / Fraction("0.044715")),
    ],
)
def test_constants_are_the_ratios_that_they_round(value: float, ratio: Fraction, point: Point) -> None:
    assert int(point.constant(value)) == f.number(ratio)


def test_constants_that_are_no_ratios_are_random(point: Point) -> None:
    assert point.constant(1.2345678e-12) != Point(b"two").constant(1.2345678e-12)
    assert point.constant(1.2345678e-12) == Point(b"one").constant(1.2345678e-12)


def test_roots_of_two_are_inverses(point: Point) -> None:
    root = point.constant(1.4142135623730951)
    assert f.multiply(root, root) == 2
    assert f.multiply(point.constant(1.4142135381698608), point.constant(0.7071067690849304)) == 1


def test_large_constants_are_no_small_ones(point: Point) -> None:
    assert point.constant(2.0**61) != 1
    assert point.constant(2.0**62) != 2
    assert point.constant(2.0**31) != point.constant(2.0**0.5)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_what_is_no_number_is_no_constant(value: float, point: Point) -> None:
    with pytest.raises(UnevaluableError):
        point.constant(value)


@pytest.mark.parametrize(("exponent", "quarters"), [(-2, -8), (0, 0), (3, 12), (100, None)])
def test_powers_of_integers(exponent: int, quarters: int | None, point: Point) -> None:
    x = numbers("x")
    found = fieldfunctions.power(point, x, np.array(exponent))
    if quarters is None:
        assert not (found == f.power(x, exponent)).any()
    else:
        assert found.tolist() == f.power(x, exponent).tolist()


def test_powers_of_quarters(point: Point) -> None:
    x = numbers("x")
    root = point.root(x)

    def power(value: float) -> list[int]:
        found: list[int] = fieldfunctions.power(point, x, point.constant(value)).tolist()
        return found

    assert power(0.5) == root.tolist()
    assert power(-0.5) == f.inverse(root).tolist()
    assert power(1.5) == f.multiply(x, root).tolist()
    assert power(0.75) == f.multiply(root, point.root(root)).tolist()
    assert power(0.3) == power(0.3)
    assert power(0.3) != power(0.31)
