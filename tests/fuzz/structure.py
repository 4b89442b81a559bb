"""Random nodes that hold graphs, and values that are no tensors: control flow, functions, sequences, strings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import onnx
from onnx import helper

from tests.fuzz import elementwise
from tests.fuzz.elementwise import Row
from tests.fuzz.growing import BOOL, F32, I64, LOCAL, STRING, Growing, RefusedError, Type, numpy_type

_NO_RANK: Final = Type(0, None)


def _inner(grow: Growing, values: Mapping[str, Type]) -> Growing:
    return Growing(
        rng=grow.rng,
        opset=grow.opset,
        kernels=grow.kernels,
        is_inner=True,
        values=dict(values),
        counter=grow.counter,
    )


_INNER_ROWS: Final = ("Relu", "Tanh", "Neg", "Add", "Mul", "Sigmoid", "affine", "Exp")


def _body(inner: Growing, source: str, count: int) -> str:
    """Grow some nodes on a value and return one of the same type."""
    wanted = inner.values[source]
    last = source
    for _ in range(count):
        held = dict(inner.values)
        inner.values = {name: each for name, each in held.items() if each == wanted} or {source: wanted}
        try:
            elementwise.ROWS[str(inner.one_of(_INNER_ROWS))](inner)
        except RefusedError:
            inner.values = held
            continue
        inner.values = {**held, **inner.values}
        last = next((name for name in reversed(inner.made) if inner.values[name] == wanted), last)
    if last == source:
        (last,) = inner.add("Tanh", [source])
    return last


def _information(name: str, type_: Type) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, type_.dtype, type_.shape)


def _graph(inner: Growing, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[str]) -> onnx.GraphProto:
    return helper.make_graph(
        inner.nodes,
        inner.name("g"),
        list(inputs),
        [_information(name, inner.values[name]) for name in outputs],
        list(inner.initializers.values()),
    )


def _condition(grow: Growing) -> str:
    if grow.chance(0.4):
        return grow.constant(np.array(grow.chance(0.5)))
    return grow.leaf(BOOL, (), constant=0.0)


def _if(grow: Growing) -> None:
    source = grow.pick((F32,))
    type_ = grow.values[source]
    branches = {}
    for branch in ("then_branch", "else_branch"):
        inner = _inner(grow, {source: type_})
        branches[branch] = _graph(inner, [], [_body(inner, source, grow.between(1, 3))])
    grow.add("If", [_condition(grow)], types=[type_], **branches)


def _loop(grow: Growing) -> None:
    source = grow.pick((F32,))
    type_ = grow.values[source]
    captured = {name: each for name, each in grow.values.items() if each == type_ and grow.chance(0.5)}
    inner = _inner(grow, captured)
    names = [inner.name(stem) for stem in ("i", "go", "s")]
    inner.values[names[2]] = type_
    last = _body(inner, names[2], grow.between(1, 3))
    (going,) = inner.add("Identity", [names[1]], types=[Type(BOOL, ())]) if _declare(inner, names[1]) else ("",)
    inputs = [
        _information(name, each) for name, each in zip(names, (Type(I64, ()), Type(BOOL, ()), type_), strict=True)
    ]
    has_scan = grow.chance(0.4)
    extra = [inner.add("Neg", [last])[0]] if has_scan else []
    graph = _graph(inner, inputs, [going, last, *extra])
    count = grow.constant(np.array(grow.between(0, 3), np.int64))
    go = grow.constant(np.array(True)) if grow.chance(0.5) else ""
    scan = [Type(F32, (None, *type_.dims))] if has_scan else []
    grow.add("Loop", [count, go, source], outputs=2 if has_scan else 1, types=[type_, *scan], body=graph)


def _declare(inner: Growing, name: str) -> bool:
    inner.values[name] = Type(BOOL, ())
    return True


def _scan(grow: Growing) -> None:
    source = grow.pick((F32,), (1, 4))
    type_ = grow.values[source]
    item = Type(F32, type_.dims[1:])
    inner = _inner(grow, {})
    name = inner.name("s")
    inner.values[name] = item
    graph = _graph(inner, [_information(name, item)], [_body(inner, name, grow.between(1, 2))])
    if grow.opset < 9:
        raise RefusedError("another Scan")
    grow.add("Scan", [source], types=[type_], body=graph, num_scan_inputs=1)


def _function(grow: Growing) -> None:
    """A function of the model's own, called once or twice, with an attribute of its own now and then."""
    source = grow.pick((F32,))
    type_ = grow.values[source]
    inner = _inner(grow, {})
    formal = inner.name("a")
    inner.values[formal] = type_
    last = _body(inner, formal, grow.between(1, 3))
    nodes = list(inner.nodes)
    attributes = []
    if grow.chance(0.4):
        name = inner.name("f")
        node = helper.make_node("LeakyRelu", [last], [name])
        node.attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT))
        nodes.append(node)
        attributes, last = ["slope"], name
    name = f"Own{len(grow.functions)}"
    imports = [helper.make_opsetid("", grow.opset)]
    grow.functions.append(helper.make_function(LOCAL, name, [formal], [last], nodes, imports, attributes))
    slope: dict[str, Any] = {"slope": 0.25} if attributes else {}
    for _ in range(grow.between(1, 2)):
        grow.add(name, [source], domain=LOCAL, types=[type_], **slope)


