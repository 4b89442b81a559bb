"""Small models for the tests of the runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from collections.abc import Sequence


def model_bytes(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    initializers: Sequence[onnx.TensorProto] = (),
) -> bytes:
    """Return a serialised model that ONNX Runtime 1.31 reads."""
    graph = helper.make_graph(list(nodes), "test", list(inputs), list(outputs), list(initializers))
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return bytes(model.SerializeToString())


def floats(name: str, *shape: int) -> onnx.ValueInfoProto:
    """Return a float value."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def weight(name: str, *shape: int, seed: int = 0) -> onnx.TensorProto:
    """Return random weights."""
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return onnx.numpy_helper.from_array(values, name)


def matmul(prefix: str = "", size: int = 32, seed: int = 0) -> bytes:
    """Return Relu(x W) on [8, size], all inner names starting with ``prefix``."""
    w, h = f"{prefix}w", f"{prefix}h"
    nodes = [
        helper.make_node("MatMul", ["x", w], [h], name=f"{prefix}multiply"),
        helper.make_node("Relu", [h], ["y"], name=f"{prefix}relu"),
    ]
    return model_bytes(nodes, [floats("x", 8, size)], [floats("y", 8, size)], [weight(w, size, size, seed=seed)])


def matmul_feeds(size: int = 32) -> dict[str, np.ndarray]:
    """Return an input for :func:`matmul`."""
    return {"x": np.random.default_rng(1).standard_normal((8, size)).astype(np.float32)}


def identity(data_type: int) -> bytes:
    """Return y = x for two elements of a type."""
    x = helper.make_tensor_value_info("x", data_type, [2])
    y = helper.make_tensor_value_info("y", data_type, [2])
    return model_bytes([helper.make_node("Identity", ["x"], ["y"])], [x], [y])


def conv() -> bytes:
    """Return a convolution that ONNX Runtime runs in its blocked layout on CPU."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    return model_bytes([node], [floats("x", 1, 32, 8, 8)], [floats("y", 1, 32, 8, 8)], [weight("w", 32, 32, 3, 3)])


def crashing() -> bytes:
    """Return a model that kills onnxruntime 1.31.1: it divides by (int32) 2^32 = 0."""
    node = helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=2**32)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    return model_bytes([node], [floats("x", 1, 4, 2, 2)], [y])


def endless() -> bytes:
    """Return a Loop that goes on for 2^62 rounds."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["keep_in"], ["keep"]), helper.make_node("Neg", ["a_in"], ["a"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("keep_in", TensorProto.BOOL, []),
            floats("a_in", 1),
        ],
        [helper.make_tensor_value_info("keep", TensorProto.BOOL, []), floats("a", 1)],
    )
    count = onnx.numpy_helper.from_array(np.array(2**62, dtype=np.int64), "count")
    yes = onnx.numpy_helper.from_array(np.array(True), "yes")
    node = helper.make_node("Loop", ["count", "yes", "x"], ["y"], body=body)
    return model_bytes([node], [floats("x", 1)], [floats("y", 1)], [count, yes])
