"""Random nodes: the left side of a rule, grown into the graph, so that every rule is met by chance."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Final

import numpy as np
import onnx
import onnx_ir
from onnx import numpy_helper

from eqsat.rules import load_rules
from eqsat.rules.instances import Drawn, Precision, draw
from ir.assembly import assemble
from ir.inference import TypeInferenceError
from ir.writer import UnwritableError
from tests.fuzz.growing import FLOATS, Content, Growing, RefusedError, Type, numpy_type
from tests.rules.instance_graphs import load

EXTREME: Final = 0.08
"""Share of constants that become huge, tiny, zero or infinite."""


@cache
def instances() -> tuple[str, ...]:
    """Return what every rule that is on is to match, and what it must not match."""
    return tuple(text for rule in load_rules().rules if not rule.tier for text in (*rule.instances, *rule.near_misses))


def fragment(grow: Growing) -> None:
    """Add the nodes of an instance; its inputs are new ones, or values of the same type."""
    text = str(grow.one_of(instances()))
    precision = grow.one_of((Precision.SINGLE, Precision.SINGLE, Precision.HALF, Precision.DOUBLE))
    with np.errstate(over="ignore"):
        drawn = draw(text, grow.rng, precision)
    if "opset=" in text and drawn.opset > grow.opset:
        raise RefusedError("a newer opset")
    model = _model(replace(drawn, opset=grow.opset), grow)
    names = {name: _bound(grow, drawn, name) for name in drawn.leaves}
    for tensor in model.graph.initializer:
        if tensor.name not in names:
            names[tensor.name] = grow.tensor(tensor)
    for node in model.graph.node:
        _copy(grow, node, names)


def _model(drawn: Drawn, grow: Growing) -> onnx.ModelProto:
    try:
        graph = load(drawn, grow.rng).graph
        model = assemble(graph, graph.nodes, graph.constants, graph.types, outputs=graph.outputs, inputs=graph.inputs)
    except (TypeInferenceError, UnwritableError) as error:
        raise RefusedError(str(error)) from error
    return onnx_ir.to_proto(model)


def _bound(grow: Growing, drawn: Drawn, name: str) -> str:
    """Return what stands for a leaf: a value of the graph, a new input or a constant."""
    leaf = drawn.leaves[name]
    symbols = dict(zip(drawn.sizes, ("N", "M", "K", "L"), strict=False))
    dims = tuple(symbols.get(dim, "K") if isinstance(dim, str) else dim for dim in leaf.dims)
    if leaf.is_constant:
        return grow.constant(_perhaps_extreme(grow, leaf.array) if leaf.is_free else leaf.array)
    if leaf.is_free and leaf.number in FLOATS and grow.chance(0.5):
        same = [each for each, type_ in grow.values.items() if type_ == Type(leaf.number, dims)]
        if same:
            return str(grow.one_of(same))
    content = Content.DATA if leaf.is_free else Content.POSITIVE
    if numpy_type(leaf.number).kind in "iu":
        content = Content.INDEX
    return grow.leaf(leaf.number, dims, content, constant=0.0)


def _perhaps_extreme(grow: Growing, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != "f" or not grow.chance(EXTREME):
        return array
    info = np.finfo(array.dtype)
    number = grow.one_of((float(info.max) / 8, float(info.tiny) * 8, float(info.tiny) / 8, 0.0, 1e30, 1e-30))
    return np.full(array.shape, min(number, float(info.max) / 4)).astype(array.dtype)


def _copy(grow: Growing, node: onnx.NodeProto, names: dict[str, str]) -> None:
    if node.op_type == "Constant" and not node.domain:
        (attribute,) = node.attribute
        names[node.output[0]] = grow.constant(numpy_helper.to_array(attribute.t))
        return
    inputs = [names[name] if name else "" for name in node.input]
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    types = None
    if node.domain:
        raise RefusedError("an operator of the provider")
    unused = tuple(place for place, name in enumerate(node.output) if not name)
    made = grow.add(node.op_type, inputs, outputs=len(node.output), unused=unused, types=types, **attributes)
    names.update(zip(node.output, made, strict=True))
