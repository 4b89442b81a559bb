"""A model that shows a fault, made smaller as long as it shows the same fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

import onnx
import onnx_ir

from eqsat.errors import EqsatError
from ir.reader import graph_of
from tests.fuzz.feeds import ORDINARY_SIZES as SIZED
from tests.fuzz.generator import Sample
from tests.fuzz.growing import Input, Type

Shows: TypeAlias = Callable[[Sample], bool]
"""Whether a model still shows the fault."""


def shrink(sample: Sample, shows: Shows, max_tries: int = 400) -> Sample:
    """Return a model as small as can be found that shows a fault.

    Args:
        sample: A model that shows it.
        shows: Says whether another one does.
        max_tries: Models that are asked about at most.
    """
    tries = 0
    is_smaller = True
    while is_smaller and tries < max_tries:
        is_smaller = False
        for smaller in _smaller(sample):
            tries += 1
            if shows(smaller):
                sample, is_smaller = smaller, True
                break
            if tries >= max_tries:
                break
    return sample


def _smaller(sample: Sample) -> Iterator[Sample]:
    """Yield models with less in them, those first that lose most."""
    model = sample.model
    if len(model.graph.output) > 1:
        for output in model.graph.output:
            yield _rebuilt(sample, keep=[output.name])
        for output in model.graph.output:
            yield _rebuilt(sample, keep=[each.name for each in model.graph.output if each.name != output.name])
    types = _types(model)
    outputs = [output.name for output in model.graph.output]
    for node in reversed(model.graph.node):
        for name in node.input:
            if name in types and outputs == [node.output[0]]:
                yield _rebuilt(sample, keep=[name])
    for place in reversed(range(len(model.graph.node))):
        node = model.graph.node[place]
        if all(name in types for name in node.output if name) and node.op_type != "Constant":
            yield _rebuilt(sample, cut=place)
        for source in node.input:
            if source and types.get(source) == types.get(node.output[0]) and node.output[0] not in outputs:
                yield _rebuilt(sample, bypass=(place, source))


def _types(model: onnx.ModelProto) -> dict[str, Type]:
    """Types of all values as far as they are known; unknown sizes become a symbol."""
    try:
        graph = graph_of(onnx_ir.from_proto(model))
    except (EqsatError, ValueError):
        return {}
    names = {symbol: name for name in graph.symbols.names() if (symbol := graph.symbols.intern(name)) and name in SIZED}
    return {
        name: Type(type_.dtype, tuple(dim if dim >= 0 else names.get(dim, "L") for dim in type_.shape))
        for name, type_ in graph.types.items()
    }


def _rebuilt(
    sample: Sample, *, keep: list[str] | None = None, cut: int = -1, bypass: tuple[int, str] | None = None
) -> Sample:
    """Return a model with other outputs, a node's results as inputs, or a node left out; what nobody uses goes."""
    types = _types(sample.model)
    model = onnx.ModelProto()
    model.CopyFrom(sample.model)
    graph = model.graph
    inputs = dict(sample.inputs)
    if cut >= 0:
        for name in graph.node[cut].output:
            if name:
                inputs[name] = Input(type=types[name])
        del graph.node[cut]
    if bypass is not None:
        place, source = bypass
        gone = graph.node[place].output[0]
        del graph.node[place]
        _rename(graph, gone, source)
    names = keep if keep is not None else [output.name for output in graph.output]
    del graph.output[:], graph.value_info[:]
    graph.output.extend(_information(name, types.get(name)) for name in names)
    used = set(names)
    nodes = []
    for node in reversed(graph.node):
        if used.intersection(node.output):
            used.update(_reads(node))
            nodes.append(node)
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in reversed(nodes)]
    made = {name for node in kept for name in node.output}
    del graph.node[:]
    graph.node.extend(kept)
    tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    kept_tensors = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in tensors]
    del graph.initializer[:], graph.input[:]
    graph.initializer.extend(kept_tensors)
    inputs = {name: each for name, each in inputs.items() if name in used and name not in made}
    graph.input.extend(_information(name, each.type) for name, each in inputs.items())
    return replace(sample, model=model, inputs=inputs)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == old:
                node.input[place] = new
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _rename(attribute.g, old, new)


def _reads(node: onnx.NodeProto) -> set[str]:
    found = {name for name in node.input if name}
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            found |= {name for inner in attribute.g.node for name in _reads(inner)}
            found |= {output.name for output in attribute.g.output}
    return found


def _information(name: str, type_: Type | None) -> onnx.ValueInfoProto:
    if type_ is None:
        return onnx.ValueInfoProto(name=name)
    return onnx.helper.make_tensor_value_info(name, type_.dtype, type_.shape)
