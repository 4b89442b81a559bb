"""From a model file to a :class:`~ir.graph.Graph` in normal form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import onnx_ir

from ir.graph import Constant, Graph
from ir.normalise import Context, normalise
from ir.onnx_file import infer_types, load_model
from ir.types import Symbols, TensorType

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FIRST_IR_WITH_CONSTANTS: Final = 4

MAX_RANK: Final = 8
"""Values of a higher rank have no type here, so the nodes around them are opaque."""


def read(path: Path) -> Graph:
    """Read a model file.

    Raises:
        InvalidModelError: The file is no ONNX model that can be read safely.
    """
    return graph_of(load_model(path))


def graph_of(model: onnx_ir.Model) -> Graph:
    """Return a model's main graph in normal form; functions and subgraphs stay in the opaque nodes they belong to."""
    symbols = Symbols()
    constants: dict[str, Constant] = {}
    types: dict[str, TensorType] = {}
    graph = model.graph
    opsets = {("" if domain == "ai.onnx" else domain): version for domain, version in model.opset_imports.items()}
    inferred = _value_table(infer_types(model).graph)
    for value in _values(graph):
        if value.name:
            merged = _merge(value, inferred.get(value.name), symbols)
            if merged is not None:
                types[value.name] = merged
    overridable = _overridable(model)
    for name, value in graph.initializers.items():
        if value.const_value is not None and name not in overridable:
            _add_constant(name, value.const_value, constants, types)
    inputs = tuple(value.name or "" for value in graph.inputs if value.name not in constants)
    backed = frozenset(dim for name in inputs if name in types for dim in types[name].shape if dim < 0)
    context = Context(types=types, constants=constants, opsets=opsets, backed_symbols=backed)
    nodes = []
    for node in graph:
        tensor = _constant_node(node)
        output = node.outputs[0].name if node.outputs else None
        if tensor is not None and output:
            _add_constant(output, tensor, constants, types)
        else:
            nodes.append(normalise(node, context))
    return Graph(
        inputs=inputs,
        outputs=tuple(value.name or "" for value in graph.outputs),
        nodes=tuple(nodes),
        constants=constants,
        types=types,
        opsets=opsets,
        symbols=symbols,
        model=model,
    )


def _overridable(model: onnx_ir.Model) -> frozenset[str]:
    """Inputs with a default: a caller may give another value, so they are not constant.

    Before IR version 4 every initializer had to be an input, which says nothing.
    """
    if model.ir_version < _FIRST_IR_WITH_CONSTANTS:
        return frozenset()
    return frozenset(value.name for value in model.graph.inputs if value.name in model.graph.initializers)


def _values(graph: onnx_ir.Graph) -> Iterator[onnx_ir.Value]:
    yield from graph.inputs
    yield from graph.initializers.values()
    for node in graph:
        yield from node.outputs


def _value_table(graph: onnx_ir.Graph) -> dict[str, onnx_ir.Value]:
    return {value.name: value for value in _values(graph) if value.name}


def _merge(stated: onnx_ir.Value, inferred: onnx_ir.Value | None, symbols: Symbols) -> TensorType | None:
    """What the file states and what inference finds; a number wins over a name, a stated name over a found one."""
    both = [value for value in (stated, inferred) if value is not None and value.shape is not None and value.dtype]
    both = [value for value in both if isinstance(value.type, onnx_ir.TensorType)]
    if not both or both[0].dtype is None or both[0].shape is None:
        return None
    rank = len(both[0].shape)
    if rank > MAX_RANK or any(value.shape is None or len(value.shape) != rank for value in both):
        return None
    shape = []
    for position in range(rank):
        entries = [value.shape[position] for value in both if value.shape is not None]
        numbers = [entry for entry in entries if isinstance(entry, int)]
        names = [str(entry.value) for entry in entries if not isinstance(entry, int) and entry.value]
        if numbers:
            shape.append(numbers[0])
        else:
            shape.append(symbols.intern(names[0]) if names else symbols.fresh())
    return TensorType(int(both[0].dtype), tuple(shape))


def _constant_node(node: onnx_ir.Node) -> onnx_ir.TensorProtocol | None:
    """The tensor of a ``Constant`` node; None for every other node and for constants that are no tensor."""
    if node.op_type != "Constant" or node.domain not in {"", "ai.onnx"}:
        return None
    for name, attribute in node.attributes.items():
        if attribute.is_ref():
            return None
        match name:
            case "value":
                return attribute.as_tensor()
            case "value_int":
                return onnx_ir.tensor(attribute.as_int(), dtype=onnx_ir.DataType.INT64)
            case "value_float":
                return onnx_ir.tensor(attribute.as_float(), dtype=onnx_ir.DataType.FLOAT)
            case "value_ints":
                return onnx_ir.tensor(list(attribute.as_ints()), dtype=onnx_ir.DataType.INT64)
            case "value_floats":
                return onnx_ir.tensor(list(attribute.as_floats()), dtype=onnx_ir.DataType.FLOAT)
            case _:
                return None
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
