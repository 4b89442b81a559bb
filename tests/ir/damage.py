"""Small models of many kinds, and ways to damage them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Final

import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from onnx import TensorProto, helper, numpy_helper

from tests.ir.graphs import BOOL, INT64, make_model, value

_RNG: Final = np.random.default_rng(5)


def _weights(*shape: int) -> np.ndarray:
    return _RNG.standard_normal(shape).astype(np.float32)


def _perceptron() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1, alpha=0.5),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("ReduceMean", ["r", "axes"], ["m"], keepdims=1),
        helper.make_node("Sub", ["r", "m"], ["d"]),
        helper.make_node("Softmax", ["d"], ["y"], axis=-1),
    ]
    weights = {"w": _weights(4, 3), "b": _weights(4), "axes": np.array([-1])}
    return make_model(nodes, [value("x", ["n", 3])], [value("y", ["n", 4])], weights)


def _convolutions() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], auto_pad="SAME_UPPER", strides=[2, 2]),
        helper.make_node("BatchNormalization", ["c", "s", "s", "s", "v"], ["n"], epsilon=1e-3),
        helper.make_node("MaxPool", ["n"], ["p", ""], kernel_shape=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Split", ["f", "sizes"], ["y", "z"], axis=1),
    ]
    weights = {"w": _weights(4, 2, 3, 3), "s": _weights(4), "v": np.abs(_weights(4)), "sizes": np.array([6, 10])}
    return make_model(nodes, [value("x", (1, 2, 6, 6))], [value("y", (1, 6)), value("z", (1, 10))], weights, opset=13)


def _control_flow() -> onnx.ModelProto:
    def branch(name: str, op_type: str) -> onnx.GraphProto:
        inner = numpy_helper.from_array(_weights(3), "k")
        nodes = [helper.make_node(op_type, ["x", "k"], [name])]
        return helper.make_graph(nodes, name, [], [value(name)], [inner])

    nodes = [
        helper.make_node("If", ["c"], ["i"], then_branch=branch("t", "Add"), else_branch=branch("e", "Mul")),
        helper.make_node("Shape", ["i"], ["s"]),
        helper.make_node("Constant", [], ["last"], value_ints=[-1]),
        helper.make_node("Gather", ["s", "last"], ["k"], axis=0),
        helper.make_node("TopK", ["i", "k"], ["y", "places"]),
    ]
    return make_model(nodes, [value("x"), value("c", (), BOOL)], [value("y", None), value("places", None, INT64)])


def _functions() -> onnx.ModelProto:
    scale = helper.make_attribute("scale", numpy_helper.from_array(_weights(3)))
    inner = helper.make_node("Constant", [], ["k"])
    inner.attribute.append(onnx.AttributeProto(name="value", ref_attr_name="scale", type=onnx.AttributeProto.TENSOR))
    function = helper.make_function(
        "d", "F", ["a"], ["b"], [inner, helper.make_node("Mul", ["a", "k"], ["b"])], [helper.make_opsetid("", 18)], [],
        [scale],
    )  # fmt: skip
    nodes = [
        helper.make_node("F", ["x"], ["h"], domain="d"),
        helper.make_node("Cast", ["h"], ["j"], to=TensorProto.FLOAT16),
        helper.make_node("DynamicQuantizeLinear", ["h"], ["q", "qs", "qz"]),
        helper.make_node("DequantizeLinear", ["q", "qs", "qz"], ["y"]),
    ]
    outputs = [value("y"), value("j", (2, 3), TensorProto.FLOAT16)]
    return make_model(nodes, [value("x")], outputs, domains=["d"], functions=[function])


def _recurrent() -> onnx.ModelProto:
    nodes = [
        helper.make_node("LSTM", ["x", "w", "r"], ["", "h"], hidden_size=2),
        helper.make_node("Squeeze", ["h", "zero"], ["s"]),
        helper.make_node("Clip", ["s", "", "one"], ["k"]),
        helper.make_node("Pad", ["k", "pads"], ["p"]),
        helper.make_node("Slice", ["p", "zero", "end", "zero"], ["y"]),
    ]
    weights: dict[str, np.ndarray] = {"w": _weights(1, 8, 3), "r": _weights(1, 8, 2), "one": np.float32(1)}  # type: ignore[dict-item]
    weights |= {name: np.array(numbers) for name, numbers in (("zero", [0]), ("end", [2]), ("pads", [0, 1, 1, 0]))}
    return make_model(nodes, [value("x", (3, 2, 3))], [value("y", (2, 3))], weights, opset=14)


MODELS: Final = tuple(make() for make in (_perceptron, _convolutions, _control_flow, _functions, _recurrent))
"""Every one runs in ONNX Runtime."""


def damaged(model: onnx.ModelProto, rng: np.random.Generator) -> bytes:
    """Return the bytes of a model with one to three faults: cut, flipped, or with fields changed or exchanged."""
    kind = rng.integers(6)
    if kind == 0:
        data: bytes = model.SerializeToString()
        return data[: rng.integers(1, len(data))]
    if kind <= 2:
        changed = bytearray(model.SerializeToString())
        for position in rng.integers(0, len(changed), size=rng.integers(1, 4)):
            changed[position] = rng.integers(256) if kind == 1 else changed[position] ^ (1 << rng.integers(8))
        return bytes(changed)
    broken = copy.deepcopy(model)
    for _ in range(rng.integers(1, 3)):
        places = list(_places(broken))
        message, field = places[rng.integers(len(places))]
        _change(message, field, rng, places)
    return bytes(broken.SerializeToString())


def _places(message: Message) -> Iterator[tuple[Message, FieldDescriptor]]:
    """Every field that is set, with the message that has it."""
    for field, content in message.ListFields():
        yield message, field
        if field.message_type is not None:
            for inner in [content] if isinstance(content, Message) else content:
                yield from _places(inner)


def _change(
    message: Message,
    field: FieldDescriptor,
    rng: np.random.Generator,
    places: list[tuple[Message, FieldDescriptor]],
) -> None:
    """Clear a field, or give it a hostile value, the value of a field of its kind elsewhere, or one element less."""
    content = getattr(message, field.name)
    others = [
        getattr(each, other.name)
        for each, other in places
        if other.cpp_type == field.cpp_type and other.message_type is field.message_type
    ]
    other = others[rng.integers(len(others))]
    is_single = isinstance(content, (Message, int, float, str, bytes))
    choice = rng.integers(3)
    if choice == 0:
        message.ClearField(field.name)
    elif not is_single:
        if choice == 1:
            del content[rng.integers(len(content))]
        else:
            content.append(content[rng.integers(len(content))])
    elif isinstance(content, Message):
        if type(other) is type(content):
            content.CopyFrom(copy.deepcopy(other))  # it may hold the very message that it replaces
    elif isinstance(content, (str, bytes)):
        text = other if type(other) is type(content) else content
        setattr(message, field.name, text if choice == 1 else content[: len(content) // 2])
    elif field.cpp_type in {FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64}:
        hostile = (-1, 0, 1, 2, 7, 99, 2**31 - 1, -(2**31))
        setattr(message, field.name, int(hostile[rng.integers(len(hostile))]))
