"""From a model file to a :class:`~ir.graph.Graph` in normal form."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import onnx_ir

from ir.checks import DEFAULT_DOMAINS
from ir.dimension_names import with_own_names
from ir.graph import Constant, Graph
from ir.model_types import infer_types
from ir.normal_form import value_name
from ir.normalise import Context, normalise, opaque
from ir.onnx_file import ModelFile, load_model
from ir.onnx_form import Surroundings, symbol_sources
from ir.serialised import held_names
from ir.subgraphs import captured_values, value_names
from ir.types import Symbols, TensorType
from ir.writer import is_writable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_FIRST_IR_WITH_CONSTANTS: Final = 4

MAX_RANK: Final = 8
"""Values of a higher rank have no type here, so the nodes around them are opaque."""


def read(source: Path | ModelFile, unequal: Collection[str] = ()) -> Graph:
    """Read a model file.

    Args:
        source: The file.
        unequal: Names of dimensions that are no equalities, whatever the model says: see
            :mod:`ir.dimension_names`.

    Raises:
        UnsupportedModelError: The model cannot be rewritten; a session tells whether it runs.
        InvalidModelError: The file is no ONNX model that can be read safely.
    """
    return graph_of(load_model(source), unequal)


def graph_of(model: onnx_ir.Model, unequal: Collection[str] = ()) -> Graph:
    """Return a model's main graph in normal form; functions and subgraphs stay in the opaque nodes they belong to.

    Args:
        model: The model.
        unequal: Names of dimensions that are no equalities.
    """
    symbols = Symbols()
    constants: dict[str, Constant] = {}
    held: dict[str, Constant] = {}
    types: dict[str, TensorType] = {}
    graph = model.graph
    opsets = {("" if domain == "ai.onnx" else domain): version for domain, version in model.opset_imports.items()}
    named = with_own_names(model, unequal)
    inferred = _value_table(infer_types(named).graph)
    for value in _values(named.graph):
        if value.name:
            merged = _merge(value, inferred.get(value.name), symbols)
            if merged is not None:
                types[value.name] = merged
    overridable = _overridable(model)
    names_held = held_names(model)
    for name, value in graph.initializers.items():
        if value.const_value is not None and name not in overridable:
            _add_constant(name, value.const_value, held if name in names_held else constants, types)
    held = {name: replace(constant, is_held=True) for name, constant in held.items()}
    inputs = tuple(value.name or "" for value in graph.inputs if value.name not in constants.keys() | held.keys())
    live = _live_nodes(graph)
    sources = symbol_sources(inputs, types)
    context = Context(
        types=types,
        constants=constants,
        opsets=opsets,
        backed_symbols=frozenset(sources),
        names=set(value_names(graph)),
        functions=frozenset((domain, name) for domain, name, _ in model.functions),
        used=frozenset(_names_used(graph, live)),
    )
    around = Surroundings(
        opset=opsets.get("", 1),
        type_of=types.get,
        constant=lambda name: constants[name].numpy() if name in constants else None,
        symbol_sources=sources,
    )
    nodes = []
    for node in live:
        tensor = _constant_node(node)
        output = node.outputs[0].name if node.outputs else None
        if tensor is not None and output:
            _add_constant(output, tensor, constants, types)
        else:
            normal = normalise(node, context)
            nodes.append(normal if normal.is_opaque or is_writable(normal, around) else opaque(node))
    return Graph(
        inputs=inputs,
        outputs=tuple(value.name or "" for value in graph.outputs),
        nodes=tuple(nodes),
        constants={**constants, **held},
        types=types,
        opsets=opsets,
        symbols=symbols,
        model=model,
    )


def _live_nodes(graph: onnx_ir.Graph) -> list[onnx_ir.Node]:
    """The nodes that an output of the graph hangs on, in order; no other node is ever run for its own sake."""
    needed = {value.name for value in graph.outputs}
    live: list[onnx_ir.Node] = []
    for node in reversed(graph):
        if any(value.name in needed for value in node.outputs if value.name):
            live.append(node)
            needed.update(value_name(value) for value in node.inputs)
            needed.update(captured_values(node))
    return live[::-1]


def _names_used(graph: onnx_ir.Graph, nodes: list[onnx_ir.Node]) -> Iterator[str]:
    yield from (value_name(value) for value in graph.outputs)
    for node in nodes:
        yield from (value_name(value) for value in node.inputs)
        yield from captured_values(node)


def _overridable(model: onnx_ir.Model) -> frozenset[str]:
    """Inputs with a default: a caller may give another value, so they are not constant.

    Before IR version 4 every initializer had to be an input, which says nothing.
    """
    if model.ir_version < _FIRST_IR_WITH_CONSTANTS:
        return frozenset()
    initializers = model.graph.initializers
    return frozenset(value.name for value in model.graph.inputs if value.name and value.name in initializers)


def _values(graph: onnx_ir.Graph) -> Iterator[onnx_ir.Value]:
    yield from graph.inputs
    yield from graph.initializers.values()
    for node in graph:
        yield from node.outputs


def _value_table(graph: onnx_ir.Graph) -> dict[str, onnx_ir.Value]:
    return {value.name: value for value in _values(graph) if value.name}


def _merge(stated: onnx_ir.Value, inferred: onnx_ir.Value | None, symbols: Symbols) -> TensorType | None:
    """What the file states and what inference finds; a number wins over a name, a stated name over a found one.

    Where the two contradict each other nothing is known.
    """
    both = [
        (value.dtype, tuple(value.shape))
        for value in (stated, inferred)
        if value is not None and isinstance(value.type, onnx_ir.TensorType) and value.dtype and value.shape is not None
    ]
    if not both or len({(dtype, len(shape)) for dtype, shape in both}) > 1 or len(both[0][1]) > MAX_RANK:
        return None
    dims: list[int] = []
    for entries in zip(*(shape for _, shape in both), strict=True):
        numbers = {entry for entry in entries if isinstance(entry, int) and entry >= 0}
        names = [str(entry.value) for entry in entries if not isinstance(entry, int) and entry.value]
        if len(numbers) > 1:
            return None
        if numbers:
            dims.append(numbers.pop())
        else:
            dims.append(symbols.intern(names[0]) if names else symbols.fresh())
    return TensorType(int(both[0][0]), tuple(dims))


def _constant_node(node: onnx_ir.Node) -> onnx_ir.TensorProtocol | None:
    """The tensor of a ``Constant`` node; None for every other node and for constants that are no tensor of numbers."""
    if node.op_type != "Constant" or node.domain not in DEFAULT_DOMAINS or len(node.attributes) != 1:
        return None
    (attribute,) = node.attributes.values()
    if attribute.is_ref():
        return None
    match (attribute.name, attribute.type):
        case ("value", onnx_ir.AttributeType.TENSOR):
            return attribute.as_tensor()
        case ("value_int", onnx_ir.AttributeType.INT) | ("value_ints", onnx_ir.AttributeType.INTS):
            return onnx_ir.tensor(attribute.value, dtype=onnx_ir.DataType.INT64)
        case ("value_float", onnx_ir.AttributeType.FLOAT) | ("value_floats", onnx_ir.AttributeType.FLOATS):
            return onnx_ir.tensor(attribute.value, dtype=onnx_ir.DataType.FLOAT)
        case _:
            return None


def _add_constant(
    name: str,
    tensor: onnx_ir.TensorProtocol,
    constants: dict[str, Constant],
    types: dict[str, TensorType],
) -> None:
    shape = tuple(int(dim) for dim in tensor.shape.numpy())
    if len(shape) > MAX_RANK or tensor.dtype == onnx_ir.DataType.STRING:
        types.pop(name, None)
    else:
        types[name] = TensorType(int(tensor.dtype), shape)
    constants[name] = Constant(name=name, type=TensorType(int(tensor.dtype), shape), tensor=tensor)
