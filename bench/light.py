"""The ``light_*`` models that ship with the onnx package: the graphs of the 2017 model zoo without their weights.

In the files every weight is the output of a ConstantOfShape, all of them 0.02, so that each class gets the same
probability and no output could tell a right graph from a wrong one. Here each such node becomes an initializer with
random numbers, as in the zoo's own files, and nothing else changes: operators, opset 9 and IR version 3 stay. The
statistics of batch norms are then measured on a random image, as training does: with invented ones a deep network
forgets its input on the way, and a wrong first layer could not be told from a right one.
"""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.gain import RELU_GAIN

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

    Kernels and matrices are normal with variance g / fan_in and zero mean for each output: the mean of what a ReLU
    lets through is the same for every image, and without batch norm it would drown the rest (Qiao et al. 2019, arXiv
    1903.10520, who also derive g = 2 / (1 - 1 / pi)). Scales are in [0.5, 1], biases normal with standard deviation
    0.1; means and variances are measured.
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
    measure_statistics(model, name, seed=seed)
    return model


def measure_statistics(model: onnx.ModelProto, name: str, *, seed: int) -> None:
    """Set mean and variance of every batch norm to those of its input for one random image, in place.

    One run does for all of them: with InstanceNormalization in its place, a batch norm of a single image normalises by
    the statistics of that image itself.
    """
    import onnxruntime
    from onnx import numpy_helper

    probe = type(model)()
    probe.CopyFrom(model)
    norms = [node for node in model.graph.node if node.op_type == "BatchNormalization"]
    if not norms:
        return
    for node in probe.graph.node:
        if node.op_type == "BatchNormalization":
            node.op_type = "InstanceNormalization"
            del node.input[3:]
            del node.attribute[:]
    probe.graph.ClearField("output")
    for node in norms:
        probe.graph.output.add().name = node.input[0]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    image, shape = input_of(name)
    found = session.run(None, {image: np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)})
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node, activations in zip(norms, found, strict=True):
        for weight, statistic in ((node.input[3], np.mean), (node.input[4], np.var)):
            measured = np.asarray(statistic(activations, axis=(0, 2, 3), dtype=np.float64), dtype=np.float32)
            weights[weight].CopyFrom(numpy_helper.from_array(measured, weight))


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
            num_out = next((dim for dim in shape if dim > 1), 1)  # one file keeps a matrix as [1, 1, out, in]
            rows = rng.standard_normal((num_out, math.prod(shape) // num_out), dtype=np.float32)
            rows -= rows.mean(axis=1, keepdims=True)
            return (rows * np.float32((RELU_GAIN / rows.shape[1]) ** 0.5)).reshape(shape)
        case Role.SCALE:
            return rng.uniform(0.5, 1.0, shape).astype(np.float32)
        case Role.BIAS:
            return rng.normal(0.0, 0.1, shape).astype(np.float32)
        case Role.MEAN | Role.VARIANCE:
            return np.ones(shape, np.float32)  # overwritten by measure_statistics