def _sequence(grow: Growing) -> None:
    source = grow.pick((F32,), (1, 3))
    type_ = grow.values[source]
    (items,) = grow.add("SequenceConstruct", [source, source], types=[_NO_RANK])
    if grow.chance(0.4):
        (items,) = grow.add("SequenceInsert", [items, source], types=[_NO_RANK])
    match grow.one_of(("at", "concat", "length", "erase")):
        case "at":
            grow.add("SequenceAt", [items, grow.constant(np.array(0, np.int64))], types=[type_])
        case "concat":
            grow.add("ConcatFromSequence", [items], types=[Type(F32, (None, *type_.dims[1:]))], axis=0)
        case "length":
            grow.add("SequenceLength", [items], types=[Type(I64, ())])
        case _:
            (rest,) = grow.add("SequenceErase", [items], types=[_NO_RANK])
            grow.add("SequenceAt", [rest, grow.constant(np.array(-1, np.int64))], types=[type_])


def _split_sequence(grow: Growing) -> None:
    source = grow.pick((F32,), (1, 3))
    type_ = grow.values[source]
    (items,) = grow.add("SplitToSequence", [source], types=[_NO_RANK], axis=0, keepdims=1)
    grow.add("ConcatFromSequence", [items], types=[type_], axis=0)


def _empty_sequence(grow: Growing) -> None:
    (items,) = grow.add("SequenceEmpty", [], types=[_NO_RANK])
    grow.add("SequenceLength", [items], types=[Type(I64, ())])


def _optional(grow: Growing) -> None:
    source = grow.pick((F32,))
    (held,) = grow.add("Optional", [source], types=[_NO_RANK])
    if grow.chance(0.5):
        grow.add("OptionalHasElement", [held], types=[Type(BOOL, ())])
    grow.add("OptionalGetElement", [held], types=[grow.values[source]])


def _strings(op_type: str, grow: Growing) -> None:
    words = np.array(["one", "zwö", ""], dtype=object)
    name = grow.constant(words)
    match op_type:
        case "RegexFullMatch":
            grow.add(op_type, [name], pattern="o.*")
        case "StringConcat":
            (joined,) = grow.add(op_type, [name, name])
            grow.add("RegexFullMatch", [joined], pattern="one.*")
        case "StringSplit":
            grow.add(op_type, [name], outputs=2, types=[Type(STRING, None), Type(I64, (3,))], delimiter="n")
        case _:
            (lower,) = grow.add(op_type, [name], types=[Type(STRING, (3,))], case_change_action="UPPER", locale="C")
            grow.add("RegexFullMatch", [lower], types=[Type(BOOL, (3,))], pattern="O.*")


