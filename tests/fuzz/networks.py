"""Random nodes: products, convolutions, pools, normalisations, recurrences, quantisation, attention."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np

from tests.fuzz.elementwise import Row
from tests.fuzz.growing import (
    F16,
    F32,
    F64,
    FLOATS,
    I8,
    I32,
    I64,
    U8,
    Content,
    Dim,
    Growing,
    RefusedError,
    Type,
    numpy_type,
)


def _is_known(dim: Dim) -> bool:
    return isinstance(dim, int)


def _last(grow: Growing, dtypes: tuple[int, ...], ranks: tuple[int, int]) -> tuple[str, int]:
    """Return a value with a known last dimension, and that."""
    source = grow.pick(dtypes, ranks, lambda type_: isinstance(type_.dims[-1], int) and type_.dims[-1] > 0)
    size = grow.values[source].dims[-1]
    if not isinstance(size, int):
        raise RefusedError("no size")
    return source, size


def _matmul(grow: Growing) -> None:
    source = grow.pick((*FLOATS, I32), (1, 4))
    type_ = grow.values[source]
    inner = type_.dims[-1]
    if inner is None:
        raise RefusedError("no size")
    if grow.chance(0.25):
        fitting = [
            name
            for name, each in grow.values.items()
            if each.rank > 1 and each.dtype == type_.dtype and each.dims[-2] == inner
        ]
        if fitting:
            grow.add("MatMul", [source, grow.one_of(fitting)])
            return
    for _ in range(grow.between(1, 3) if grow.chance(0.3) else 1):  # products of one value with several matrices
        width = grow.dim(is_static=True)
        grow.add("MatMul", [source, grow.leaf(type_.dtype, (inner, width), constant=0.8)])


def _linear(grow: Growing) -> None:
    """Products one after the other, with a shift and an activation now and then."""
    value, inner = _last(grow, FLOATS, (2, 4))
    dtype = grow.values[value].dtype
    for _ in range(grow.between(1, 3)):
        width = grow.between(1, 4)
        (value,) = grow.add("MatMul", [value, grow.leaf(dtype, (inner, width), constant=1.0)])
        if grow.chance(0.5):
            (value,) = grow.add("Add", [value, grow.leaf(dtype, (width,), constant=1.0)])
        if grow.chance(0.3):
            (value,) = grow.add(grow.one_of(("Relu", "Tanh", "Erf", "Sigmoid")), [value])
        inner = width


def _gemm(grow: Growing) -> None:
    source = grow.pick(FLOATS, (2, 2))
    type_ = grow.values[source]
    left, right = grow.one_of((0, 1)), grow.one_of((0, 1))
    inner = type_.dims[0 if left else 1]
    if inner is None:
        raise RefusedError("no size")
    width = grow.between(1, 4)
    weight = grow.leaf(type_.dtype, (width, inner) if right else (inner, width), constant=0.8)
    shift = (
        [grow.leaf(type_.dtype, grow.one_of(((width,), (), (1, width), (1,))), constant=0.8)]
        if grow.chance(0.6)
        else []
    )
    scales = {name: grow.one_of((None, 0.5, 2.0, 0.0, 1.0)) for name in ("alpha", "beta")}
    if not shift and grow.opset < 11:
        raise RefusedError("the shift is required")
    grow.add("Gemm", [source, weight, *shift], transA=left, transB=right, **scales)


def _einsum(grow: Growing) -> None:
    equation, ranks = grow.one_of(
        (
            ("ij,jk->ik", (2, 2)),
            ("ij,kj->ik", (2, 2)),
            ("bij,bjk->bik", (3, 3)),
            ("ij->ji", (2,)),
            ("ij,ij->i", (2, 2)),
            ("bij,jk->bik", (3, 2)),
            ("i,j->ij", (1, 1)),
            ("...ij,...jk->...ik", (3, 3)),
        )
    )
    sizes: dict[str, Dim] = {letter: grow.dim() for letter in sorted(set(equation)) if letter.isalpha()}
    batch = grow.dim()
    inputs = []
    for term in equation.split("->")[0].split(","):
        letters = [letter for letter in term if letter.isalpha()]
        shape = tuple(sizes[letter] for letter in letters)
        inputs.append(grow.leaf(F32, (batch, *shape) if "." in term else shape, constant=0.2))
    assert len(inputs) == len(ranks)
    grow.add("Einsum", inputs, equation=equation)


def _integer_product(grow: Growing) -> None:
    source = grow.leaf(U8, (grow.dim(), 3), constant=0.2)
    zeros = [grow.constant(np.array(1, np.uint8))] if grow.chance(0.5) else []
    grow.add("MatMulInteger", [source, grow.leaf(U8, (3, 2), constant=0.8), *zeros])


def _window(grow: Growing, rank: int, *, has_dilations: bool = True) -> dict[str, Any]:
    """Return how a kernel moves over an image: strides, pads, dilations."""
    moves: dict[str, Any] = {}
    if grow.chance(0.4):
        moves["strides"] = [grow.between(1, 2) for _ in range(rank)]
    if grow.chance(0.2):
        moves["auto_pad"] = grow.one_of(("SAME_UPPER", "SAME_LOWER", "VALID"))
    elif grow.chance(0.6):
        moves["pads"] = [grow.between(0, 1) for _ in range(2 * rank)]
    if has_dilations and grow.chance(0.15):
        moves["dilations"] = [grow.between(1, 2) for _ in range(rank)]
    return moves


def image(grow: Growing, dtypes: tuple[int, ...] = (F32,)) -> tuple[str, int]:
    """Return a value [B, C, ...] with known channels, and how many."""
    source = grow.pick(
        dtypes,
        (3, 5),
        lambda type_: (
            isinstance(type_.dims[1], int)
            and type_.dims[1] > 0
            and all(not isinstance(dim, int) or dim >= 3 for dim in type_.dims[2:])
        ),
    )
    channels = grow.values[source].dims[1]
    if not isinstance(channels, int):
        raise RefusedError("no channels")
    return source, channels


def _image_leaf(grow: Growing) -> None:
    """A new image, so that there is one to work on."""
    rank = int(grow.one_of((1, 2, 2, 2, 3)))
    shape: list[Dim] = [grow.dim(), grow.between(1, 4), *(grow.one_of((4, 5, 6, "N")) for _ in range(rank))]
    grow.leaf(F32, tuple(shape), constant=0.0)


def _conv(op_type: str, grow: Growing) -> None:
    source, channels = image(grow, (F32, F16) if op_type == "Conv" else (F32,))
    type_ = grow.values[source]
    rank = type_.rank - 2
    group = int(grow.one_of([size for size in range(1, channels + 1) if channels % size == 0]))
    num_out = group * grow.between(1, 2)
    kernel = [grow.between(1, 3) for _ in range(rank)]
    shape = (num_out, channels // group, *kernel) if op_type == "Conv" else (channels, num_out // group, *kernel)
    bias = [grow.leaf(type_.dtype, (num_out,), constant=0.9)] if grow.chance(0.5) else []
    (value,) = grow.add(
        op_type, [source, grow.leaf(type_.dtype, shape, constant=0.9), *bias], group=group, **_window(grow, rank)
    )
    if grow.chance(0.4):
        _after_conv(grow, value, num_out)


def _after_conv(grow: Growing, value: str, channels: int) -> None:
    """What exporters put behind a convolution."""
    type_ = grow.values[value]
    per_channel = (channels, *(1,) * (type_.rank - 2))
    for _ in range(grow.between(1, 2)):
        match grow.one_of(("norm", "shift", "scale", "activation", "again")):
            case "norm":
                (value,) = grow.add("BatchNormalization", [value, *_statistics(grow, type_.dtype, channels)])
            case "shift":
                (value,) = grow.add("Add", [value, grow.leaf(type_.dtype, per_channel, constant=1.0)])
            case "scale":
                (value,) = grow.add("Mul", [value, grow.leaf(type_.dtype, per_channel, constant=1.0)])
            case "activation":
                (value,) = grow.add(grow.one_of(("Relu", "Sigmoid", "LeakyRelu", "HardSwish")), [value])
            case _:
                kernel = (channels, channels, *(1,) * (type_.rank - 2))
                (value,) = grow.add("Conv", [value, grow.leaf(type_.dtype, kernel, constant=1.0)])


def _statistics(grow: Growing, dtype: int, channels: int) -> list[str]:
    kinds = (Content.DATA, Content.DATA, Content.DATA, Content.POSITIVE)
    return [grow.leaf(dtype, (channels,), kind, constant=0.95) for kind in kinds]


def _integer_conv(grow: Growing) -> None:
    grow.add("ConvInteger", [grow.leaf(U8, (1, 2, 4, 4)), grow.leaf(U8, (3, 2, 3, 3), constant=0.9)])


def _determinant(grow: Growing) -> None:
    grow.add(
        "Det", [grow.pick((F32,), (2, 4), lambda type_: type_.dims[-1] == type_.dims[-2] and _is_known(type_.dims[-1]))]
    )


def _pool(op_type: str, grow: Growing) -> None:
    source, _ = image(grow)
    rank = grow.values[source].rank - 2
    moves = _window(grow, rank, has_dilations=op_type == "MaxPool" and grow.opset >= 10)
    ceil = grow.one_of((0, 1)) if grow.opset >= 10 and op_type != "LpPool" and grow.chance(0.3) else None
    extra: dict[str, Any] = {"ceil_mode": ceil}
    if op_type == "AveragePool":
        extra["count_include_pad"] = grow.one_of((0, 1, None))
    outputs = 2 if op_type == "MaxPool" and grow.chance(0.25) else 1
    unused = (1,) if outputs == 2 and grow.chance(0.4) else ()
    kernel = [grow.between(1, 3) for _ in range(rank)]
    grow.add(op_type, [source], outputs=outputs, unused=unused, kernel_shape=kernel, **moves, **extra)


def _global_pool(op_type: str, grow: Growing) -> None:
    grow.add(op_type, [image(grow)[0]])


def _response(grow: Growing) -> None:
    source, channels = image(grow)
    if grow.values[source].rank != 4 or not channels:
        raise RefusedError("images only")
    grow.add(
        "LRN",
        [source],
        size=grow.one_of((1, 3, 5)),
        beta=grow.one_of((0.75, 0.5, 1.0, None)),
        bias=grow.one_of((1.0, 2.0)),
    )


def _batch_norm(grow: Growing) -> None:
    source = grow.pick(FLOATS, (2, 4), lambda type_: _is_known(type_.dims[1]))
    type_ = grow.values[source]
    channels = type_.dims[1]
    if not isinstance(channels, int):
        raise RefusedError("no channels")
    grow.add(
        "BatchNormalization", [source, *_statistics(grow, type_.dtype, channels)], epsilon=grow.one_of((None, 1e-3))
    )


def _instance_norm(grow: Growing) -> None:
    source, channels = image(grow)
    grow.add("InstanceNormalization", [source, *(grow.leaf(F32, (channels,), constant=0.9) for _ in range(2))])


def _layer_norm(op_type: str, grow: Growing) -> None:
    source, size = _last(grow, FLOATS, (1, 4))
    dtype = grow.values[source].dtype
    weights = [grow.leaf(dtype, (size,), constant=0.9) for _ in range(grow.between(1, 2) if op_type[0] == "L" else 1)]
    grow.add(op_type, [source, *weights], axis=-1, epsilon=grow.one_of((None, 1e-6)))


def _written_norm(grow: Growing) -> None:
    """A normalisation in small operators, as exporters write it."""
    source, size = _last(grow, FLOATS, (2, 4))
    dtype = grow.values[source].dtype
    kind = numpy_type(dtype)

    def mean(value: str) -> str:
        if grow.opset >= 18:
            return grow.add("ReduceMean", [value, grow.constant([-1])])[0]
        return grow.add("ReduceMean", [value], axes=[-1 if grow.opset >= 11 else grow.values[value].rank - 1])[0]

    centred = source
    if grow.chance(0.6):
        (centred,) = grow.add("Sub", [source, mean(source)])
    two = grow.constant(np.array(2, kind))
    (square,) = grow.add("Pow", [centred, two]) if grow.chance(0.5) else grow.add("Mul", [centred, centred])
    (moved,) = grow.add("Add", [mean(square), grow.constant(np.array(grow.one_of((1e-5, 1e-6, 0.0)), kind))])
    (root,) = grow.add("Sqrt", [moved])
    if grow.chance(0.5):
        (value,) = grow.add("Div", [centred, root])
    else:
        (inverse,) = grow.add("Reciprocal", [root])
        (value,) = grow.add("Mul", [centred, inverse])
    if grow.chance(0.7):
        (value,) = grow.add("Mul", [value, grow.leaf(dtype, (size,), constant=1.0)])
    if grow.chance(0.5):
        grow.add("Add", [value, grow.leaf(dtype, (size,), constant=1.0)])


def _group_norm(grow: Growing) -> None:
    source = grow.leaf(F32, (grow.dim(), 4, 3, 2))
    grow.add(
        "GroupNormalization",
        [source, *(grow.leaf(F32, (4,), constant=0.9) for _ in range(2))],
        num_groups=grow.one_of((1, 2, 4)),
    )


def _unit_norm(grow: Growing) -> None:
    source = grow.pick((F32, F64), (1, 4))
    grow.add("LpNormalization", [source], axis=grow.between(-1, grow.values[source].rank - 1), p=grow.one_of((1, 2)))


def _variance_norm(grow: Growing) -> None:
    grow.add("MeanVarianceNormalization", [grow.pick((F32,), (4, 4))], axes=grow.one_of(([0, 2, 3], [1], None)))


def _softmax(op_type: str, grow: Growing) -> None:
    source = grow.pick(FLOATS if op_type != "Hardmax" else (F32,), (1, 4))
    grow.add(op_type, [source], axis=grow.between(-1, grow.values[source].rank - 1))


def _recurrence(op_type: str, grow: Growing) -> None:
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op_type]
    hidden, width = 2, 3
    # ONNX Runtime 1.31 crashes on a GRU of no steps, and leaves the last states of the others unset.
    source = grow.leaf(F32, (2, grow.one_of((1, 2)), width))
    two_ways = grow.chance(0.3)
    ways = 2 if two_ways else 1
    weights = [grow.leaf(F32, (ways, gates * hidden, size), constant=0.9) for size in (width, hidden)]
    bias = [grow.leaf(F32, (ways, 2 * gates * hidden), constant=0.9)] if grow.chance(0.5) else []
    outputs = 3 if op_type == "LSTM" else 2
    unused = grow.one_of(((), (0,), (outputs - 1,), (1,)))
    direction = "bidirectional" if two_ways else grow.one_of((None, "reverse"))
    grow.add(
        op_type, [source, *weights, *bias], outputs=outputs, unused=unused, hidden_size=hidden, direction=direction
    )


def _quantised(grow: Growing) -> None:
    """Quantised and back, in one step or with operators on the integers in between."""
    source = grow.pick((F32,), (1, 4))
    dtype = grow.one_of((np.uint8, np.int8))
    scale = grow.constant(np.array(grow.one_of((0.1, 0.5, 1.0)), np.float32))
    zero = grow.constant(np.array(grow.between(0, 3), dtype))
    (packed,) = grow.add("QuantizeLinear", [source, scale, zero])
    if grow.chance(0.3):
        rank = grow.values[source].rank
        (packed,) = grow.add("Transpose", [packed], perm=[int(axis) for axis in grow.rng.permutation(rank)])
    grow.add("DequantizeLinear", [packed, scale, zero])


def _packed_weight(grow: Growing) -> None:
    """A product with a weight of 8 or 4 bits."""
    source, size = _last(grow, (F32,), (2, 3))
    width = grow.between(1, 4)
    per_column = grow.chance(0.5) and grow.opset >= 13
    weight = grow.leaf(I8, (size, width), constant=1.0)
    if grow.opset >= 21 and grow.chance(0.3):
        (weight,) = grow.add("Cast", [weight], to=22)
    scale = grow.leaf(F32, (width,) if per_column else (), Content.POSITIVE, constant=1.0)
    (wide,) = grow.add("DequantizeLinear", [weight, scale], axis=1 if per_column else None)
    (value,) = grow.add("MatMul", [source, wide])
    if grow.chance(0.5):
        grow.add("Mul", [value, grow.leaf(F32, (width,), constant=1.0)])


def _dynamic_quantised(grow: Growing) -> None:
    grow.add("DynamicQuantizeLinear", [grow.pick((F32,), (1, 4))], outputs=3)


def _quantised_product(grow: Growing) -> None:
    def parts(shape: tuple[Dim, ...], constant: float) -> list[str]:
        scale, zero = grow.constant(np.array(0.25, np.float32)), grow.constant(np.array(2, np.uint8))
        return [grow.leaf(U8, shape, constant=constant), scale, zero]

    last = [grow.constant(np.array(0.5, np.float32)), grow.constant(np.array(1, np.uint8))]
    if grow.chance(0.5):
        grow.add("QLinearMatMul", [*parts((grow.dim(), 3), 0.1), *parts((3, 2), 0.9), *last])
    else:
        grow.add("QLinearConv", [*parts((1, 2, 4, 4), 0.1), *parts((3, 2, 3, 3), 0.9), *last])


def _attention(grow: Growing) -> None:
    batch, length = grow.one_of((1, 2, "N")), grow.one_of((2, 3, "M"))
    query, key, value = (grow.leaf(F32, (batch, 2, length, 4)) for _ in range(3))
    grow.add("Attention", [query, key, value], is_causal=grow.one_of((0, 1, None)), scale=grow.one_of((None, 0.3)))


def _written_attention(grow: Growing) -> None:
    batch, length = grow.one_of((1, 2, "N")), grow.one_of((2, 3, "M"))
    query, key, value = (grow.leaf(F32, (batch, 2, length, 4)) for _ in range(3))
    (turned,) = grow.add("Transpose", [key], perm=[0, 1, 3, 2])
    if grow.chance(0.5):
        (query,) = grow.add("Mul", [query, grow.constant(np.array(0.5, np.float32))])
    (scores,) = grow.add("MatMul", [query, turned])
    if grow.chance(0.6):
        (scores,) = grow.add("Div", [scores, grow.constant(np.array(grow.one_of((2.0, 8.0, 1e-3)), np.float32))])
    if grow.chance(0.4):
        (scores,) = grow.add("Add", [scores, grow.leaf(F32, (1, 1, length, length))])
    (shares,) = grow.add("Softmax", [scores], axis=3)
    grow.add("MatMul", [shares, value])


def _rotary(grow: Growing) -> None:
    source = grow.leaf(F32, (1, 2, 3, 4))
    grow.add(
        "RotaryEmbedding",
        [source, *(grow.leaf(F32, (1, 3, 2), constant=0.7) for _ in range(2))],
        interleaved=grow.one_of((0, 1)),
    )


def _microsoft(op_type: str, grow: Growing) -> None:
    source, size = _last(grow, (F32,), (2, 4))
    type_ = grow.values[source]
    inputs = [source]
    match op_type:
        case "BiasGelu" | "FastGelu":
            inputs.append(grow.leaf(F32, (size,), constant=0.9))
        case "SkipLayerNormalization":
            if type_.rank != 3 or None in type_.dims:
                raise RefusedError("rank 3 only")
            inputs += [grow.leaf(F32, type_.dims), *(grow.leaf(F32, (size,), constant=0.9) for _ in range(2))]
        case "FusedMatMul":
            width = grow.between(1, 3)
            inputs.append(grow.leaf(F32, (width, size), constant=0.6))
            shape = (*type_.dims[:-1], width)
            grow.add(
                op_type,
                inputs,
                domain="com.microsoft",
                types=[Type(F32, shape)],
                transB=1,
                alpha=grow.one_of((0.5, 2.0)),
            )
            return
        case _:
            pass
    grow.add(op_type, inputs, domain="com.microsoft", types=[type_])


def _losses(op_type: str, grow: Growing) -> None:
    scores = grow.leaf(F32, (grow.dim(), 3))
    batch = grow.values[scores].dims[0]
    grow.add(
        op_type, [scores, grow.leaf(I64, (batch,), Content.INDEX, 3)], reduction=grow.one_of(("none", "sum", "mean"))
    )


def _signal(op_type: str, grow: Growing) -> None:
    if op_type == "DFT":
        grow.add("DFT", [grow.leaf(F32, (2, 4, 1))], onesided=grow.one_of((0, 1)))
    else:
        grow.add(op_type, [grow.constant(np.array(4, np.int32))], periodic=grow.one_of((0, 1)))


ROWS: Final[Mapping[str, Row]] = {
    "MatMul": _matmul,
    "linear": _linear,
    "Gemm": _gemm,
    "Einsum": _einsum,
    "MatMulInteger": _integer_product,
    "image": _image_leaf,
    **{name: partial(_conv, name) for name in ("Conv", "ConvTranspose")},
    "ConvInteger": _integer_conv,
    "Det": _determinant,
    **{name: partial(_pool, name) for name in ("MaxPool", "AveragePool", "LpPool")},
    **{name: partial(_global_pool, name) for name in ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")},
    "LRN": _response,
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    **{name: partial(_layer_norm, name) for name in ("LayerNormalization", "RMSNormalization")},
    "written norm": _written_norm,
    "GroupNormalization": _group_norm,
    "LpNormalization": _unit_norm,
    "MeanVarianceNormalization": _variance_norm,
    **{name: partial(_softmax, name) for name in ("Softmax", "LogSoftmax", "Hardmax")},
    **{name: partial(_recurrence, name) for name in ("LSTM", "GRU", "RNN")},
    "QuantizeLinear": _quantised,
    "DequantizeLinear": _packed_weight,
    "DynamicQuantizeLinear": _dynamic_quantised,
    "QLinearMatMul": _quantised_product,
    "Attention": _attention,
    "written attention": _written_attention,
    "RotaryEmbedding": _rotary,
    **{name: partial(_microsoft, name) for name in ("Gelu", "QuickGelu", "FastGelu", "BiasGelu")},
    **{name: partial(_microsoft, name) for name in ("SkipLayerNormalization", "FusedMatMul")},
    **{name: partial(_losses, name) for name in ("SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss")},
    **{name: partial(_signal, name) for name in ("DFT", "HannWindow", "HammingWindow", "BlackmanWindow")},
}
"""Rows by operator; a name in small letters is a group of nodes."""
