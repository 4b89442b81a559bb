"""Small models of a few nodes, for the measurement of prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from ir.inference import TypeInference, node_proto
from ir.operators import MICROSOFT, OPERATORS
from ir.types import Symbols, TensorType
from ir.writer import Surroundings, write_node

if TYPE_CHECKING:
    from ir.graph import AttributeValue

_MAX_IR_VERSION: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroNode:
    """One node of a micro-model; values are numbers, None for a missing input."""

    operator: str
    attributes: Mapping[str, AttributeValue]
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroModel:
    """A model in memory and the inputs it asks for.

    Attributes:
        proto: Serialised ``ModelProto``.
        feeds: Type of each input, by name; every shape is static.
    """

    proto: bytes
    feeds: Mapping[str, TensorType]


def micro_model(
    nodes: Sequence[MicroNode],
    inputs: Mapping[int, TensorType],
    constants: Mapping[int, np.ndarray],
    opset: int,
) -> MicroModel:
    """Return a model of a few nodes whose outputs are what no node of it uses.

    Args:
        nodes: In topological order.
        inputs: Static types of the values that go in.
        constants: Values that are initializers.
        opset: Version of the default domain.

    Raises:
        UnwritableError: A node cannot be written at this opset.
        TypeInferenceError: A node cannot exist.
    """
    inference = TypeInference(opset, Symbols())
    types: dict[str, TensorType] = {_name(number): type_ for number, type_ in inputs.items()}
    arrays = {_name(number): array for number, array in constants.items()}
    for name, array in arrays.items():
        types[name] = TensorType(onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
    around = Surroundings(opset=opset, type_of=types.get, constant=arrays.get)
    protos: list[onnx.NodeProto] = []
    initializers = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    used: set[int] = set()
    for node in nodes:
        names = ["" if number is None else _name(number) for number in node.inputs]
        outputs = [_name(number) for number in node.outputs]
        found = inference(node.operator, node.attributes, [types.get(name) for name in names], len(outputs))
        types.update(zip(outputs, found, strict=False))
        written = write_node(node.operator, names, outputs, node.attributes, around)
        protos.extend(node_proto(raw) for raw in written.nodes)
        initializers.extend(onnx.numpy_helper.from_array(array, name) for name, array in written.constants.items())
        used.update(number for number in node.inputs if number is not None)
    results = [number for node in nodes for number in node.outputs if number not in used]
    graph = onnx.helper.make_graph(
        protos,
        "micro",
        [_value_info(_name(number), type_) for number, type_ in inputs.items()],
        [_value_info(_name(number), types[_name(number)]) for number in results],
        initializers,
    )
    opsets = [onnx.helper.make_opsetid("", opset)]
    if any(OPERATORS[node.operator].domain == MICROSOFT for node in nodes):
        opsets.append(onnx.helper.make_opsetid(MICROSOFT, 1))
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=_MAX_IR_VERSION)
    return MicroModel(proto=model.SerializeToString(), feeds={_name(n): type_ for n, type_ in inputs.items()})


def _name(number: int) -> str:
    return f"v{number}"


def _value_info(name: str, type_: TensorType) -> onnx.ValueInfoProto:
    dims = [dim if dim >= 0 else None for dim in type_.shape]
    return onnx.helper.make_tensor_value_info(name, type_.dtype, dims)
