"""What an operator of the terms is: the shapes that come out of it, its values, its attributes.

Values are integers of 64 bits, at many random points at once: an array has the shape of the value behind a first axis
of points. Integers are exact, they have a sign for ``Relu`` to look at, and they wrap around at 64 bits, which is
arithmetic in a ring too. A function that integers have no values for, such as ``Sigmoid``, is a fixed random one: what
holds for that holds for every function.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

import numpy as np

Shape: TypeAlias = "tuple[int, ...]"
Value: TypeAlias = "int | tuple[int, ...]"
"""An attribute: a number, or several."""


class Kind(Enum):
    """What an attribute says."""

    AXIS = auto()
    PERMUTATION = auto()
    DIMS = auto()
    SLICE = auto()
    """Axis, first and last but one index."""
    SPLIT = auto()
    """Axis, then the sizes of the pieces."""
    INDEX = auto()
    """Which piece."""


class Style(Enum):
    """What all operands of one typing have in common."""

    PLAIN = auto()
    """Nothing broadcasts."""
    RIGHT_MATRIX = auto()
    """The second operand of a product of stacks is one matrix."""
    LEFT_MATRIX = auto()
    """The first is."""
    MIXED = auto()
    """Anything that broadcasts may."""


@dataclass(frozen=True, slots=True)
class Draw:
    """A source of chance, and the style of what is drawn from it now."""

    rng: random.Random
    style: Style


@dataclass(frozen=True, slots=True)
class Spread:
    """Attributes of a node and shapes of its operands at which a wanted shape comes out."""

    attributes: tuple[Value, ...]
    operands: tuple[Shape, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One operator.

    Attributes:
        name: Its name in the operator table.
        arities: Numbers of operands that terms have of it.
        kinds: What its attributes say.
        menu: Attributes to try on operands of these shapes.
        shape: Shape that comes out; None where no such node can exist.
        evaluate: Value at every point.
        spread: Attributes and operands for a wanted shape and number of operands, drawn at random; attributes offered
            (such as those of another node) are taken where they fit. None where there are none.
        is_product: True where results are sums whose order the kernel chooses.
    """

    name: str
    arities: tuple[int, ...]
    kinds: tuple[Kind, ...]
    menu: Callable[[Sequence[Shape]], Sequence[tuple[Value, ...]]]
    shape: Callable[[tuple[Value, ...], Sequence[Shape]], Shape | None]
    evaluate: Callable[[tuple[Value, ...], Sequence[np.ndarray]], np.ndarray]
    spread: Callable[[Shape, int, tuple[Value, ...] | None, Draw], Spread | None]
    is_product: bool = False
