"""Operators that compute: elementwise ones, which broadcast, and products of matrices."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from eqsat.authoring.inference.rows import Draw, Row, Shape, Spread, Style

if TYPE_CHECKING:
    from eqsat.authoring.inference.rows import Value

_ORACLE: Final = np.uint64(0x9E3779B97F4A7C15)


def broadcast(one: Shape, two: Shape) -> Shape | None:
    """Return the shape of what two shapes broadcast to; None where they do not."""
    if one == two:
        return one
    if len(one) < len(two):
        one, two = two, one
    shift = len(one) - len(two)
    found = list(one)
    for axis, size in enumerate(two):
        other = one[axis + shift]
        if size != other:
            if other != 1 and size != 1:
                return None
            found[axis + shift] = size if other == 1 else other
    return tuple(found)


def _aligned(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Give all values one rank, the axis of points left in front."""
    rank = max(array.ndim for array in arrays)
    return [
        array if array.ndim == rank else array.reshape(array.shape[:1] + (1,) * (rank - array.ndim) + array.shape[1:])
        for array in arrays
    ]


def _no_attributes(_shapes: Sequence[Shape]) -> Sequence[tuple[Value, ...]]:
    return ((),)


def _narrowed(shape: Shape, draw: Draw) -> Shape:
    """Return a shape that broadcasts to this one."""
    match draw.rng.randrange(5):
        case 0:
            return shape[draw.rng.randint(0, len(shape)) :]
        case 1:
            return tuple(1 if draw.rng.random() < 0.5 else size for size in shape)
        case 2:
            return ()
        case _:
            return shape


def _elementwise(name: str, arity: int, function: Callable[..., np.ndarray]) -> Row:
    def shape(_attributes: tuple[Value, ...], shapes: Sequence[Shape]) -> Shape | None:
        found: Shape | None = shapes[0]
        for other in shapes[1:]:
            found = None if found is None else broadcast(found, other)
        return found

    def evaluate(_attributes: tuple[Value, ...], arrays: Sequence[np.ndarray]) -> np.ndarray:
        return function(*(_aligned(arrays) if arity > 1 else arrays))

    def spread(wanted: Shape, count: int, _offered: tuple[Value, ...] | None, draw: Draw) -> Spread:
        if count == 1 or draw.style is not Style.MIXED or draw.rng.random() < 0.3:
            return Spread((), (wanted,) * count)
        return Spread((), tuple(_narrowed(wanted, draw) for _ in range(count)))

    return Row(
        name=name,
        arities=(arity,),
        kinds=(),
        menu=_no_attributes,
        shape=shape,
        evaluate=evaluate,
        spread=spread,
    )


def _oracle(name: str) -> Row:
    """A function of which nothing is known: the numbers it gives follow from its name alone."""
    seed = np.uint64(random.Random(name).getrandbits(64))  # no secret

    def function(x: np.ndarray) -> np.ndarray:
        mixed = (x.astype(np.uint64) ^ seed) * _ORACLE
        mixed ^= mixed >> np.uint64(29)
        mixed *= _ORACLE
        return (mixed >> np.uint64(54)).astype(np.int64) - 512

    return _elementwise(name, 1, function)


def _matmul_shape(_attributes: tuple[Value, ...], shapes: Sequence[Shape]) -> Shape | None:
    left, right = shapes
    if not left or not right or left[-1] != (right[-2] if len(right) > 1 else right[0]):
        return None
    batch = broadcast(left[:-2], right[:-2])
    return None if batch is None else batch + left[-2:-1] + (right[-1:] if len(right) > 1 else ())


def _matmul(_attributes: tuple[Value, ...], arrays: Sequence[np.ndarray]) -> np.ndarray:
    left, right = arrays
    is_row, is_column = left.ndim == 2, right.ndim == 2
    left = left[:, None, :] if is_row else left
    right = right[:, :, None] if is_column else right
    product: np.ndarray = np.matmul(*_aligned([left, right]))
    product = product[..., 0] if is_column else product
    if is_row:
        product = product[..., 0] if is_column else product[..., 0, :]
    return product


def _matmul_spread(wanted: Shape, _count: int, _offered: tuple[Value, ...] | None, draw: Draw) -> Spread:
    inner = draw.rng.choice((1, 2, 3, 4))
    if len(wanted) < 2:
        if not wanted:
            return Spread((), ((inner,), (inner,)))
        row = ((inner,), (inner, wanted[0]))
        return Spread((), row if draw.rng.random() < 0.5 else ((wanted[0], inner), (inner,)))
    if draw.style is Style.MIXED and draw.rng.random() < 0.3:
        stack = ((*wanted, inner), (inner,))
        return Spread((), stack if draw.rng.random() < 0.5 else ((inner,), (*wanted[:-1], inner, wanted[-1])))
    one, two = _stacks(wanted[:-2], draw)
    return Spread((), ((*one, wanted[-2], inner), (*two, inner, wanted[-1])))


def _stacks(wanted: Shape, draw: Draw) -> tuple[Shape, Shape]:
    match draw.style:
        case Style.PLAIN:
            return wanted, wanted
        case Style.RIGHT_MATRIX:
            return wanted, ()
        case Style.LEFT_MATRIX:
            return (), wanted
        case Style.MIXED:
            return _narrowed(wanted, draw), _narrowed(wanted, draw)


ARITHMETIC: Final = (
    _elementwise("Add", 2, np.add),
    _elementwise("Mul", 2, np.multiply),
    _elementwise("Sub", 2, np.subtract),
    _elementwise("Max", 2, np.maximum),
    _elementwise("Min", 2, np.minimum),
    _elementwise("Neg", 1, np.negative),
    _elementwise("Abs", 1, np.abs),
    _elementwise("Relu", 1, lambda x: np.maximum(x, 0)),
    *(_oracle(name) for name in ("Sigmoid", "Tanh", "Erf", "Exp", "Sqrt", "Log")),
    Row(
        name="MatMul",
        arities=(2,),
        kinds=(),
        menu=_no_attributes,
        shape=_matmul_shape,
        evaluate=_matmul,
        spread=_matmul_spread,
        is_product=True,
    ),
)
