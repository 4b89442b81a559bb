"""Random nodes: operators that move and pick elements."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Final

import numpy as np
from onnx import numpy_helper

from tests.fuzz.elementwise import Row
from tests.fuzz.growing import ANY, BOOL, F32, FLOATS, I32, I64, Content, Dim, Growing, RefusedError, Type, numpy_type


def _factors(grow: Growing, total: int) -> list[int]:
    shape: list[int] = []
    while len(shape) < 4 and (total > 1 or not shape or grow.chance(0.3)):
        size = int(grow.one_of([size for size in range(1, total + 1) if total % size == 0]))
        shape.append(size)
        total //= size
    if total > 1:
        shape.append(total)
    return [shape[int(place)] for place in grow.rng.permutation(len(shape))]


def _reshape(grow: Growing) -> None:
    source = grow.pick(ANY)
    dims = grow.values[source].dims
    symbols = [dim for dim in dims if not isinstance(dim, int)]
    total = math.prod(dim for dim in dims if isinstance(dim, int))
    if total == 0:
        grow.add("Reshape", [source, grow.constant([0, -1] if len(dims) > 1 and dims[0] else [0])])
        return
    shape = _factors(grow, total)
    if symbols:
        shape.insert(grow.between(0, len(shape)), -1)
    elif grow.chance(0.4):
        shape[grow.between(0, len(shape) - 1)] = -1
    if dims and shape[0] == dims[0] and grow.chance(0.4):
        shape[0] = 0
    grow.add("Reshape", [source, grow.constant(shape)])


def _computed_reshape(grow: Growing) -> None:
    """A reshape to the shape of something, as exporters write it."""
    source = grow.pick(ANY, (1, 4))
    (shape,) = grow.add("Shape", [source])
    rank = grow.values[source].rank
    parts = []
    for axis in range(rank):
        (part,) = grow.add("Gather", [shape, grow.constant([axis])], axis=0)
        parts.append(part)
    if grow.chance(0.5) and rank > 1:
        parts = [*parts[:-1], grow.constant([-1])]
    (target,) = grow.add("Concat", parts, axis=0)
    (flat,) = grow.add("Reshape", [source, grow.constant([-1])])
    grow.add("Reshape", [flat, target])


def _expand(grow: Growing) -> None:
    source = grow.pick(ANY, (0, 4))
    dims = grow.values[source].dims
    shape = [
        grow.between(1, 3) if dim == 1 and grow.chance(0.6) else (dim if isinstance(dim, int) else 1) for dim in dims
    ]
    grow.add("Expand", [source, grow.constant([*([2] * grow.between(0, 1)), *shape])])


def _transpose(grow: Growing) -> None:
    source = grow.pick(ANY)
    rank = grow.values[source].rank
    perm = [int(axis) for axis in grow.rng.permutation(rank)]
    grow.add("Transpose", [source], perm=perm if rank and grow.chance(0.9) else None)


def _twice(op_type: str, grow: Growing) -> None:
    """Two of a kind in a row, with something in between now and then."""
    row = {"Transpose": _transpose, "Reshape": _reshape, "Slice": _slice, "Concat": _concat}[op_type]
    row(grow)
    if grow.chance(0.5) and grow.values[grow.made[-1]].dtype in FLOATS:
        grow.add(grow.one_of(("Relu", "Tanh", "Neg")), [grow.made[-1]])
    row(grow)


def _concat(grow: Growing) -> None:
    first = grow.pick(ANY, (1, 5))
    type_ = grow.values[first]
    axis = grow.between(0, type_.rank - 1)

    def fits(other: Type) -> bool:
        return other.dtype == type_.dtype and all(
            one == two and one is not None
            for place, (one, two) in enumerate(zip(other.dims, type_.dims, strict=True))
            if place != axis
        )

    others = [
        grow.pick((type_.dtype,), (type_.rank, type_.rank), fits) if grow.chance(0.6) else first
        for _ in range(grow.between(0, 2))
    ]
    grow.add("Concat", [first, *others], axis=axis - type_.rank if grow.chance(0.4) else axis)


def _split(grow: Growing) -> None:
    source = grow.pick(ANY, (1, 5), lambda type_: any(isinstance(dim, int) and dim for dim in type_.dims))
    dims = grow.values[source].dims
    axis = int(grow.one_of([place for place, dim in enumerate(dims) if isinstance(dim, int) and dim]))
    size = dims[axis]
    if not isinstance(size, int):
        raise RefusedError("no size")
    first = grow.between(0, size)
    pieces = [first, size - first] if grow.chance(0.8) else [1] * size
    # Every piece has a name: ONNX Runtime 1.31 crashes on a Split with an unnamed output.
    if grow.opset < 13:
        grow.add("Split", [source], outputs=len(pieces), axis=axis, split=pieces)
    else:
        grow.add("Split", [source, grow.constant(pieces)], outputs=len(pieces), axis=axis)


def _slice(grow: Growing) -> None:
    source = grow.pick(ANY, (1, 5))
    rank = grow.values[source].rank
    axes = sorted(int(axis) for axis in grow.rng.permutation(rank)[: grow.between(1, min(rank, 2))])
    starts = [grow.between(-3, 2) for _ in axes]
    ends = [int(grow.one_of((1, 2, 3, -1, 2**31 - 1, 2**63 - 1, -(2**63)))) for _ in axes]
    steps = [int(grow.one_of((1, 1, 1, 2, -1))) for _ in axes]
    if grow.opset < 10:
        grow.add("Slice", [source], axes=axes, starts=starts, ends=ends)
    elif grow.chance(0.2) and axes == list(range(len(axes))):
        grow.add("Slice", [source, *(grow.constant(each) for each in (starts, ends))])
    else:
        axes = [axis - rank if grow.chance(0.3) else axis for axis in axes]
        grow.add("Slice", [source, *(grow.constant(each) for each in (starts, ends, axes, steps))])


def _pad(grow: Growing) -> None:
    source = grow.pick((F32, I64, I32), (1, 5))
    rank = grow.values[source].rank
    pads = [int(grow.one_of((0, 0, 1, 2, -1))) for _ in range(2 * rank)]
    mode = grow.one_of((None, "constant", "edge", "reflect"))
    if mode not in {None, "constant"}:
        pads = [max(pad, 0) for pad in pads]
    if grow.opset < 11:
        if grow.values[source].dtype != F32:
            raise RefusedError("floats only")
        grow.add("Pad", [source], pads=pads, mode=mode)
        return
    kind = numpy_type(grow.values[source].dtype)
    fill = (
        [grow.constant(np.array(grow.one_of((0, 1, -2)), kind))]
        if mode in {None, "constant"} and grow.chance(0.5)
        else []
    )
    grow.add("Pad", [source, grow.constant(pads), *fill], mode=mode)


def _tile(grow: Growing) -> None:
    source = grow.pick((F32, I64, I32, BOOL), (1, 4))
    grow.add("Tile", [source, grow.constant([grow.between(1, 2) for _ in range(grow.values[source].rank)])])


def _triangle(grow: Growing) -> None:
    source = grow.pick((F32, I64, BOOL), (2, 4))
    shift = [grow.constant(np.array(grow.between(-2, 2), np.int64))] if grow.chance(0.6) else []
    grow.add("Trilu", [source, *shift], upper=grow.one_of((0, 1, None)))


def _filled(grow: Growing) -> None:
    value = None if grow.chance(0.3) else numpy_helper.from_array(np.array([grow.one_of((0.0, 1.5, -2.0))], np.float32))
    grow.add("ConstantOfShape", [grow.constant([grow.between(0, 3) for _ in range(grow.between(1, 3))])], value=value)


def _eye(grow: Growing) -> None:
    grow.add("EyeLike", [grow.pick((F32, I64), (2, 2))], k=grow.one_of((0, 1, -1)), dtype=grow.one_of((None, F32, I64)))


def _range(grow: Growing) -> None:
    ends = [np.array(number, np.int64) for number in (grow.between(-2, 1), grow.between(1, 6), grow.between(1, 2))]
    grow.add("Range", [grow.constant(end) for end in ends])


def _squeezed(op_type: str, grow: Growing) -> None:
    if op_type == "Squeeze":
        source = grow.pick(ANY, (1, 5), lambda type_: 1 in type_.dims)
        dims = grow.values[source].dims
        axes = [place for place, dim in enumerate(dims) if dim == 1 and grow.chance(0.7)]
    else:
        source = grow.pick(ANY, (0, 4))
        rank = grow.values[source].rank
        axes = sorted({grow.between(0, rank) for _ in range(grow.between(1, 5 - rank))})
    if not axes:
        raise RefusedError("no axes")
    if grow.opset < 13:
        grow.add(op_type, [source], axes=axes)
    else:
        grow.add(op_type, [source, grow.constant(axes)])


def _flatten(grow: Growing) -> None:
    source = grow.pick(FLOATS, (1, 5))
    grow.add("Flatten", [source], axis=grow.between(0, grow.values[source].rank))


def _index(grow: Growing, shape: tuple[Dim, ...], bound: Dim) -> str:
    """Return indices below a size, as an input or a constant."""
    if bound is None or bound == 0:
        raise RefusedError("nothing to pick from")
    dtype = grow.one_of((I64, I64, I32))
    return grow.leaf(dtype, tuple(1 if dim is None else dim for dim in shape), Content.INDEX, bound, constant=0.6)


def _gather(grow: Growing) -> None:
    source = grow.pick(ANY, (1, 4))
    dims = grow.values[source].dims
    axis = grow.between(0, len(dims) - 1)
    indices = _index(grow, tuple(grow.dim() for _ in range(grow.between(0, 2))), dims[axis])
    grow.add("Gather", [source, indices], axis=axis - len(dims) if grow.chance(0.4) else axis)


def _gather_elements(grow: Growing) -> None:
    source = grow.pick(ANY, (1, 4))
    dims = grow.values[source].dims
    axis = grow.between(0, len(dims) - 1)
    grow.add("GatherElements", [source, _index(grow, dims, dims[axis])], axis=axis)


def _gather_nd(grow: Growing) -> None:
    source = grow.pick((F32, I64), (1, 3))
    indices = _index(grow, (grow.between(1, 3), 1), grow.values[source].dims[0])
    if grow.values[indices].dtype != I64:
        raise RefusedError("int64 only")
    grow.add("GatherND", [source, indices])


def _scatter_elements(grow: Growing) -> None:
    source = grow.pick((F32, I64), (1, 3))
    type_ = grow.values[source]
    axis = grow.between(0, type_.rank - 1)
    if not all(isinstance(dim, int) and dim for dim in type_.dims):
        raise RefusedError("no sizes")
    rows = tuple(1 if place == axis else dim for place, dim in enumerate(type_.dims))
    indices = _index(grow, rows, type_.dims[axis])
    mode = grow.one_of((None, "add")) if grow.opset >= 16 else None
    grow.add("ScatterElements", [source, indices, grow.leaf(type_.dtype, rows)], axis=axis, reduction=mode)


def _scatter_nd(grow: Growing) -> None:
    source = grow.pick((F32, I64), (1, 3))
    type_ = grow.values[source]
    bound = type_.dims[0]
    if not isinstance(bound, int) or None in type_.dims:
        raise RefusedError("no sizes")
    rows = grow.between(1, max(bound, 1))
    picked = grow.rng.permutation(max(bound, 1))[:rows].reshape(-1, 1).astype(np.int64)
    if not bound:
        raise RefusedError("nothing to write to")
    grow.add("ScatterND", [source, grow.constant(picked), grow.leaf(type_.dtype, (rows, *type_.dims[1:]))])


def _one_hot(grow: Growing) -> None:
    depth = grow.between(2, 4)
    indices = _index(grow, tuple(grow.dim() for _ in range(grow.between(0, 2))), depth)
    if grow.values[indices].dtype != I64:
        raise RefusedError("int64 only")
    values = grow.constant(np.array([0.0, 1.0], np.float32))
    grow.add("OneHot", [indices, grow.constant(np.array(depth, np.int64)), values], axis=grow.one_of((-1, 0)))


def _reverse(grow: Growing) -> None:
    source = grow.pick((F32,), (2, 4))
    time, batch = grow.values[source].dims[:2]
    if time is None or batch is None:
        raise RefusedError("no sizes")
    lengths = grow.leaf(I64, (batch,), Content.INDEX, time, constant=0.4)
    grow.add("ReverseSequence", [source, lengths], time_axis=0, batch_axis=1)


def _compress(grow: Growing) -> None:
    source = grow.pick((F32, I64), (1, 3))
    condition = grow.leaf(BOOL, (grow.between(1, 2),), constant=0.5)
    grow.add("Compress", [source, condition], axis=grow.one_of((0, None)))


def _unique(grow: Growing) -> None:
    source = grow.pick((F32, I64), (1, 2))
    outputs = grow.between(1, 4)
    grow.add("Unique", [source], outputs=outputs, unused=tuple(range(1, outputs - 1)), sorted=grow.one_of((0, 1)))


def _shape(grow: Growing) -> None:
    source = grow.pick(ANY)
    start = grow.between(-2, 1) if grow.opset >= 15 and grow.chance(0.5) else None
    grow.add("Shape", [source], start=start)


def _crop(grow: Growing) -> None:
    source = grow.pick((F32,), (1, 3), is_static=True)
    rank = grow.values[source].rank
    grow.add("CenterCropPad", [source, grow.constant([grow.between(1, 4) for _ in range(rank)])])


def _image(grow: Growing, channels: int = 0) -> str:
    """Return a value of rank 4 with known channels."""
    return grow.pick(
        (F32,), (4, 4), lambda type_: isinstance(type_.dims[1], int) and (not channels or type_.dims[1] % channels == 0)
    )


def _resize(grow: Growing) -> None:
    source = grow.pick((F32,), (4, 4))
    scales = grow.constant(np.array([1, 1, grow.one_of((1, 2, 0.5)), grow.one_of((1, 2))], np.float32))
    if grow.opset < 10:
        grow.add("Upsample", [source, scales], mode="nearest")
    elif grow.opset < 11:
        grow.add("Resize", [source, scales], mode=grow.one_of(("nearest", "linear")))
    else:
        mode = grow.one_of(("nearest", "linear", "cubic"))
        way = grow.one_of(("half_pixel", "asymmetric", "align_corners", None))
        region = "" if grow.opset >= 13 else grow.constant(np.zeros(0, np.float32))
        nearest = grow.one_of(("floor", "round_prefer_floor", None)) if mode == "nearest" else None
        grow.add(
            "Resize", [source, region, scales], mode=mode, coordinate_transformation_mode=way, nearest_mode=nearest
        )


def _blocks(op_type: str, grow: Growing) -> None:
    if op_type == "DepthToSpace":
        source = _image(grow, 4)
        grow.add(op_type, [source], blocksize=2, mode=grow.one_of((None, "DCR", "CRD")) if grow.opset >= 11 else None)
    else:
        source = grow.pick((F32,), (4, 4), lambda type_: _is_even(type_.dims[2]) and _is_even(type_.dims[3]))
        grow.add(op_type, [source], blocksize=2)


def _is_even(dim: Dim) -> bool:
    return isinstance(dim, int) and dim % 2 == 0


def _grid(grow: Growing) -> None:
    source = grow.pick((F32,), (4, 4))
    batch = grow.values[source].dims[0]
    grid = grow.leaf(F32, (1 if batch is None else batch, 2, 3, 2))
    modes = ("linear", "nearest") if grow.opset >= 20 else ("bilinear", "nearest")
    grow.add("GridSample", [source, grid], mode=grow.one_of(modes), align_corners=grow.one_of((0, 1)))


def _boxes(grow: Growing) -> None:
    scores, boxes = grow.leaf(F32, (1, 2, 4)), grow.leaf(F32, (1, 4, 4), Content.POSITIVE)
    count = grow.constant(np.array([2], np.int64))
    grow.add("NonMaxSuppression", [boxes, scores, count, grow.constant(np.array([0.5], np.float32))])


def _columns(grow: Growing) -> None:
    source = grow.leaf(F32, (1, 8, 4))
    grow.add("Col2Im", [source, grow.constant([3, 3]), grow.constant([2, 2])])


def _affine_grid(grow: Growing) -> None:
    grow.add("AffineGrid", [grow.leaf(F32, (2, 2, 3)), grow.constant([2, 1, 3, 4])], align_corners=grow.one_of((0, 1)))


def _align(grow: Growing) -> None:
    source = grow.pick((F32,), (4, 4))
    regions = grow.constant(np.array([[0, 0, 1, 1], [0, 1, 2, 2]], np.float32))
    grow.add("RoiAlign", [source, regions, grow.constant([0, 0])], output_height=2, output_width=2, sampling_ratio=1)


ROWS: Final[Mapping[str, Row]] = {
    "Reshape": _reshape,
    "computed reshape": _computed_reshape,
    "Expand": _expand,
    "Transpose": _transpose,
    **{f"{name.lower()} twice": partial(_twice, name) for name in ("Transpose", "Reshape", "Slice", "Concat")},
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Pad": _pad,
    "Tile": _tile,
    "Trilu": _triangle,
    "ConstantOfShape": _filled,
    "EyeLike": _eye,
    "Range": _range,
    "Squeeze": partial(_squeezed, "Squeeze"),
    "Unsqueeze": partial(_squeezed, "Unsqueeze"),
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "OneHot": _one_hot,
    "ReverseSequence": _reverse,
    "Compress": _compress,
    "Unique": _unique,
    "Shape": _shape,
    "CenterCropPad": _crop,
    "Resize": _resize,
    "DepthToSpace": partial(_blocks, "DepthToSpace"),
    "SpaceToDepth": partial(_blocks, "SpaceToDepth"),
    "GridSample": _grid,
    "NonMaxSuppression": _boxes,
    "Col2Im": _columns,
    "AffineGrid": _affine_grid,
    "RoiAlign": _align,
}
"""Rows by operator; a name in small letters is a group of nodes."""
