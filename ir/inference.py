"""Types of new nodes: ONNX's own inference of one node, cached; a few shape functions where ONNX has no schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias, final

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnx.shape_inference

from ir.normalise import schema_of
from ir.operators import OPERATORS
from ir.types import Symbols, TensorType
from ir.writer import RawNode, Surroundings, UnwritableError, write_node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ir.graph import AttributeValue

Key: TypeAlias = "tuple[str, tuple[AttributeValue, ...], tuple[TensorType | None, ...]]"


class TypeInferenceError(Exception):
    """No such node can exist: its inputs or attributes contradict the operator's specification."""


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
            self._cache[key] = found
        return found

    def _infer(
        self,
        operator_name: str,
        attributes: Mapping[str, AttributeValue],
        inputs: Sequence[TensorType | None],
        num_outputs: int,
    ) -> tuple[TensorType, ...]:
        own = _SHAPE_FUNCTIONS.get(operator_name)
        if own is not None:
            return own(inputs, attributes)
        operator = OPERATORS[operator_name]
        if operator.is_provider:
            return _like_first(inputs, attributes)
        schema = schema_of(operator, self._opset)
        if schema is None:
            raise TypeInferenceError(f"{operator.onnx_name} does not exist at opset {self._opset}")
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
        try:
            inferred = onnx.shape_inference.infer_node_outputs(
                schema,
                node,
                protos,
                constants,
                opset_imports=self._opset_imports,
            )
        except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, RuntimeError, ValueError) as error:
            raise TypeInferenceError(f"{operator.onnx_name}: {error}") from error
        try:
            return tuple(self._tensor_type(inferred[name], operator.onnx_name) for name in outputs)
        except KeyError as error:
            raise TypeInferenceError(f"{operator.onnx_name}: no type could be inferred") from error

    def _tensor_type(self, proto: onnx.TypeProto, what: str) -> TensorType:
        tensor = proto.tensor_type
        if not tensor.HasField("shape") or not tensor.elem_type:
            raise TypeInferenceError(f"{what}: no shape could be inferred")
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
    attributes = {
        name: onnx.numpy_helper.from_array(value, name) if isinstance(value, np.ndarray) else value
        for name, value in node.attributes.items()
    }
    return onnx.helper.make_node(
        node.op_type,
        list(node.inputs),
        list(node.outputs),
        domain=node.domain or None,
        **attributes,
    )


_Inputs: TypeAlias = "Sequence[TensorType | None]"
_Attributes: TypeAlias = "Mapping[str, AttributeValue]"


def _given(inputs: _Inputs, position: int) -> TensorType:
    type_ = inputs[position] if position < len(inputs) else None
    if type_ is None:
        raise TypeInferenceError(f"input {position} is missing")
    return type_


def _like_first(inputs: _Inputs, attributes: _Attributes) -> tuple[TensorType, ...]:
    del attributes
    return (_given(inputs, 0),)


def _ints(attributes: _Attributes, name: str) -> tuple[int, ...]:
    value = attributes[name]
    if not isinstance(value, tuple):
        raise TypeInferenceError(f"{name} must be integers")
    return value


def _int(attributes: _Attributes, name: str) -> int:
    value = attributes[name]
    if not isinstance(value, int):
        raise TypeInferenceError(f"{name} must be an integer")
    return value


def _reshape(inputs: _Inputs, attributes: _Attributes) -> tuple[TensorType, ...]:
    """Same elements, another shape: known sizes must agree once equal symbols are struck out on both sides."""
    source, target = _given(inputs, 0), _ints(attributes, "shape")
    left, right = list(source.shape), list(target)
    for dim in source.shape:
        if dim < 0 and dim in right:
            left.remove(dim)
            right.remove(dim)
    is_known = all(dim >= 0 for dim in (*left, *right))
    if is_known and np.prod(left, dtype=object) != np.prod(right, dtype=object):
        raise TypeInferenceError(f"Reshape: {source.shape} has not as many elements as {target}")
    return (TensorType(source.dtype, target),)


def _expand(inputs: _Inputs, attributes: _Attributes) -> tuple[TensorType, ...]:
    source, target = _given(inputs, 0), _ints(attributes, "shape")
    offset = len(target) - source.rank
    if offset < 0 or any(
        dim not in {1, target[position + offset]} for position, dim in enumerate(source.shape) if dim >= 0
    ):
        raise TypeInferenceError(f"Expand: {source.shape} does not broadcast to {target}")
    return (TensorType(source.dtype, target),)


def _split(inputs: _Inputs, attributes: _Attributes) -> tuple[TensorType, ...]:
    source, axis, sizes = _given(inputs, 0), _int(attributes, "axis"), _ints(attributes, "split")
    if not 0 <= axis < source.rank or (source.shape[axis] >= 0 and sum(sizes) != source.shape[axis]):
        raise TypeInferenceError(f"Split: {source.shape} along {axis} is not {sizes}")
    shape = source.shape
    return tuple(TensorType(source.dtype, (*shape[:axis], size, *shape[axis + 1 :])) for size in sizes)