def _learned(op_type: str, grow: Growing) -> None:
    """An operator of ``ai.onnx.ml``."""
    source = grow.pick((F32,), (2, 2), lambda type_: isinstance(type_.dims[1], int) and type_.dims[1] > 0)
    dims = grow.values[source].dims
    width = dims[1]
    if not isinstance(width, int):
        raise RefusedError("no size")
    match op_type:
        case "Scaler":
            grow.add(
                op_type,
                [source],
                domain="ai.onnx.ml",
                types=[Type(F32, dims)],
                offset=[0.5] * width,
                scale=[2.0] * width,
            )
        case "Imputer":
            numbers: dict[str, Any] = {"imputed_value_floats": [1.0] * width, "replaced_value_float": 0.0}
            grow.add(op_type, [source], domain="ai.onnx.ml", types=[Type(F32, dims)], **numbers)
        case "LinearRegressor":
            numbers = {"coefficients": [0.5] * width, "intercepts": [1.0]}
            grow.add(op_type, [source], domain="ai.onnx.ml", types=[Type(F32, (dims[0], 1))], **numbers)
        case "ArrayFeatureExtractor":
            picked = grow.constant(np.array([0], np.int64))
            grow.add(op_type, [source, picked], domain="ai.onnx.ml", types=[Type(F32, (dims[0], 1))])
        case "LabelEncoder":
            (rounded,) = grow.add("Cast", [source], to=I64)
            pairs: dict[str, Any] = {"keys_int64s": [0, 1], "values_floats": [5.0, 6.0], "default_float": -1.0}
            grow.add(op_type, [rounded], domain="ai.onnx.ml", types=[Type(F32, dims)], **pairs)
        case _:
            norm = "L2" if op_type == "Normalizer" else None
            threshold = 0.5 if op_type == "Binarizer" else None
            grow.add(op_type, [source], domain="ai.onnx.ml", types=[Type(F32, dims)], norm=norm, threshold=threshold)


def _dead(grow: Growing) -> None:
    """Nodes that nobody will use: their values are forgotten."""
    held, made = dict(grow.values), list(grow.made)
    source = grow.pick((F32, I64))
    kind = numpy_type(grow.values[source].dtype)
    for _ in range(grow.between(1, 2)):
        grow.add("Mul", [source, grow.constant(np.array(2, kind))])
    known = {name: grow.values[name] for name in (*grow.inputs, *grow.constants) if name in grow.values}
    grow.values, grow.made = {**held, **known}, made


def _same(grow: Growing) -> None:
    """The same node twice."""
    source = grow.pick((F32,))
    op_type = str(grow.one_of(("Tanh", "Relu", "Exp")))
    one, two = (grow.add(op_type, [source])[0] for _ in range(2))
    grow.add("Add", [one, two])


ROWS: Final[Mapping[str, Row]] = {
    "If": _if,
    "Loop": _loop,
    "Scan": _scan,
    "function": _function,
    "SequenceConstruct": _sequence,
    "SplitToSequence": _split_sequence,
    "SequenceEmpty": _empty_sequence,
    "Optional": _optional,
    **{name: partial(_strings, name) for name in ("RegexFullMatch", "StringConcat", "StringSplit", "StringNormalizer")},
    **{
        name: partial(_learned, name)
        for name in (
            "Scaler",
            "Imputer",
            "LinearRegressor",
            "ArrayFeatureExtractor",
            "LabelEncoder",
            "Normalizer",
            "Binarizer",
        )
    },
    "dead": _dead,
    "same": _same,
}
"""Rows by operator; a name in small letters is a group of nodes."""
