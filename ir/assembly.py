"""From normalised nodes back to a model: what the graph does not say is taken from the model that was read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx_ir

from ir.dimension_names import UNKNOWN_PREFIX
from ir.external_data import renamed
from ir.graph import Constant
from ir.onnx_form import symbol_sources
from ir.subgraphs import value_names
from ir.writer import RawNode, Surroundings, Written, write_node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ir.graph import AttributeValue, Graph, Node
    from ir.types import Symbols, TensorType

_FIRST_IR_WITH_CONSTANTS: Final = 4


def assemble(
    graph: Graph,
    nodes: Sequence[Node],
    constants: Mapping[str, Constant | np.ndarray],
    types: Mapping[str, TensorType],
    outputs: Sequence[str] | None = None,
    inputs: Sequence[str] | None = None,
) -> onnx_ir.Model:
    """Return a model that computes ``nodes``, with the interface and the metadata of the model behind ``graph``.

    Args:
        graph: The graph whose model is rewritten.
        nodes: In topological order; value names as in ``types`` and ``constants``.
        constants: Initializers by name, lazy or as arrays.
        types: Types of values, as far as they are known.
        outputs: Values that come out instead of the graph's own outputs; only for parts of a model.
        inputs: Values that go in instead of the graph's own inputs; only for parts of a model.

    Raises:
        UnwritableError: A node cannot be written at the model's opset.
    """
    return _Assembler(graph, constants, types).run(nodes, outputs, inputs)


class _Assembler:
    def __init__(
        self,
        graph: Graph,
        constants: Mapping[str, Constant | np.ndarray],
        types: Mapping[str, TensorType],
    ) -> None:
        self.graph = graph
        self.constants = constants
        self.types = types
        self.values: dict[str, onnx_ir.Value] = {}
        self.initializers: dict[str, onnx_ir.Value] = {}
        self.nodes: list[onnx_ir.Node] = []
        self.domains: set[str] = set()
        self.taken = set(value_names(graph.model.graph)).union(types, constants)
        self.described = {value.name: value for node in graph.model.graph for value in node.outputs if value.name}
        self.around = Surroundings(
            opset=graph.opset,
            type_of=types.get,
            constant=self._elements,
            symbol_sources=symbol_sources(graph.inputs, graph.types),
        )

    def run(self, nodes: Sequence[Node], outputs: Sequence[str] | None, inputs: Sequence[str] | None) -> onnx_ir.Model:
        model = self.graph.model
        original = {value.name: value for value in model.graph.inputs}
        names = self.graph.inputs if inputs is None else inputs
        graph_inputs = [self._input(name, original.get(name)) for name in names]
        for node in nodes:
            self.taken.update(node.outputs)
        for node in nodes:
            if node.source is not None and node.is_opaque:
                self._opaque(node, node.source)
            elif any(node.outputs):
                written = write_node(node.operator, node.inputs, node.outputs, node.attributes, self.around)
                self._written(node, written)
        graph_outputs = self._outputs(outputs)
        if model.ir_version < _FIRST_IR_WITH_CONSTANTS:
            graph_inputs.extend(value for value in self.initializers.values() if value not in graph_inputs)
        opsets = dict(model.opset_imports)
        for domain in sorted(self.domains):
            if domain or "ai.onnx" not in opsets:
                opsets.setdefault(domain, 1)
        new = onnx_ir.Graph(
            graph_inputs,
            graph_outputs,
            nodes=self.nodes,
            initializers=list(self.initializers.values()),
            doc_string=model.graph.doc_string,
            opset_imports=opsets,
            name=model.graph.name,
            metadata_props=dict(model.graph.metadata_props),
        )
        return onnx_ir.Model(
            new,
            ir_version=model.ir_version,
            producer_name=model.producer_name,
            producer_version=model.producer_version,
            domain=model.domain,
            model_version=model.model_version,
            doc_string=model.doc_string,
            functions=[function.clone() for function in model.functions.values()],
            metadata_props=dict(model.metadata_props),
        )

    def _input(self, name: str, original: onnx_ir.Value | None) -> onnx_ir.Value:
        value = self._new_value(name)
        if original is not None:
            _describe_like(value, original)
            default = original.const_value if name in self.graph.model.graph.initializers else None
            if default is not None:
                value.const_value = default
                self.initializers[name] = value
        self.values[name] = value
        return value

    def _outputs(self, outputs: Sequence[str] | None) -> list[onnx_ir.Value]:
        if outputs is not None:
            return [self._value(name) for name in outputs]
        values = []
        for original in self.graph.model.graph.outputs:
            value = self._value(original.name or "")
            _describe_like(value, original)
            values.append(value)
        return values

    def _new_value(self, name: str) -> onnx_ir.Value:
        type_ = self.types.get(name)
        value = onnx_ir.Value(name=name)
        known = self.described.get(name)
        if known is not None:
            _describe_like(value, known)
        if type_ is not None:
            value.type = onnx_ir.TensorType(onnx_ir.DataType(type_.dtype))
            value.shape = _shape(type_, self.graph.symbols)
        return value

    def _value(self, name: str) -> onnx_ir.Value:
        known = self.values.get(name)
        if known is not None:
            return known
        constant = self.constants[name]
        tensor = constant.tensor if isinstance(constant, Constant) else onnx_ir.tensor(constant, name=name)
        return self._initializer(name, tensor)

    def _initializer(self, name: str, tensor: onnx_ir.TensorProtocol) -> onnx_ir.Value:
        value = onnx_ir.Value(
            name=name,
            type=onnx_ir.TensorType(tensor.dtype),
            shape=onnx_ir.Shape(tensor.shape.numpy()),
            const_value=_named(tensor, name),
        )
        self.values[name] = value
        self.initializers[name] = value
        return value

    def _elements(self, name: str) -> np.ndarray | None:
        constant = self.constants.get(name)
        return constant.numpy() if isinstance(constant, Constant) else constant

    def _opaque(self, node: Node, source: onnx_ir.Node) -> None:
        count = len(source.inputs)
        for captured in node.inputs[count:]:
            self._value(captured)
        self._add(
            source.op_type,
            source.domain,
            node.inputs[:count],
            node.outputs,
            [_copied(attribute) for attribute in source.attributes.values()],
            source,
        )

    def _written(self, node: Node, written: Written) -> None:
        names = self._new_names(node, written)
        for name, array in written.constants.items():
            self._initializer(names[name], onnx_ir.tensor(array, name=names[name]))
        *helpers, last = written.nodes
        for raw in helpers:
            self._raw(raw, names, None)
        source = node.source if node.source is not None and node.source.op_type == last.op_type else None
        self._raw(last, names, source)

    def _new_names(self, node: Node, written: Written) -> dict[str, str]:
        """For every name that the writer made up one that nothing else has."""
        made_up = [*written.constants, *(name for raw in written.nodes for name in raw.outputs)]
        names: dict[str, str] = {}
        for stem in made_up:
            if stem and stem not in node.outputs:
                name, number = stem, 0
                while name in self.taken:
                    number += 1
                    name = f"{stem}_{number}"
                self.taken.add(name)
                names[stem] = name
        return names

    def _raw(self, raw: RawNode, names: Mapping[str, str], source: onnx_ir.Node | None) -> None:
        attributes = [_attribute(name, value) for name, value in raw.attributes.items()]
        inputs = [names.get(name, name) for name in raw.inputs]
        outputs = [names.get(name, name) for name in raw.outputs]
        self._add(raw.op_type, raw.domain, inputs, outputs, attributes, source)

    def _add(
        self,
        op_type: str,
        domain: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        attributes: Sequence[onnx_ir.Attr],
        source: onnx_ir.Node | None,
    ) -> None:
        self.domains.add(domain)
        made = [self._new_value(name) for name in outputs]
        name = source.name if source is not None else f"{op_type}/{next(name for name in outputs if name)}"
        node = onnx_ir.Node(
            domain,
            op_type,
            [self._value(name) if name else None for name in inputs],
            attributes,
            overload=source.overload if source is not None else "",
            outputs=made,
            name=name,
            doc_string=source.doc_string if source is not None else None,
            metadata_props=dict(source.metadata_props) if source is not None else None,
        )
        for output, value in zip(outputs, made, strict=True):
            if output:
                self.values[output] = value
        self.nodes.append(node)


def _describe_like(value: onnx_ir.Value, original: onnx_ir.Value) -> None:
    value.type = original.type
    value.shape = original.shape
    value.doc_string = original.doc_string
    value.metadata_props.update(original.metadata_props)


def _shape(type_: TensorType, symbols: Symbols) -> onnx_ir.Shape:
    dims: list[int | str | None] = []
    for dim in type_.shape:
        name = symbols.name(dim) if dim < 0 else ""
        dims.append(dim if dim >= 0 else (None if name.startswith(UNKNOWN_PREFIX) else name))
    return onnx_ir.Shape(dims)


def _named(tensor: onnx_ir.TensorProtocol, name: str) -> onnx_ir.TensorProtocol:
    """The tensor under another name, its elements not copied."""
    return tensor if tensor.name == name else renamed(tensor, name)


def _copied(attribute: onnx_ir.Attr) -> onnx_ir.Attr:
    """An attribute for a new node; subgraphs are cloned, what they capture stays a name."""
    if attribute.is_ref():
        return attribute
    match attribute.type:
        case onnx_ir.AttributeType.GRAPH:
            graph = attribute.as_graph().clone(allow_outer_scope_values=True)
            return onnx_ir.Attr(attribute.name, attribute.type, graph, doc_string=attribute.doc_string)
        case onnx_ir.AttributeType.GRAPHS:
            graphs = [graph.clone(allow_outer_scope_values=True) for graph in attribute.as_graphs()]
            return onnx_ir.Attr(attribute.name, attribute.type, graphs, doc_string=attribute.doc_string)
        case _:
            return attribute


def _attribute(name: str, value: AttributeValue | np.ndarray) -> onnx_ir.Attr:
    match value:
        case np.ndarray():
            return onnx_ir.AttrTensor(name, onnx_ir.tensor(value))
        case str():
            return onnx_ir.AttrString(name, value)
        case tuple():
            return onnx_ir.AttrInt64s(name, value)
        case float():
            return onnx_ir.AttrFloat32(name, value)
        case _:
            return onnx_ir.AttrInt64(name, value)
