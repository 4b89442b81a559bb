"""What stands in the subgraphs of a model, for whoever follows a value across their borders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir

from ir.graph import Constant
from ir.normalise import opaque
from ir.types import TensorType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ir.graph import Graph, Node

_UNKNOWN: int = -1
"""Stands for a dimension of an inner value that is no number; no symbol has this id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nested:
    """The inside of all subgraphs of a model, branches and bodies together.

    Attributes:
        nodes: Opaque, in the order of the file.
        constants: Constants among their inputs that the main graph does not have.
        types: Types of the inner values, as far as the file states them.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, Constant]
    types: Mapping[str, TensorType]


def nested(graph: Graph) -> Nested:
    """Return what stands in a model's subgraphs."""
    nodes: list[Node] = []
    constants: dict[str, Constant] = {}
    types: dict[str, TensorType] = {}
    for inner in graph.model.graph.subgraphs():
        for node in inner:
            nodes.append(opaque(node))
            for value in (*node.inputs, *node.outputs):
                if value is None or not value.name or value.name in graph.types or value.name in graph.constants:
                    continue
                tensor = onnx_ir.convenience.get_const_tensor(value)
                if tensor is not None and tensor.dtype != onnx_ir.DataType.STRING:
                    type_ = TensorType(int(tensor.dtype), tuple(int(dim) for dim in tensor.shape.numpy()))
                    constants[value.name] = Constant(name=value.name, type=type_, tensor=tensor)
                    types[value.name] = type_
                elif isinstance(value.type, onnx_ir.TensorType) and value.shape is not None:
                    dims = (dim if isinstance(dim, int) else _UNKNOWN for dim in value.shape)
                    types[value.name] = TensorType(int(value.type.dtype), tuple(dims))
    return Nested(nodes=tuple(nodes), constants=constants, types=types)
