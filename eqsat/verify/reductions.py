"""How many elements an operator adds up for one element of its result."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from ir.graph import Node
from ir.interface import op_type

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """Static shapes around a node; empty where nothing is known.

    Attributes:
        inputs: Of its inputs.
        output: Of its first output.
    """

    inputs: tuple[Shape, ...]
    output: Shape

    def input(self, position: int) -> Shape:
        """Return the shape of an input, empty where it is missing."""
        return self.inputs[position] if position < len(self.inputs) else ()


def reduction_length(node: Node, shapes: Shapes) -> int:
    """Return how many elements ``node`` adds up; 1 where it adds up nothing.

    A node that nothing is known of counts as a reduction over its largest dimension.
    """
    kind = op_type(node)
    if kind.startswith("Reduce"):
        return max(_ratio(node, shapes), 1)
    found = _LENGTHS.get(kind)
    if found is not None:
        return max(found(node, shapes), 1)
    return max(_largest(node, shapes), 1) if node.is_opaque else 1


def _ratio(node: Node, shapes: Shapes) -> int:
    """Elements before, for each one after."""
    del node
    return math.prod(shapes.input(0)) // max(math.prod(shapes.output), 1)


def _last(node: Node, shapes: Shapes) -> int:
    del node
    return max(shapes.input(0)[-1:], default=1)


def _largest(node: Node, shapes: Shapes) -> int:
    del node
    return max((dim for shape in shapes.inputs for dim in shape), default=1)


def _gemm(node: Node, shapes: Shapes) -> int:
    axis = 0 if node.attributes.get("transA", 0) else -1
    return max(shapes.input(0)[axis:][:1], default=1)


def _convolution(node: Node, shapes: Shapes) -> int:
    """Input channels of a group times the kernel."""
    weight = shapes.input(3 if op_type(node) == "QLinearConv" else 1)
    return math.prod(weight[1:])


def _transposed_convolution(node: Node, shapes: Shapes) -> int:
    del node
    weight = shapes.input(1)
    return math.prod(weight[:1] + weight[2:])


def _pooling(node: Node, shapes: Shapes) -> int:
    del shapes
    kernel = node.attributes.get("kernel_shape", ())
    return math.prod(kernel) if isinstance(kernel, tuple) else 1


def _spatial(node: Node, shapes: Shapes) -> int:
    del node
    return math.prod(shapes.input(0)[2:])


def _channels_and_spatial(node: Node, shapes: Shapes) -> int:
    del node
    return math.prod(shapes.input(0)[1:])


def _normalised(node: Node, shapes: Shapes) -> int:
    axis = node.attributes.get("axis", -1)
    return math.prod(shapes.input(0)[axis if isinstance(axis, int) else -1 :])


def _recurrence(node: Node, shapes: Shapes) -> int:
    """Every step adds up the inputs and the state, and rounds what the steps before it left."""
    steps = shapes.input(0)[1 if node.attributes.get("layout", 0) else 0 :][:1]
    return max(steps, default=1) * (_last(node, shapes) + max(shapes.input(2)[-1:], default=1))


def _attention(node: Node, shapes: Shapes) -> int:
    """The longer of the head's size and the number of keys."""
    del node
    return max((*shapes.input(0)[-1:], *shapes.input(1)[-2:]), default=1)


def _terms(node: Node, shapes: Shapes) -> int:
    del shapes
    return len(node.inputs)


def _window(node: Node, shapes: Shapes) -> int:
    del shapes
    size = node.attributes.get("size", 1)
    return size if isinstance(size, int) else 1


_LENGTHS: Final[Mapping[str, Callable[[Node, Shapes], int]]] = {
    **dict.fromkeys(("MatMul", "FusedMatMul", "MatMulInteger", "QLinearMatMul"), _last),
    **dict.fromkeys(("Softmax", "LogSoftmax", "CumSum"), _last),
    "Gemm": _gemm,
    **dict.fromkeys(("Conv", "ConvInteger", "QLinearConv"), _convolution),
    "ConvTranspose": _transposed_convolution,
    **dict.fromkeys(("AveragePool", "LpPool"), _pooling),
    **dict.fromkeys(("GlobalAveragePool", "GlobalLpPool", "InstanceNormalization"), _spatial),
    **dict.fromkeys(("GroupNormalization", "MeanVarianceNormalization"), _channels_and_spatial),
    **dict.fromkeys(("LayerNormalization", "LpNormalization", "RMSNormalization"), _normalised),
    **dict.fromkeys(("SimplifiedLayerNormalization", "SkipLayerNormalization"), _normalised),
    "SkipSimplifiedLayerNormalization": _normalised,
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrence),
    **dict.fromkeys(("Attention", "MultiHeadAttention"), _attention),
    "Einsum": _largest,
    **dict.fromkeys(("Sum", "Mean"), _terms),
    "LRN": _window,
}
