"""The two sides of a substitution as ONNX models, and whether they compute the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from bench.agreement import array_error
from bench.sizes import Shape, Sizes
from bench.substitutions import Application, Operation, Port, Substitution

OPSET: Final = 18

TOLERANCE: Final = 1e-9
"""Largest difference of two float64 results, relative to the largest number, that rounding explains."""

NAMES: Final[Mapping[Operation, str]] = {
    Operation.MATMUL: "MatMul",
    Operation.CONCAT: "Concat",
    Operation.SPLIT: "Split",
    Operation.ADD: "Add",
    Operation.MUL: "Mul",
    Operation.CONV: "Conv",
    Operation.RELU: "Relu",
}
"""ONNX's operator for each of TASO's."""


def models(
    substitution: Substitution, sizes: Sizes, element_type: int = TensorProto.FLOAT
) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Return source and target as models: every free input is an input, and the outputs are those that correspond.

    Args:
        substitution: The substitution.
        sizes: Sizes that fit it.
        element_type: ONNX's number of the type of all tensors.
    """
    sources, targets = zip(*substitution.outputs, strict=True)
    return (
        _model(substitution.source, sizes.free, sizes.source, sources, element_type),
        _model(substitution.target, sizes.free, sizes.target, targets, element_type),
    )


def _model(
    applications: tuple[Application, ...],
    free: Mapping[Port, Shape],
    computed: Mapping[Port, Shape],
    outputs: tuple[Port, ...],
    element_type: int,
) -> onnx.ModelProto:
    shapes = {**free, **computed}
    nodes = []
    for index, application in enumerate(applications):
        ports = [Port(index, output) for output in range(application.num_outputs)]
        inputs = [str(port) for port in application.inputs]
        if application.operation is Operation.SPLIT:
            inputs.append(f"sizes{index}")
            pieces = [shapes[port][application.axis] for port in ports]
            nodes.append(helper.make_node("Constant", [], inputs[1:], value_ints=pieces))
        results = [f"{port}.linear" if application.has_relu else str(port) for port in ports]
        nodes.append(
            helper.make_node(NAMES[application.operation], inputs, results, **_attributes(application, shapes))
        )
        if application.has_relu:
            nodes.append(helper.make_node("Relu", results, [str(port) for port in ports]))
    graph = helper.make_graph(
        nodes,
        "side",
        [helper.make_tensor_value_info(str(port), element_type, shape) for port, shape in sorted(free.items())],
        [helper.make_tensor_value_info(str(port), element_type, shapes[port]) for port in outputs],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def _attributes(application: Application, shapes: Mapping[Port, Shape]) -> dict[str, Any]:
    match application.operation:
        case Operation.CONCAT | Operation.SPLIT:
            return {"axis": application.axis}
        case Operation.CONV:
            image, weight = (shapes[port] for port in application.inputs)
            return {"pads": [size // 2 for size in application.kernel] * 2, "group": image[1] // weight[1]}
        case _:
            return {}


def error(substitution: Substitution, sizes: Sizes, rng: np.random.Generator) -> float:
    """Return the largest difference of any output in float64, relative to its largest number, for random inputs."""
    feeds = {str(port): rng.standard_normal(shape) for port, shape in sizes.free.items()}
    source, target = (
        ReferenceEvaluator(model).run(None, feeds) for model in models(substitution, sizes, TensorProto.DOUBLE)
    )
    return max(array_error(np.asarray(left), np.asarray(right)) for left, right in zip(source, target, strict=True))
