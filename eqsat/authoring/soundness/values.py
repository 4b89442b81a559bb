"""Elements of inputs and constants: what is drawn, and how strange it may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from eqsat.rules import FloatClass

if TYPE_CHECKING:
    from eqsat.rules.instances import Drawn, Leaf


class Style(Enum):
    """What the free elements of an instance are like."""

    NORMAL = auto()
    """Around zero, of magnitude one."""
    WHOLE = auto()
    """Small whole numbers, zero and minus zero among them."""
    POSITIVE = auto()
    """Above zero."""
    LARGE = auto()
    """Up to a thousand; integers up to the ends of their range."""
    SPECIAL = auto()
    """NaN, infinities, minus zero and the largest numbers among the others."""
    UNDEFINED = auto()
    """NaN among the others."""
    MASKED = auto()
    """One value has rows of minus infinity."""
    EXTREME = auto()
    """The largest finite numbers, the smallest and zero among the others."""


SHARES: Final[Mapping[FloatClass, Mapping[Style, float]]] = {
    FloatClass.EXACT: {
        Style.NORMAL: 0.3,
        Style.WHOLE: 0.25,
        Style.POSITIVE: 0.15,
        Style.LARGE: 0.1,
        Style.SPECIAL: 0.2,
    },
    FloatClass.ROUNDS: {
        Style.NORMAL: 0.4,
        Style.WHOLE: 0.2,
        Style.POSITIVE: 0.15,
        Style.LARGE: 0.05,
        Style.MASKED: 0.05,
        Style.SPECIAL: 0.1,
        Style.EXTREME: 0.1,
    },
    FloatClass.REASSOCIATES: {
        Style.NORMAL: 0.4,
        Style.WHOLE: 0.2,
        Style.POSITIVE: 0.15,
        Style.LARGE: 0.05,
        Style.UNDEFINED: 0.12,
        Style.MASKED: 0.08,
    },
    FloatClass.FINITE: {Style.NORMAL: 0.45, Style.WHOLE: 0.25, Style.POSITIVE: 0.2, Style.LARGE: 0.1},
    FloatClass.APPROXIMATES: {Style.NORMAL: 0.5, Style.WHOLE: 0.25, Style.POSITIVE: 0.25},
}
"""How often each style is drawn, by what the rule promises."""


def elements(shape: Sequence[int], dtype: np.dtype, style: Style, rng: np.random.Generator) -> np.ndarray:
    """Return an array of random elements."""
    if dtype.kind == "b":
        return _truths(shape, rng)
    if dtype.kind in "iu":
        return _integers(shape, dtype, style, rng)
    values = rng.standard_normal(shape)
    match style:
        case Style.WHOLE:
            values = rng.integers(-3, 4, shape).astype(np.float64)
            values = np.where((values == 0) & (rng.random(shape) < 0.5), -0.0, values)
        case Style.POSITIVE:
            values = np.abs(values) + 0.1
        case Style.LARGE:
            values = values * 10 ** rng.uniform(0, 2 if dtype.itemsize > 2 else 1)
        case Style.SPECIAL:
            strange = np.array([np.nan, np.inf, -np.inf, -0.0, float(np.finfo(dtype).max), 1e-30])
            values = np.where(rng.random(shape) < 0.3, rng.choice(strange, shape), values)
        case Style.EXTREME:
            largest = float(np.finfo(dtype).max)
            extremes = np.array([largest, -largest, 0.9 * largest, 0.0, -0.0, float(np.finfo(dtype).tiny)])
            values = np.where(rng.random(shape) < 0.4, rng.choice(extremes, shape), values)
        case Style.UNDEFINED:
            values = np.where(rng.random(shape) < 0.15, np.nan, values)
        case Style.NORMAL | Style.MASKED:
            pass
    with np.errstate(all="ignore"):
        return np.asarray(values, dtype=dtype)


def _truths(shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Truths, of which whole rows may be false."""
    values = rng.random(shape) < 0.6
    if len(shape) and rng.random() < 0.4:
        values = values & (rng.random((*shape[:-1], 1)) < 0.6)
    return np.asarray(values)


def _integers(shape: Sequence[int], dtype: np.dtype, style: Style, rng: np.random.Generator) -> np.ndarray:
    low = 1 if style is Style.POSITIVE else (0 if dtype.kind == "u" else -5)
    values = rng.integers(low, 7, shape).astype(dtype)
    if style in {Style.LARGE, Style.SPECIAL, Style.EXTREME}:
        ends = np.array([np.iinfo(dtype).max, np.iinfo(dtype).min, np.iinfo(dtype).max // 2], dtype=dtype)
        values = np.where(rng.random(shape) < 0.3, rng.choice(ends, shape), values).astype(dtype)
    return values


def restyled(drawn: Drawn, style: Style, rng: np.random.Generator) -> Drawn:
    """Return an instance with new elements of a style wherever any would do."""
    leaves = {
        name: replace(leaf, array=elements(leaf.array.shape, leaf.array.dtype, spared(style, leaf), rng))
        if leaf.is_free and leaf.array.dtype.kind == "f"
        else leaf
        for name, leaf in drawn.leaves.items()
    }
    leaves = masked(leaves, rng) if style is Style.MASKED else leaves
    return replace(drawn, leaves=leaves, has_extremes=style in EXTREMES)


def stretched(drawn: Drawn, rng: np.random.Generator) -> Drawn:
    """Return an instance most of whose constants are as large or as small as their element type allows, at random."""
    leaves = dict(drawn.leaves)
    for name, leaf in drawn.leaves.items():
        if (
            not (leaf.is_constant and leaf.is_free and leaf.array.dtype.kind == "f")
            or rng.random() < _SHARE_UNSTRETCHED
        ):
            continue
        largest = np.log10(float(np.finfo(leaf.array.dtype).max))
        with np.errstate(all="ignore"):
            array = leaf.array.astype(np.float64) * 10.0 ** rng.uniform(-largest, largest)
            leaves[name] = replace(leaf, array=np.asarray(array, leaf.array.dtype))
    return replace(drawn, leaves=leaves, has_extremes=True)


def spared(style: Style, leaf: HasConstancy) -> Style:
    """Return the style for a leaf: a constant is neither NaN nor infinite by chance."""
    return Style.NORMAL if leaf.is_constant and style in {Style.SPECIAL, Style.UNDEFINED} else style


_SHARE_UNSTRETCHED: Final = 0.3

EXTREMES: Final = frozenset({Style.SPECIAL, Style.EXTREME})
"""Styles with numbers next to which all others vanish."""


class HasConstancy(Protocol):
    """What is a constant or not."""

    @property
    def is_constant(self) -> bool:
        """True for a constant."""


def masked(leaves: Mapping[str, Leaf], rng: np.random.Generator) -> dict[str, Leaf]:
    """Return leaves one of which has minus infinity at some places and in whole rows."""
    found = dict(leaves)
    rows = [leaf for leaf in leaves.values() if leaf.is_free and leaf.array.dtype.kind == "f" and leaf.array.ndim]
    if rows:
        leaf = rows[int(rng.integers(len(rows)))]
        shape = leaf.array.shape
        hidden = (rng.random(shape) < 0.3) | (rng.random((*shape[:-1], 1)) < 0.3)
        array = np.where(hidden, np.array(-np.inf, leaf.array.dtype), leaf.array)
        found[leaf.name] = replace(leaf, array=array)
    return found
