"""From normalised nodes back to a model: what the graph does not say is taken from the model that was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx_ir

from ir.dimension_names import UNKNOWN_PREFIX
from ir.external_data import renamed
from ir.graph import Constant
from ir.onnx_form import symbol_sources
from ir.serialised import keep_aside
from ir.subgraphs import value_names
from ir.writer import RawNode, Surroundings, Written, write_node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ir.graph import AttributeValue, Graph, Node, Spelling
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
        stated = (
            *graph.model.graph.initializers.values(),
            *(value for node in graph.model.graph for value in node.outputs),
        )
        self.described = {value.name: value for value in stated if value.name}
        self.made: set[str] = set()
        self.node_names: set[str] = set()
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
            self.made.update(node.outputs)
        self.taken.update(self.made)
        for node in nodes:
            if node.source is not None and node.is_opaque:
                self._opaque(node, node.source)
            elif not any(node.outputs):
                continue
            elif node.source is not None and node.spelling is not None and _fits(node.outputs, node.source):
                self._as_read(node, node.source, node.spelling)
            else:
                written = write_node(node.operator, node.inputs, node.outputs, node.attributes, self.around)
                self._written(node, written)
        if outputs is None:
            for name in self.graph.held:
                self._value(name)
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
        if outputs is None:
            keep_aside(model.graph, new)
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
            device_configurations=model.device_configurations,
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
        known = self.described.get(name)
        if known is not None:
            _remark_like(value, known)
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
        self._like(source, node.inputs[:count], node.outputs)

    def _as_read(self, node: Node, source: onnx_ir.Node, spelling: Spelling) -> None:
        """A node that no rule has changed, in the words of the model: its operator, attributes, and constant inputs.

        Outputs that nobody uses stay too, since a kernel may depend on them.
        """
        inputs = []
        for part in spelling:
            if part is None:
                inputs.append("")
            else:
                inputs.append(self._own_constant(part) if isinstance(part, Constant) else node.inputs[part])
        outputs = []
        for position, value in enumerate(source.outputs):
            name = node.outputs[position] if position < len(node.outputs) else ""
            outputs.append(name or (self._unused(value.name) if value.name else ""))
        self._like(source, inputs, outputs)

    def _own_constant(self, constant: Constant) -> str:
        """The name of a constant of the model, as an initializer."""
        if constant.name in self.made:  # of an equal value that is computed
            return self._new_constant(constant)
        if constant.name not in self.values and constant.name not in self.constants:
            self._initializer(constant.name, constant.tensor)
        return constant.name

    def _new_constant(self, constant: Constant) -> str:
        name = self._fresh(constant.name)
        self._initializer(name, constant.tensor)
        return name

    def _unused(self, name: str) -> str:
        """A name for an output that nobody uses: its own, where nothing else has it."""
        if name in self.made or name in self.values:
            name = self._fresh(name)
        self.made.add(name)
        return name

    def _fresh(self, stem: str) -> str:
        return _not_in(self.taken, stem)

    def _node_name(self, stem: str) -> str:
        """ONNX Runtime refuses two nodes of one name."""
        return _not_in(self.node_names, stem)

    def _like(self, source: onnx_ir.Node, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """The node as it was read, with these inputs and outputs."""
        attributes = [_copied(attribute) for attribute in source.attributes.values()]
        node = self._add(source.op_type, source.domain, inputs, outputs, attributes, source)
        new_values = dict(zip((*source.inputs, *source.outputs), (*node.inputs, *node.outputs), strict=True))
        node.device_configurations = tuple(_on_values(each, new_values) for each in source.device_configurations)

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
                names[stem] = self._fresh(stem)
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
    ) -> onnx_ir.Node:
        self.domains.add(domain)
        made = [self._new_value(name) for name in outputs]
        name = source.name if source is not None else f"{op_type}/{next(name for name in outputs if name)}"
        if name:
            name = self._node_name(name)
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
        return node


def _on_values(
    configuration: onnx_ir.NodeDeviceConfiguration, new_values: Mapping[onnx_ir.Value | None, onnx_ir.Value | None]
) -> onnx_ir.NodeDeviceConfiguration:
    """How a node is spread over devices, said of the values that took the place of the old ones."""
    specs = tuple(replace(spec, value=new_values.get(spec.value, spec.value)) for spec in configuration.sharding_specs)
    return replace(configuration, sharding_specs=specs)


def _describe_like(value: onnx_ir.Value, original: onnx_ir.Value) -> None:
    value.type = original.type
    value.shape = original.shape
    _remark_like(value, original)


def _remark_like(value: onnx_ir.Value, original: onnx_ir.Value) -> None:
    """Give a value what is said of another beside its type; a quantisation annotation is part of ``meta``."""
    value.doc_string = original.doc_string
    value.metadata_props.update(original.metadata_props)
    value.meta.update(original.meta)


def _not_in(taken: set[str], stem: str) -> str:
    """A name that starts with ``stem`` and was not taken; it is now."""
    name, number = stem, 0
    while name in taken:
        number += 1
        name = f"{stem}_{number}"
    taken.add(name)
    return name


def _fits(outputs: Sequence[str], source: onnx_ir.Node) -> bool:
    """Whether a node as it was read has every output that is wanted."""
    return not any(outputs[len(source.outputs) :])


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
