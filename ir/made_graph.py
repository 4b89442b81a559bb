"""Graphs that come from no file: made up node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import onnx_ir

from ir.graph import Constant, Graph
from ir.node_model import type_of

if TYPE_CHECKING:
    import numpy as np

    from ir.graph import Node
    from ir.types import Symbols, TensorType

_IR_VERSION = 10


def made_constant(name: str, array: np.ndarray) -> Constant:
    """Return an array as a constant."""
    return Constant(name=name, type=type_of(array), tensor=onnx_ir.tensor(array, name=name))


def made_graph(
    inputs: Sequence[str],
    outputs: Sequence[str],
    nodes: Sequence[Node],
    constants: Mapping[str, Constant],
    types: Mapping[str, TensorType],
    *,
    opset: int,
    symbols: Symbols,
) -> Graph:
    """Return a graph of these nodes; no model stands behind it, so it cannot be written back as one.

    Args:
        inputs: Names of the inputs.
        outputs: Names of the outputs.
        nodes: In topological order.
        constants: Initializers by name.
        types: Types of all values.
        opset: Version of the default domain.
        symbols: The interner behind the types.
    """
    model = onnx_ir.Model(onnx_ir.Graph([], [], nodes=[], opset_imports={"": opset}), ir_version=_IR_VERSION)
    return Graph(
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        nodes=tuple(nodes),
        constants=constants,
        types=types,
        opsets={"": opset, "com.microsoft": 1},
        symbols=symbols,
        model=model,
    )
