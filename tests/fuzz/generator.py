"""Random models: nodes drawn from tables of operators, typed by ONNX's own inference, odd in every way there is."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.fuzz import elementwise, layout, networks, structure
from tests.fuzz.elementwise import Row
from tests.fuzz.fragments import fragment
from tests.fuzz.growing import Growing, Input, RefusedError
from tests.fuzz.kernels import Kernels

OPSETS: Final = (9, 11, 13, 15, 17, 18, 18, 18, 20, 21, 22, 23, 24)

_TABLES: Final = {
    "elementwise": (elementwise.ROWS, 0.26),
    "layout": (layout.ROWS, 0.22),
    "networks": (networks.ROWS, 0.20),
    "structure": (structure.ROWS, 0.07),
    "fragments": ({"fragment": fragment}, 0.25),
}
"""The tables, and how often a node comes from each."""

ROWS: Final[Mapping[str, Row]] = MappingProxyType(dict(chain.from_iterable(t.items() for t, _ in _TABLES.values())))
"""Every row of every table."""

MAX_TRIES: Final = 6
"""Rows that are tried for each that is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A random model.

    Attributes:
        model: The model.
        inputs: What its inputs are.
    """

    model: onnx.ModelProto
    inputs: Mapping[str, Input]


def random_model(seed: int, kernels: Kernels, max_rows: int = 9, num_fragments: int = 0) -> Sample:
    """Return the model of a seed.

    Args:
        seed: The same seed makes the same model.
        kernels: Knows what ONNX Runtime can run.
        max_rows: Rows of the tables it is made of at most; a row adds one node or a few.
        num_fragments: Left sides of rules that it begins with, besides those that are drawn as any other row.
    """
    rng = np.random.default_rng(seed)
    opset = int(rng.choice(OPSETS))
    grow = Growing(rng=rng, opset=opset, kernels=kernels)
    for _ in range(num_fragments):
        with suppress(RefusedError):
            fragment(grow)
    wanted = grow.between(1, max_rows)
    for _ in range(MAX_TRIES * wanted):
        if wanted <= 0:
            break
        wanted -= grow_one(grow)
    if not grow.made:
        (source,) = [grow.leaf(TensorProto.FLOAT, (2, "N"), constant=0.0)]
        grow.add("Relu", [source])
    return Sample(model=finish(grow), inputs=dict(grow.inputs))


def grow_one(grow: Growing) -> bool:
    """Try one row, and return whether it fitted; what it had added before it did not is dead code and stays."""
    shares = np.array([share for _, share in _TABLES.values()])
    table, _ = list(_TABLES.values())[int(grow.rng.choice(len(shares), p=shares / shares.sum()))]
    row = table[str(grow.one_of(table))]
    try:
        row(grow)
    except RefusedError:
        return False
    return True


def finish(grow: Growing) -> onnx.ModelProto:
    """Return the model: some values become outputs, and what is left unused stays."""
    tensors = [name for name in grow.made if grow.values[name].dtype not in {0, TensorProto.STRING, TensorProto.INT4}]
    if not tensors:
        tensors = grow.add("Relu", [grow.leaf(TensorProto.FLOAT, (2, "N"), constant=0.0)])
    used = {name for node in grow.nodes for name in node.input}
    ends = [name for name in tensors if name not in used]
    outputs = [name for name in ends if grow.chance(0.8)] or tensors[-1:]
    outputs += [name for name in tensors if name not in outputs and grow.chance(0.06)]
    outputs = [outputs[int(place)] for place in grow.rng.permutation(len(outputs))][:8]
    is_old = grow.opset < 15 and grow.chance(0.05)
    inputs = [
        helper.make_tensor_value_info(name, each.type.dtype, each.type.shape) for name, each in grow.inputs.items()
    ]
    if is_old:
        inputs += [
            helper.make_tensor_value_info(name, tensor.data_type, list(tensor.dims))
            for name, tensor in grow.initializers.items()
            if name not in grow.inputs
        ]
    described = [
        helper.make_tensor_value_info(name, grow.values[name].dtype, grow.values[name].shape)
        for name in grow.made
        if name not in outputs and grow.values[name].dtype and grow.values[name].shape is not None and grow.chance(0.3)
    ]
    graph = helper.make_graph(
        grow.nodes,
        grow.name("graph"),
        inputs,
        [_information(grow, name) for name in outputs],
        list(grow.initializers.values()),
        value_info=described,
    )
    domains = {node.domain for node in grow.nodes} | {node.domain for f in grow.functions for node in f.node} | {""}
    imports = [each for each in grow.imports() if each.domain in domains]
    return helper.make_model(
        graph, opset_imports=imports, ir_version=3 if is_old and not grow.functions else 10, functions=grow.functions
    )


def _information(grow: Growing, name: str) -> onnx.ValueInfoProto:
    type_ = grow.values[name]
    shape = None if type_.shape is None or grow.chance(0.05) else type_.shape
    return helper.make_tensor_value_info(name, type_.dtype, shape)


def operators_of(model: onnx.ModelProto) -> set[str]:
    """Return the operators of a model, those of its subgraphs and functions too."""

    def of_graph(graph: onnx.GraphProto) -> set[str]:
        return set().union(*(of_node(node) for node in graph.node))

    def of_node(node: onnx.NodeProto) -> set[str]:
        found = {f"{node.domain}.{node.op_type}" if node.domain else node.op_type}
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                found |= of_graph(attribute.g)
        return found

    inner = [of_node(node) for function in model.functions for node in function.node]
    return of_graph(model.graph).union(*inner)
