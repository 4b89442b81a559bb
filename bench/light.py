"""The ``light_*`` models that ship with the onnx package: the graphs of the 2017 model zoo without their weights.

In the files every weight is the output of a ConstantOfShape, all of them 0.02, so that each class gets the same
probability and no output could tell a right graph from a wrong one. Here each such node becomes an initializer with
random numbers, as in the zoo's own files, and nothing else changes: operators, opset 9 and IR version 3 stay.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx


class Role(StrEnum):
    """What a weight is to the node that reads it, hence how it is drawn."""

    KERNEL = "kernel"
    SCALE = "scale"
    BIAS = "bias"
    MEAN = "mean"
    VARIANCE = "variance"


BATCH_NORM_ROLES = (Role.SCALE, Role.BIAS, Role.MEAN, Role.VARIANCE)
"""The weights of BatchNormalization in the order of its inputs."""


def path_of(name: str) -> Path:
    """Return where the onnx package keeps the model ``name``, such as ``light_vgg19``."""
    import onnx.backend.test

    return Path(onnx.backend.test.__file__).parent / "data" / "light" / f"{name}.onnx"


def input_of(name: str) -> tuple[str, tuple[int, ...]]:
    """Return the name and the shape of the one input that is not a weight."""
    import onnx

    graph = onnx.load(path_of(name)).graph
    weights = {tensor.name for tensor in graph.initializer}
    (image,) = (value for value in graph.input if value.name not in weights)
    return image.name, tuple(dim.dim_value for dim in image.type.tensor_type.shape.dim)


def with_weights(name: str, *, seed: int) -> onnx.ModelProto:
    """Return the model with a random initializer in place of every ConstantOfShape.

    Kernels and matrices are normal with standard deviation sqrt(2 / fan_in), scales in [0.5, 1], variances in
    [0.75, 1.5], everything else normal with standard deviation 0.1.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path_of(name))
    graph = model.graph
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    rng = np.random.default_rng(seed)
    nodes, drawn, used = [], [], set()
    for node in graph.node:
        if node.op_type == "ConstantOfShape" and node.input[0] in shapes:
            used.add(node.input[0])
            shape = tuple(int(dim) for dim in shapes[node.input[0]])
            array = draw(rng, shape, role_of(graph, node.output[0]))
            drawn.append(numpy_helper.from_array(array, node.output[0]))
        else:
            nodes.append(node)
    kept = [tensor for tensor in graph.initializer if tensor.name not in used]
    inputs = [value for value in graph.input if value.name not in used]
    inputs.extend(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims) for tensor in drawn)
    for field, items in (("node", nodes), ("initializer", kept + drawn), ("input", inputs)):
        graph.ClearField(field)
        getattr(graph, field).extend(items)
    return model


def role_of(graph: onnx.GraphProto, name: str) -> Role:
    """Return what the weight ``name`` is to the node that reads it."""
    for node, position in readers(graph, name):
        if node.op_type in {"Unsqueeze", "Reshape"}:
            return role_of(graph, node.output[0])
        if node.op_type == "BatchNormalization":
            return BATCH_NORM_ROLES[position - 1]
        if node.op_type == "Mul":
            return Role.SCALE
        if node.op_type in {"Conv", "Gemm"} and position == 1:
            return Role.KERNEL
    return Role.BIAS


def readers(graph: onnx.GraphProto, name: str) -> Iterator[tuple[onnx.NodeProto, int]]:
    """Yield every node that reads ``name`` and the position of the input."""
    for node in graph.node:
        for position, read in enumerate(node.input):
            if read == name:
                yield node, position


def draw(rng: np.random.Generator, shape: tuple[int, ...], role: Role) -> np.ndarray:
    """Return a random float32 array of ``shape`` for a weight of the given role."""
    match role:
        case Role.KERNEL:
            std = np.float32((2.0 / float(np.prod(shape[1:]))) ** 0.5)
            return rng.standard_normal(shape, dtype=np.float32) * std
        case Role.SCALE:
            return rng.uniform(0.5, 1.0, shape).astype(np.float32)
        case Role.VARIANCE:
            return rng.uniform(0.75, 1.5, shape).astype(np.float32)
        case Role.BIAS | Role.MEAN:
            return rng.normal(0.0, 0.1, shape).astype(np.float32)
