"""Names across the borders of subgraphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir

if TYPE_CHECKING:
    from collections.abc import Iterator


def captured_values(node: onnx_ir.Node) -> tuple[str, ...]:
    """Return the names of outer values that the subgraphs of ``node`` use, in order of first use."""
    return tuple(dict.fromkeys(name for graph in subgraphs(node) for name in _free_names(graph)))


def subgraphs(node: onnx_ir.Node) -> Iterator[onnx_ir.Graph]:
    """Return the graphs among a node's attributes."""
    for attribute in node.attributes.values():
        yield from attribute_graphs(attribute)


def attribute_graphs(attribute: onnx_ir.Attr) -> Iterator[onnx_ir.Graph]:
    """Return the graphs that an attribute holds."""
    if attribute.is_ref():
        return
    if attribute.type == onnx_ir.AttributeType.GRAPH:
        yield attribute.as_graph()
    elif attribute.type == onnx_ir.AttributeType.GRAPHS:
        yield from attribute.as_graphs()


def _free_names(graph: onnx_ir.Graph) -> list[str]:
    """The names that a graph uses and does not define."""
    defined = {value.name for value in graph.inputs} | set(graph.initializers)
    used: dict[str, None] = {}
    for node in graph:
        defined.update(value.name for value in node.outputs)
        used.update(dict.fromkeys(value.name for value in node.inputs if value is not None and value.name))
        used.update(dict.fromkeys(captured_values(node)))
    used.update(dict.fromkeys(value.name for value in graph.outputs if value.name))
    return [name for name in used if name not in defined]


def value_names(graph: onnx_ir.Graph) -> frozenset[str]:
    """Return every name that a graph and its subgraphs use: a new value must have another one."""
    names = {value.name for value in graph.inputs} | set(graph.initializers)
    for node in graph.all_nodes():
        names.update(value.name for value in (*node.inputs, *node.outputs) if value is not None)
    for inner in graph.subgraphs():
        names.update(value.name for value in inner.inputs)
        names.update(inner.initializers)
    return frozenset(name for name in names if name)
