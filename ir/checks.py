"""What must hold of a model before anything is made of it: its version is known, and its names fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import onnx
import onnx.defs

from ir.errors import InvalidModelError, UnsupportedModelError

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_DOMAINS: Final = frozenset({"", "ai.onnx"})
"""The two names of ONNX's own operators."""


def check_model(path: Path, model: onnx.ModelProto) -> None:
    """Check what this package relies on; what it cannot rely on may still run.

    Raises:
        InvalidModelError: The file is no ONNX model at all, or names an opset that cannot be.
        UnsupportedModelError: Its names do not fit, it is too new, or it has no output.
    """
    if not model.ir_version or not model.HasField("graph"):
        raise InvalidModelError(f"{path}: not an ONNX model")
    if model.ir_version > onnx.IR_VERSION:
        raise UnsupportedModelError(f"{path}: IR version {model.ir_version} is not known (up to {onnx.IR_VERSION} are)")
    _check_opsets(path, model)
    if not model.graph.output:
        raise UnsupportedModelError(f"{path}: the graph has no output")
    for node in all_nodes(model):
        for attribute in node.attribute:
            _check_attribute(path, node, attribute)
    for function in model.functions:
        _check_defined(path, free_names(path, _body(function)))
    _check_defined(path, free_names(path, model.graph))


def _body(function: onnx.FunctionProto) -> onnx.GraphProto:
    """A function as a graph, as far as names go."""
    inputs, outputs = (
        [onnx.ValueInfoProto(name=name) for name in names] for names in (function.input, function.output)
    )
    return onnx.GraphProto(node=function.node, input=inputs, output=outputs)


def _check_defined(path: Path, undefined: dict[str, None]) -> None:
    if undefined:
        raise UnsupportedModelError(f"{path}: {next(iter(undefined))!r} is used and never defined")


def _check_attribute(path: Path, node: onnx.NodeProto, attribute: onnx.AttributeProto) -> None:
    """Check that an attribute holds what it says it is."""
    field = _FIELDS.get(attribute.type)
    if field is not None and not attribute.ref_attr_name and not attribute.HasField(field):
        raise UnsupportedModelError(f"{path}: attribute {attribute.name!r} of a {node.op_type} holds nothing")


_FIELDS: Final = {
    onnx.AttributeProto.TENSOR: "t",
    onnx.AttributeProto.GRAPH: "g",
    onnx.AttributeProto.SPARSE_TENSOR: "sparse_tensor",
    onnx.AttributeProto.TYPE_PROTO: "tp",
}
"""Where a single message of each type of attribute stands; other types may be empty."""


def all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Return every node of a model, those of subgraphs and functions included."""
    pending = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while pending:
        node = pending.pop()
        yield node
        for graph in subgraph_protos(node):
            pending.extend(graph.node)


def _check_opsets(path: Path, model: onnx.ModelProto) -> None:
    if not model.opset_import:
        raise UnsupportedModelError(f"{path}: the model imports no operator set")
    newest = onnx.defs.onnx_opset_version()
    for entry in model.opset_import:
        if entry.domain in DEFAULT_DOMAINS and entry.version < 1:
            raise InvalidModelError(f"{path}: there is no opset {entry.version}")
        if entry.domain in DEFAULT_DOMAINS and entry.version > newest:
            raise UnsupportedModelError(f"{path}: opset {entry.version} is not known (up to {newest} are)")


def all_graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """Return the main graph and every subgraph of a model, those of functions included."""
    yield model.graph
    for node in all_nodes(model):
        yield from subgraph_protos(node)


def free_names(path: Path, graph: onnx.GraphProto) -> dict[str, None]:
    """Return the names that a graph uses and does not define, subgraphs included.

    Raises:
        UnsupportedModelError: A name is defined twice, or missing.
    """
    inputs = [value.name for value in graph.input]
    initializers = [tensor.name for tensor in graph.initializer]
    initializers += [tensor.values.name for tensor in graph.sparse_initializer]
    made = [name for node in graph.node for name in node.output if name]
    _check_unique(path, inputs)
    _check_unique(path, initializers)
    _check_unique(path, [*dict.fromkeys((*inputs, *initializers)), *made])
    if not all(inputs) or not all(initializers) or not all(value.name for value in graph.output):
        raise UnsupportedModelError(f"{path}: an input, output or initializer has no name")
    used = [name for node in graph.node for name in node.input if name]
    for node in graph.node:
        for inner in subgraph_protos(node):
            used.extend(free_names(path, inner))
    used.extend(value.name for value in graph.output)
    defined = {*inputs, *initializers, *made}
    return {name: None for name in used if name not in defined}


def subgraph_protos(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Return the graphs among a node's attributes."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            yield from attribute.graphs


def _check_unique(path: Path, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UnsupportedModelError(f"{path}: {name!r} is defined twice")
        seen.add(name)
