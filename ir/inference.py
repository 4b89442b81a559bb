"""Types of new nodes: ONNX's own inference of one node, cached; a few shape functions where ONNX has no schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeAlias, final

import numpy as np
import onnx
import onnx.checker
import onnx.helper
import onnx.numpy_helper
import onnx.shape_inference

from ir.normalise import schema_of
from ir.operators import OPERATORS
from ir.shape_functions import SHAPE_FUNCTIONS, TypeInferenceError
from ir.type_constraints import check_dtypes
from ir.types import Symbols, TensorType
from ir.writer import RawNode, Surroundings, UnwritableError, write_node

__all__ = ["TypeInference", "TypeInferenceError", "UnknownTypeError", "node_proto"]

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ir.graph import AttributeValue

_SIZED_BY_ELEMENTS: Final = frozenset({"NonZero", "NonMaxSuppression", "OneHot", "Range", "Resize"})
"""Operators whose outputs may differ in size where their inputs' types are equal: each gets symbols of its own."""


class UnknownTypeError(TypeInferenceError):
    """ONNX's inference says nothing of a node that may well exist."""


Key: TypeAlias = "tuple[str, tuple[AttributeValue, ...], tuple[TensorType | None, ...]]"


@final
class TypeInference:
    """Infers the types of single nodes at one opset, each distinct one once."""

    def __init__(self, opset: int, symbols: Symbols) -> None:
        self._opset = opset
        self._symbols = symbols
        self._cache: dict[Key, tuple[TensorType, ...]] = {}
        self._opset_imports = [onnx.helper.make_opsetid("", opset)]

    def __call__(
        self,
        operator_name: str,
        attributes: Mapping[str, AttributeValue],
        inputs: Sequence[TensorType | None],
        num_outputs: int = 1,
    ) -> tuple[TensorType, ...]:
        """Return the types of a node's outputs; a dimension nothing is known of is a fresh symbol.

        Args:
            operator_name: Row of the operator table.
            attributes: Every attribute of the row.
            inputs: Types of the inputs, None for one that is missing.
            num_outputs: Outputs asked for.

        Raises:
            TypeInferenceError: No such node can exist.
        """
        key = (operator_name, tuple(attributes.values()), tuple(inputs))
        found = self._cache.get(key)
        if found is None or len(found) < num_outputs:
            found = self._infer(operator_name, attributes, inputs, num_outputs)
            if operator_name not in _SIZED_BY_ELEMENTS:
                self._cache[key] = found
        return found

    def _infer(
        self,
        operator_name: str,
        attributes: Mapping[str, AttributeValue],
        inputs: Sequence[TensorType | None],
        num_outputs: int,
    ) -> tuple[TensorType, ...]:
        operator = OPERATORS[operator_name]
        schema = schema_of(operator, self._opset)
        if schema is None and not operator.is_provider:
            raise TypeInferenceError(f"{operator.onnx_name} does not exist at opset {self._opset}")
        own = SHAPE_FUNCTIONS.get(operator_name)
        if own is not None:
            return own(inputs, attributes)
        if schema is None:
            raise TypeInferenceError(f"{operator.onnx_name} has no schema")
        names = ["" if type_ is None else f"x{position}" for position, type_ in enumerate(inputs)]
        types = dict(zip(names, inputs, strict=True))
        around = Surroundings(opset=self._opset, type_of=types.get)
        outputs = [f"y{position}" for position in range(num_outputs)]
        try:
            written = write_node(operator_name, names, outputs, attributes, around)
        except UnwritableError as error:
            raise TypeInferenceError(str(error)) from error
        node = node_proto(written.nodes[-1])
        protos = {name: _type_proto(type_) for name, type_ in types.items() if type_ is not None}
        constants = {}
        for name, array in written.constants.items():
            tensor = onnx.numpy_helper.from_array(array, name)
            constants[name] = tensor
            protos[name] = onnx.helper.make_tensor_type_proto(tensor.data_type, array.shape)
        check_dtypes(schema, [protos[name].tensor_type.elem_type if name else None for name in node.input])
        try:
            inferred = onnx.shape_inference.infer_node_outputs(
                schema,
                node,
                protos,
                constants,
                opset_imports=self._opset_imports,
            )
        except (
            onnx.checker.ValidationError,
            onnx.shape_inference.InferenceError,
            RuntimeError,
            ValueError,
        ) as error:
            raise TypeInferenceError(f"{operator.onnx_name}: {error}") from error
        try:
            return tuple(self._tensor_type(inferred[name], operator.onnx_name) for name in outputs)
        except KeyError as error:
            raise UnknownTypeError(f"{operator.onnx_name}: no type could be inferred") from error

    def _tensor_type(self, proto: onnx.TypeProto, what: str) -> TensorType:
        tensor = proto.tensor_type
        if not tensor.HasField("shape") or not tensor.elem_type:
            raise UnknownTypeError(f"{what}: no shape could be inferred")
        shape = []
        for dim in tensor.shape.dim:
            if dim.HasField("dim_value"):
                shape.append(dim.dim_value)
            elif dim.dim_param.startswith(_PREFIX):
                shape.append(int(dim.dim_param[len(_PREFIX) :]))
            else:
                shape.append(self._symbols.fresh())
        return TensorType(tensor.elem_type, tuple(shape))


_PREFIX: Final = "symbol"


def _type_proto(type_: TensorType) -> onnx.TypeProto:
    dims = [dim if dim >= 0 else f"{_PREFIX}{dim}" for dim in type_.shape]
    return onnx.helper.make_tensor_type_proto(type_.dtype, dims)


def node_proto(node: RawNode) -> onnx.NodeProto:
    """Return a node as ONNX's protobuf message."""
    proto = onnx.NodeProto(op_type=node.op_type, domain=node.domain, input=node.inputs, output=node.outputs)
    for name, value in node.attributes.items():
        stated = onnx.numpy_helper.from_array(value, name) if isinstance(value, np.ndarray) else value
        proto.attribute.append(onnx.helper.make_attribute(name, stated, attr_type=_attribute_type(value)))
    return proto


def _attribute_type(value: AttributeValue | np.ndarray) -> int | None:
    """The type that a value does not show by itself."""
    return onnx.AttributeProto.INTS if isinstance(value, tuple) else None
