"""A drawn graph as an ONNX file, for what needs one: measurements from end to end, other tools, a look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ir.micro_model import MicroNode, micro_model

if TYPE_CHECKING:
    from pathlib import Path

    from ir.graph import Graph


def save(graph: Graph, path: Path) -> None:
    """Write a graph; its outputs are the values that no node reads, and all values get new names.

    Args:
        graph: A graph without symbolic dimensions.
        path: The file.

    Raises:
        UnwritableError: A node cannot be written at the graph's opset.
    """
    numbers: dict[str, int] = {}

    def number(name: str) -> int:
        return numbers.setdefault(name, len(numbers))

    inputs = {number(name): graph.types[name] for name in graph.inputs}
    constants = {number(name): constant.numpy() for name, constant in graph.constants.items()}
    nodes = [
        MicroNode(
            operator=node.operator,
            attributes=node.attributes,
            inputs=tuple(number(name) if name else None for name in node.inputs),
            outputs=tuple(number(name) for name in node.outputs),
        )
        for node in graph.nodes
    ]
    path.write_bytes(micro_model(nodes, inputs, constants, graph.opset).proto)
