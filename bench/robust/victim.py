"""A small model that is optimised in seconds, for runs that are disturbed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZES = (1, 32, 24, 24)


def model() -> onnx.ModelProto:
    """Return the model: a local response normalisation, which this project makes much faster, and a few products."""
    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal((16, 16)).astype(np.float32) / 4 for name in ("v", "w")}
    nodes = [
        helper.make_node("LRN", ["x"], ["y"], size=5, alpha=1e-4, beta=0.75),
        helper.make_node("MatMul", ["z", "v"], ["a"]),
        helper.make_node("MatMul", ["a", "w"], ["b"]),
        helper.make_node("Relu", ["b"], ["c"]),
    ]
    graph = helper.make_graph(
        nodes,
        "victim",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, SIZES),
            helper.make_tensor_value_info("z", TensorProto.FLOAT, [4, 16]),
        ],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, SIZES),
            helper.make_tensor_value_info("c", TensorProto.FLOAT, [4, 16]),
        ],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def write(path: Path) -> None:
    """Write the model to a file."""
    path.write_bytes(model().SerializeToString())


def feeds() -> dict[str, np.ndarray]:
    """Return inputs for it."""
    rng = np.random.default_rng(1)
    shapes = {"x": SIZES, "z": (4, 16)}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
