"""Inputs for random models: ordinary ones, and numbers at the ends of their types."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import numpy as np

from tests.fuzz.growing import Content, Dim, Input, numpy_type


class Draw(StrEnum):
    """What numbers an input of floats holds."""

    ORDINARY = "ordinary"
    HUGE = "huge"
    """Around 1e30, or the square root of that part of the range for half precision."""
    TINY = "tiny"
    """Around 1e-30; subnormal in half precision."""
    MIXED = "mixed"
    """Magnitudes from one end of the range to the other."""
    NAN = "NaN"
    """Ordinary ones, with NaN and negative zeros among them."""
    INFINITE = "infinite"
    """Ordinary ones, with infinities and zeros among them."""


FINITE_DRAWS: Final = frozenset({Draw.ORDINARY, Draw.HUGE, Draw.TINY, Draw.MIXED})

ORDINARY_SIZES: Final[Mapping[str, int]] = {"N": 3, "M": 2, "K": 3, "L": 2}

SIZES: Final[tuple[Mapping[str, int], ...]] = (
    ORDINARY_SIZES,
    dict.fromkeys(ORDINARY_SIZES, 1),
    dict.fromkeys(ORDINARY_SIZES, 0),
    {"N": 1, "M": 3, "K": 2, "L": 3},
    {"N": 0, "M": 2, "K": 3, "L": 1},
)
"""Sizes of the symbols at which every model is run."""


def feeds_of(
    inputs: Mapping[str, Input], sizes: Mapping[str, int], draw: Draw, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return one array for each input that has no default, and for those that have one now and then."""
    return {
        name: _array(each, sizes, draw, rng)
        for name, each in inputs.items()
        if each.default is None or rng.random() < 0.5
    }


def _array(each: Input, sizes: Mapping[str, int], draw: Draw, rng: np.random.Generator) -> np.ndarray:
    shape = tuple(_size(dim, sizes) for dim in each.type.dims)
    kind = numpy_type(each.type.dtype)
    if each.content is Content.INDEX:
        return rng.integers(0, max(_size(each.bound, sizes), 1), shape).astype(kind)
    if kind.kind == "b":
        return rng.random(shape) < 0.5
    if kind.kind in "iu":
        low = 1 if each.content is Content.POSITIVE else (0 if kind.kind == "u" else -4)
        return rng.integers(low, 6, shape).astype(kind)
    values = _floats(kind, shape, draw, rng)
    return np.abs(values) if each.content is Content.POSITIVE else values


def _floats(kind: np.dtype[Any], shape: tuple[int, ...], draw: Draw, rng: np.random.Generator) -> np.ndarray:
    values = rng.standard_normal(shape)
    is_half = kind == np.float16
    match draw:
        case Draw.HUGE:
            values = values * (2e4 if is_half else 1e30)
        case Draw.TINY:
            values = values * (3e-7 if is_half else 1e-30)
        case Draw.MIXED:
            ends = (-6.0, 4.5) if is_half else (-35.0, 35.0)
            values = np.sign(values) * 10.0 ** rng.uniform(*ends, shape)
        case Draw.NAN:
            values = _sprinkled(values, (np.nan, -0.0), rng)
        case Draw.INFINITE:
            values = _sprinkled(values, (np.inf, -np.inf, 0.0), rng)
        case Draw.ORDINARY:
            pass
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(values).astype(kind)


def _sprinkled(values: np.ndarray, numbers: tuple[float, ...], rng: np.random.Generator) -> np.ndarray:
    """Put each of these numbers at one place at least, where there are enough, and at a tenth of all places."""
    flat = np.array(values).reshape(-1)
    places = rng.permutation(flat.size)
    count = max(1, flat.size // 10)
    for number in numbers:
        flat[places[:count]] = number
        places = places[count:]
    return flat.reshape(values.shape)


def _size(dim: Dim, sizes: Mapping[str, int]) -> int:
    return dim if isinstance(dim, int) else sizes[dim or ""]
