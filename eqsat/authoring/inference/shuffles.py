"""Operators that compute nothing: they put elements elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from eqsat.authoring.inference.rows import Draw, Kind, Row, Shape, Spread

if TYPE_CHECKING:
    from eqsat.authoring.inference.rows import Value


def _permutations(shapes: Sequence[Shape]) -> Sequence[tuple[Value, ...]]:
    """The identity and the exchange of the last two axes: what holds for others as well is learned afterwards."""
    rank = len(shapes[0])
    identity = tuple(range(rank))
    return [(identity,), ((*identity[:-2], rank - 1, rank - 2),)] if rank > 1 else []


def _as_tuple(value: Value) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


def _transpose_shape(attributes: tuple[Value, ...], shapes: Sequence[Shape]) -> Shape | None:
    perm, (shape,) = _as_tuple(attributes[0]), shapes
    return tuple(shape[axis] for axis in perm) if sorted(perm) == list(range(len(shape))) else None


def _transpose(attributes: tuple[Value, ...], arrays: Sequence[np.ndarray]) -> np.ndarray:
    return arrays[0].transpose(0, *(axis + 1 for axis in _as_tuple(attributes[0])))


def _transpose_spread(wanted: Shape, _count: int, offered: tuple[Value, ...] | None, draw: Draw) -> Spread | None:
    if offered is not None and len(_as_tuple(offered[0])) == len(wanted):
        perm = _as_tuple(offered[0])
    else:
        perm = tuple(draw.rng.sample(range(len(wanted)), len(wanted)))
        if len(wanted) >= 2 and draw.rng.random() < 0.3:
            perm = (*range(len(wanted) - 2), len(wanted) - 1, len(wanted) - 2)
    shape = [0] * len(wanted)
    for size, axis in zip(wanted, perm, strict=True):
        shape[axis] = size
    return Spread((perm,), (tuple(shape),))


def _axes(shapes: Sequence[Shape]) -> Sequence[tuple[Value, ...]]:
    return [(axis,) for axis in range(len(shapes[0]))]


def _concat_shape(attributes: tuple[Value, ...], shapes: Sequence[Shape]) -> Shape | None:
    axis, first = attributes[0], shapes[0]
    if not isinstance(axis, int) or not 0 <= axis < len(first):
        return None
    if any(len(each) != len(first) or each[:axis] != first[:axis] for each in shapes):
        return None
    if any(each[axis + 1 :] != first[axis + 1 :] for each in shapes):
        return None
    return (*first[:axis], sum(each[axis] for each in shapes), *first[axis + 1 :])


def _concat(attributes: tuple[Value, ...], arrays: Sequence[np.ndarray]) -> np.ndarray:
    axis = attributes[0]
    return np.concatenate(arrays, axis=axis + 1 if isinstance(axis, int) else 1)


def _concat_spread(wanted: Shape, count: int, offered: tuple[Value, ...] | None, draw: Draw) -> Spread | None:
    if not wanted:
        return None
    axis = draw.rng.randrange(len(wanted)) if draw.rng.random() < 0.7 else len(wanted) - 1
    if offered is not None and isinstance(offered[0], int) and offered[0] < len(wanted):
        axis = offered[0]
    sizes = (
        [draw.rng.choice((1, 2, 3)) for _ in range(count)]
        if draw.rng.random() < 0.6
        else [draw.rng.choice((1, 2, 3))] * count
    )
    return Spread((axis,), tuple((*wanted[:axis], size, *wanted[axis + 1 :]) for size in sizes))


def _reshapes(shapes: Sequence[Shape]) -> Sequence[tuple[Value, ...]]:
    (shape,) = shapes
    return [((int(np.prod(shape)),),), ((1, *shape),)] if shape else []


def _reshape_shape(attributes: tuple[Value, ...], shapes: Sequence[Shape]) -> Shape | None:
    dims = _as_tuple(attributes[0])
    return dims if np.prod(dims, dtype=int) == np.prod(shapes[0], dtype=int) else None


def _reshape(attributes: tuple[Value, ...], arrays: Sequence[np.ndarray]) -> np.ndarray:
    return arrays[0].reshape(arrays[0].shape[:1] + _as_tuple(attributes[0]))


def _reshape_spread(wanted: Shape, _count: int, _offered: tuple[Value, ...] | None, draw: Draw) -> Spread:
    number = int(np.prod(wanted, dtype=int))
    kept = draw.rng.randint(0, len(wanted))
    options = ((number,), (1, *wanted), wanted, (*wanted[:kept], int(np.prod(wanted[kept:], dtype=int))))
    return Spread((wanted,), (draw.rng.choice(options),))


def _slices(shapes: Sequence[Shape]) -> Sequence[tuple[Value, ...]]:
    (shape,) = shapes
    return [((axis, start, start + 1),) for axis, size in enumerate(shape) for start in range(min(size, 2))]


def _slice_shape(attributes: tuple[Value, ...], shapes: Sequence[Shape]) -> Shape | None:
    (axis, start, end), (shape,) = _as_tuple(attributes[0]), shapes
    if axis >= len(shape) or end > shape[axis]:
        return None
    return (*shape[:axis], end - start, *shape[axis + 1 :])


def _slice(attributes: tuple[Value, ...], arrays: Sequence[np.ndarray]) -> np.ndarray:
    axis, start, end = _as_tuple(attributes[0])
    return arrays[0][(slice(None),) * (axis + 1) + (slice(start, end),)]


def _slice_spread(wanted: Shape, _count: int, offered: tuple[Value, ...] | None, draw: Draw) -> Spread | None:
    if not wanted:
        return None
    axis, start = draw.rng.randrange(len(wanted)), draw.rng.randint(0, 2)
    end = start + wanted[axis]
    if offered is not None:
        first, begin, stop = _as_tuple(offered[0])
        if first < len(wanted) and stop - begin == wanted[first]:
            axis, start, end = first, begin, stop
    shape = (*wanted[:axis], end + draw.rng.randint(0, 1), *wanted[axis + 1 :])
    return Spread(((axis, start, end),), (shape,))


def _splits(shapes: Sequence[Shape]) -> Sequence[tuple[Value, ...]]:
    (shape,) = shapes
    halves = [(axis, size // 2, size - size // 2) for axis, size in enumerate(shape) if size > 1]
    return [(sizes, index) for sizes in halves for index in (0, 1)]


def _split_shape(attributes: tuple[Value, ...], shapes: Sequence[Shape]) -> Shape | None:
    (axis, *sizes), (index,), (shape,) = _as_tuple(attributes[0]), _as_tuple(attributes[1]), shapes
    if axis >= len(shape) or sum(sizes) != shape[axis] or index >= len(sizes):
        return None
    return (*shape[:axis], sizes[index], *shape[axis + 1 :])


def _split(attributes: tuple[Value, ...], arrays: Sequence[np.ndarray]) -> np.ndarray:
    (axis, *sizes), (index,) = _as_tuple(attributes[0]), _as_tuple(attributes[1])
    start = sum(sizes[:index])
    return arrays[0][(slice(None),) * (axis + 1) + (slice(start, start + sizes[index]),)]


def _split_spread(wanted: Shape, _count: int, offered: tuple[Value, ...] | None, draw: Draw) -> Spread | None:
    if not wanted:
        return None
    axis, index, other = draw.rng.randrange(len(wanted)), draw.rng.randrange(2), draw.rng.choice((1, 2, 3))
    sizes = [wanted[axis], other] if index == 0 else [other, wanted[axis]]
    if offered is not None:
        (first, *found), (piece,) = _as_tuple(offered[0]), _as_tuple(offered[1])
        if first < len(wanted) and found[piece] == wanted[first]:
            axis, sizes, index = first, found, piece
    return Spread(((axis, *sizes), index), ((*wanted[:axis], sum(sizes), *wanted[axis + 1 :]),))


SHUFFLES: Final = (
    Row(
        name="Transpose",
        arities=(1,),
        kinds=(Kind.PERMUTATION,),
        menu=_permutations,
        shape=_transpose_shape,
        evaluate=_transpose,
        spread=_transpose_spread,
    ),
    Row(
        name="Concat",
        arities=(1, 2, 3),
        kinds=(Kind.AXIS,),
        menu=_axes,
        shape=_concat_shape,
        evaluate=_concat,
        spread=_concat_spread,
    ),
    Row(
        name="Reshape",
        arities=(1,),
        kinds=(Kind.DIMS,),
        menu=_reshapes,
        shape=_reshape_shape,
        evaluate=_reshape,
        spread=_reshape_spread,
    ),
    Row(
        name="Slice",
        arities=(1,),
        kinds=(Kind.SLICE,),
        menu=_slices,
        shape=_slice_shape,
        evaluate=_slice,
        spread=_slice_spread,
    ),
    Row(
        name="Split",
        arities=(1,),
        kinds=(Kind.SPLIT, Kind.INDEX),
        menu=_splits,
        shape=_split_shape,
        evaluate=_split,
        spread=_split_spread,
    ),
)
