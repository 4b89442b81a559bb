"""Models as exporters write them, small."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from tests.pipeline.models import Value, make, node, weights


def scalar(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def transformer_block(batch: int | str = 2, length: int = 16, width: int = 32, heads: int = 4) -> onnx.ModelProto:
    """Attention, two residual sums with layer norms, and an erf-GELU between two dense layers: opset 18."""
    head = width // heads
    constants: dict[str, np.ndarray] = {
        "split_heads": np.array([0, length, heads, head], np.int64),
        "join_heads": np.array([0, length, width], np.int64),
        "scale": scalar(head**0.5),
        "root_two": scalar(1.4142135),
        "one": scalar(1.0),
        "half": scalar(0.5),
    }
    nodes: list[onnx.NodeProto] = []

    def dense(source: str, name: str, rows: int, columns: int) -> str:
        constants[f"{name}.weight"] = 0.1 * weights(rows, columns, seed=len(constants))
        constants[f"{name}.bias"] = 0.1 * weights(columns, seed=len(constants))
        nodes.append(node("MatMul", f"{source} {name}.weight", f"{name}/product"))
        nodes.append(node("Add", f"{name}.bias {name}/product", f"{name}/sum"))
        return f"{name}/sum"

    def norm(source: str, name: str) -> str:
        constants[f"{name}.scale"] = 1 + 0.1 * weights(width, seed=len(constants))
        constants[f"{name}.shift"] = 0.1 * weights(width, seed=len(constants))
        nodes.append(
            node("LayerNormalization", f"{source} {name}.scale {name}.shift", f"{name}/out", axis=-1, epsilon=1e-12)
        )
        return f"{name}/out"

    for name, perm in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
        nodes.append(node("Reshape", f"{dense('x', name, width, width)} split_heads", f"{name}/heads"))
        nodes.append(node("Transpose", f"{name}/heads", f"{name}/ready", perm=perm))
    nodes += [
        node("MatMul", "query/ready key/ready", "scores"),
        node("Div", "scores scale", "scaled"),
        node("Softmax", "scaled", "shares", axis=-1),
        node("MatMul", "shares value/ready", "context"),
        node("Transpose", "context", "context/back", perm=[0, 2, 1, 3]),
        node("Reshape", "context/back join_heads", "context/joined"),
    ]
    nodes.append(node("Add", f"{dense('context/joined', 'output', width, width)} x", "residual"))
    first = norm("residual", "norm1")
    inner = dense(first, "up", width, 2 * width)
    nodes += [
        node("Div", f"{inner} root_two", "gelu/div"),
        node("Erf", "gelu/div", "gelu/erf"),
        node("Add", "gelu/erf one", "gelu/add"),
        node("Mul", f"{inner} gelu/add", "gelu/mul"),
        node("Mul", "gelu/mul half", "gelu"),
    ]
    nodes.append(node("Add", f"{dense('gelu', 'down', 2 * width, width)} {first}", "residual2"))
    nodes.append(node("Identity", norm("residual2", "norm2"), "y"))
    shape: list[int | str] = [batch, length, width]
    return make(nodes, [("x", shape)], [("y", shape)], constants)


def conditional() -> onnx.ModelProto:
    """``If`` that captures a value in the middle of a chain, and more of the chain behind it."""

    def branch(name: str, operator: str) -> onnx.GraphProto:
        value = onnx.helper.make_tensor_value_info(f"{name}/out", onnx.TensorProto.FLOAT, [2, 3])
        return onnx.helper.make_graph([node(operator, "middle", f"{name}/out")], name, [], [value])

    nodes = [
        node("Neg", "x", "a"),
        node("Neg", "a", "b"),
        node("Relu", "b", "middle"),
        node("ReduceSum", "x", "total", keepdims=0),
        node("Greater", "total zero", "is_positive"),
        node("If", "is_positive", "c", then_branch=branch("then", "Exp"), else_branch=branch("else", "Tanh")),
        node("Neg", "c", "d"),
        node("Neg", "d", "y"),
    ]
    shape: Value = ("x", [2, 3])
    return make(nodes, [shape], [("y", [2, 3])], {"zero": scalar(0.0)})


def loop() -> onnx.ModelProto:
    """``Loop`` that doubles a value three times, between two pairs of negations."""
    body = onnx.helper.make_graph(
        [node("Add", "state state", "doubled"), node("Identity", "going", "still")],
        "body",
        [
            onnx.helper.make_tensor_value_info("step", onnx.TensorProto.INT64, []),
            onnx.helper.make_tensor_value_info("going", onnx.TensorProto.BOOL, []),
            onnx.helper.make_tensor_value_info("state", onnx.TensorProto.FLOAT, [2, 3]),
        ],
        [
            onnx.helper.make_tensor_value_info("still", onnx.TensorProto.BOOL, []),
            onnx.helper.make_tensor_value_info("doubled", onnx.TensorProto.FLOAT, [2, 3]),
        ],
    )
    nodes = [
        node("Neg", "x", "a"),
        node("Neg", "a", "b"),
        node("Loop", "count always b", "c", body=body),
        node("Neg", "c", "d"),
        node("Neg", "d", "y"),
    ]
    constants = {"count": np.array(3, np.int64), "always": np.array(True)}
    return make(nodes, [("x", [2, 3])], [("y", [2, 3])], constants)
