"""What a model's :class:`~ir.graph.Graph` does not say: the kinds of its inputs, and whether it is random."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import onnx_ir

from ir.data_types import numpy_dtype

if TYPE_CHECKING:
    from ir.graph import Graph, Node

__all__ = ["input_names", "numpy_dtype", "op_type", "optional_inputs", "tensor_dtype", "unseeded_random_operators"]

_RANDOM: Final = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"},
)


def tensor_dtype(graph: Graph, name: str) -> int | None:
    """Return the element type of a graph input; None where it is no dense tensor, or states no type."""
    for value in graph.model.graph.inputs:
        if value.name == name and isinstance(value.type, onnx_ir.TensorType):
            return int(value.type.dtype) or None
    return None


def optional_inputs(graph: Graph) -> frozenset[str]:
    """Return the inputs that have a default, which a caller may leave out."""
    return frozenset(name for name in graph.inputs if name in graph.model.graph.initializers)


def op_type(node: Node) -> str:
    """Return a node's operator as the model writes it, whether the table knows it or not."""
    return node.operator if node.source is None else node.source.op_type


def input_names(node: Node) -> tuple[str, ...]:
    """Return a node's inputs as the model writes them, those that the normal form has as attributes included."""
    if node.source is None or node.is_opaque:
        return node.inputs
    return tuple("" if value is None else value.name or "" for value in node.source.inputs)


def unseeded_random_operators(graph: Graph) -> tuple[str, ...]:
    """Return the operators that give another result in every session, subgraphs and functions included."""
    found: dict[str, None] = {}
    for node in _all_nodes(graph.model):
        is_random = node.op_type in _RANDOM and node.domain in {"", "ai.onnx"}
        if (is_random or _is_training_dropout(node)) and "seed" not in node.attributes:
            found[node.op_type] = None
    return tuple(found)


def _all_nodes(model: onnx_ir.Model) -> Iterator[onnx_ir.Node]:
    yield from model.graph.all_nodes()
    for function in model.functions.values():
        yield from function.all_nodes()


def _is_training_dropout(node: onnx_ir.Node) -> bool:
    """True where training mode is on, or is computed and might be."""
    if node.op_type != "Dropout" or len(node.inputs) < 3 or node.inputs[2] is None:
        return False
    constant = onnx_ir.convenience.get_const_tensor(node.inputs[2])
    return constant is None or bool(constant.numpy().any())