def _constant_of_shape(inputs: _Inputs, attributes: _Attributes) -> tuple[TensorType, ...]:
    del inputs
    return (TensorType(_int(attributes, "dtype"), _ints(attributes, "shape")),)


def _multi_head_attention(inputs: _Inputs, attributes: _Attributes) -> tuple[TensorType, ...]:
    """``com.microsoft.MultiHeadAttention`` with query, key and value of rank 3.

    The additive bias must have rank 4 with the full last two axes (what ONNX Runtime's kernel asks for).
    """
    query, key, value = (_given(inputs, position) for position in range(3))
    heads = _int(attributes, "num_heads")
    if not query.rank == key.rank == value.rank == 3:  # noqa: PLR2004
        raise TypeInferenceError("MultiHeadAttention: query, key and value must have rank 3")
    if heads < 1 or query.shape[2] < 0 or query.shape[2] != key.shape[2] or query.shape[2] % heads:
        raise TypeInferenceError("MultiHeadAttention: the hidden size is not a multiple of the heads")
    if value.shape[2] < 0 or value.shape[2] % heads or key.shape[:2] != value.shape[:2]:
        raise TypeInferenceError("MultiHeadAttention: key and value do not fit")
    bias = inputs[5] if len(inputs) > 5 else None  # noqa: PLR2004
    if bias is not None:
        full = (query.shape[1], key.shape[1])
        allowed = ({query.shape[0], 1}, {heads, 1})
        if (
            bias.rank != 4
            or bias.shape[2:] != full
            or not all(  # noqa: PLR2004
                dim in choices for dim, choices in zip(bias.shape[:2], allowed, strict=True)
            )
        ):
            raise TypeInferenceError("MultiHeadAttention: the bias must have the full last two axes")
    return (TensorType(query.dtype, (query.shape[0], query.shape[1], value.shape[2])),)


def _bias_gelu(inputs: _Inputs, attributes: _Attributes) -> tuple[TensorType, ...]:
    del attributes
    source, bias = _given(inputs, 0), _given(inputs, 1)
    if bias.rank != 1 or source.rank < 1 or bias.shape[0] != source.shape[-1] or bias.dtype != source.dtype:
        raise TypeInferenceError("BiasGelu: the bias must be a vector of the last dimension")
    return (source,)


def _scaled_norm(inputs: _Inputs, attributes: _Attributes) -> tuple[TensorType, ...]:
    source, scale = _given(inputs, 0), _given(inputs, 1)
    axis = _int(attributes, "axis")
    if not -source.rank <= axis < 0 or scale.shape != source.shape[axis:]:
        raise TypeInferenceError("SimplifiedLayerNormalization: the scale must have the normalised shape")
    return (source,)


def _skip_norm(inputs: _Inputs, attributes: _Attributes) -> tuple[TensorType, ...]:
    del attributes
    source, skip, scale = (_given(inputs, position) for position in range(3))
    if source.shape != skip.shape or source.rank not in {2, 3} or scale.shape != source.shape[-1:]:
        raise TypeInferenceError("SkipLayerNormalization: input and skip must have one shape of rank 2 or 3")
    return (source,)


def _fused_matmul(inputs: _Inputs, attributes: _Attributes) -> tuple[TensorType, ...]:
    left, right = _given(inputs, 0), _given(inputs, 1)
    if _int(attributes, "transBatchA") or _int(attributes, "transBatchB"):
        raise TypeInferenceError("FusedMatMul: batch transposition is not modelled")
    if left.rank < 2 or right.rank < 2 or left.dtype != right.dtype:  # noqa: PLR2004
        raise TypeInferenceError("FusedMatMul: both factors need rank 2 or more")
    rows, inner = left.shape[-2:] if not _int(attributes, "transA") else reversed(left.shape[-2:])
    second, columns = right.shape[-2:] if not _int(attributes, "transB") else reversed(right.shape[-2:])
    if inner != second:
        raise TypeInferenceError("FusedMatMul: the inner dimensions differ")
    short, long = sorted((left.shape[:-2], right.shape[:-2]), key=len)
    batch = list(long)
    for position in range(1, len(short) + 1):
        one, two = short[-position], long[-position]
        if one != two and 1 not in {one, two}:
            raise TypeInferenceError("FusedMatMul: the batch dimensions do not broadcast")
        batch[-position] = two if one == 1 else one
    return (TensorType(left.dtype, (*batch, rows, columns)),)


_SHAPE_FUNCTIONS: Final[Mapping[str, Callable[[_Inputs, _Attributes], tuple[TensorType, ...]]]] = {
    "Reshape": _reshape,
    "Expand": _expand,
    "Split": _split,
    "ConstantOfShape": _constant_of_shape,
    "MsMultiHeadAttention": _multi_head_attention,
    "MsBiasGelu": _bias_gelu,
    "MsFusedMatMul": _fused_matmul,
    "MsSkipLayerNormalization": _skip_norm,
    "MsSkipSimplifiedLayerNormalization": _skip_norm,
    "SimplifiedLayerNormalization": _scaled_norm,
}
