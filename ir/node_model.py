"""Models of a single node, one for all inputs of the same element types and ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, final

import onnx
import onnx.helper
import onnx.numpy_helper

from ir.inference import TypeInference, TypeInferenceError, node_proto
from ir.normal_form import schema_of
from ir.operators import MICROSOFT, OPERATORS
from ir.types import Symbols, TensorType
from ir.writer import Surroundings, UnwritableError, write_node

__all__ = ["NodeModel", "NodeModels", "TypeInferenceError", "UnwritableError"]

if TYPE_CHECKING:
    import numpy as np

    from ir.graph import AttributeValue

_IR_VERSION: Final = 10

_Key: TypeAlias = "tuple[str, tuple[AttributeValue, ...], tuple[tuple[int, int] | None, ...], int]"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeModel:
    """A model of one node in memory; input and output names are ``x0`` and ``y0`` and so on.

    Attributes:
        number: Equal for equal models of one :class:`NodeModels`, and for no others.
        proto: Serialised ``ModelProto``; its inputs have no sizes.
        dtypes: ``onnx.TensorProto.DataType`` number of each output.
    """

    number: int
    proto: bytes
    dtypes: tuple[int, ...]


@final
class NodeModels:
    """Makes models of single nodes at one opset, each once."""

    def __init__(self, opset: int) -> None:
        self._opset = opset
        self._inference = TypeInference(opset, Symbols())
        self._models: dict[_Key, NodeModel] = {}

    def __call__(
        self,
        operator: str,
        attributes: Mapping[str, AttributeValue],
        inputs: Sequence[np.ndarray | None],
        num_outputs: int,
    ) -> NodeModel:
        """Return the model of a node.

        Args:
            operator: Row of the operator table.
            attributes: Every attribute of the row, without symbols.
            inputs: What goes in, None for one that is missing.
            num_outputs: Outputs asked for.

        Raises:
            TypeInferenceError: No such node can exist on these inputs.
            UnwritableError: The opset has no words for it.
        """
        types = [None if array is None else type_of(array) for array in inputs]
        found = self._inference(operator, attributes, types, num_outputs)
        ranks = tuple(None if type_ is None else (type_.dtype, type_.rank) for type_ in types)
        key = (operator, tuple(attributes.values()), ranks, num_outputs)
        if key not in self._models:
            dtypes = tuple(type_.dtype for type_ in found[:num_outputs])
            proto = self._proto(operator, attributes, types, dtypes)
            self._models[key] = NodeModel(number=len(self._models), proto=proto, dtypes=dtypes)
        return self._models[key]

    def _proto(
        self,
        operator: str,
        attributes: Mapping[str, AttributeValue],
        types: Sequence[TensorType | None],
        dtypes: Sequence[int],
    ) -> bytes:
        names = ["" if type_ is None else f"x{position}" for position, type_ in enumerate(types)]
        given = {name: type_ for name, type_ in zip(names, types, strict=True) if type_ is not None}
        outputs = [f"y{position}" for position in range(len(dtypes))]
        around = Surroundings(opset=self._opset, type_of=given.get)
        written = write_node(operator, names, outputs, attributes, around)
        graph = onnx.helper.make_graph(
            [node_proto(node) for node in written.nodes],
            operator,
            [_value_info(name, type_.dtype, type_.rank) for name, type_ in given.items()],
            [_value_info(name, dtype, None) for name, dtype in zip(outputs, dtypes, strict=True)],
            [onnx.numpy_helper.from_array(array, name) for name, array in written.constants.items()],
        )
        opsets = [onnx.helper.make_opsetid("", self._opset)]
        if OPERATORS[operator].domain == MICROSOFT:
            opsets.append(onnx.helper.make_opsetid(MICROSOFT, 1))
        model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        proto: bytes = model.SerializeToString()
        return proto


def type_of(array: np.ndarray) -> TensorType:
    """Return the type of an array."""
    return TensorType(onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def has_reference(operator: str, opset: int) -> bool:
    """Return whether ONNX specifies an operator at an opset; what only ONNX Runtime knows it does not."""
    row = OPERATORS[operator]
    return not row.is_provider and schema_of(row, opset) is not None


def _value_info(name: str, dtype: int, rank: int | None) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, dtype, None if rank is None else [None] * rank)
