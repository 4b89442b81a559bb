"""Types that nodes give: where ONNX has no schema, and where the normal form states the shape itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from ir.types import TensorType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ir.graph import AttributeValue


class TypeInferenceError(Exception):
    """No such node can exist: its inputs or attributes contradict the operator's specification."""


_Inputs: TypeAlias = "Sequence[TensorType | None]"
_Attributes: TypeAlias = "Mapping[str, AttributeValue]"


def _given(inputs: _Inputs, position: int) -> TensorType:
    type_ = inputs[position] if position < len(inputs) else None
    if type_ is None:
        raise TypeInferenceError(f"input {position} is missing")
    return type_


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
    if not query.rank == key.rank == value.rank == 3:
        raise TypeInferenceError("MultiHeadAttention: query, key and value must have rank 3")
    if heads < 1 or query.shape[2] < 0 or query.shape[2] != key.shape[2] or query.shape[2] % heads:
        raise TypeInferenceError("MultiHeadAttention: the hidden size is not a multiple of the heads")
    if value.shape[2] < 0 or value.shape[2] % heads or key.shape[:2] != value.shape[:2]:
        raise TypeInferenceError("MultiHeadAttention: key and value do not fit")
    bias = inputs[5] if len(inputs) > 5 else None
    if bias is not None:
        full = (query.shape[1], key.shape[1])
        allowed = ({query.shape[0], 1}, {heads, 1})
        if (
            bias.rank != 4
            or bias.shape[2:] != full
            or not all(dim in choices for dim, choices in zip(bias.shape[:2], allowed, strict=True))
        ):
            raise TypeInferenceError("MultiHeadAttention: the bias must have the full last two axes")
    return (TensorType(query.dtype, (query.shape[0], query.shape[1], value.shape[2])),)


def _attention(inputs: _Inputs, attributes: _Attributes) -> tuple[TensorType, ...]:
    """``com.microsoft.Attention`` of an input [batch, sequence, width] and weights [width, 3 * hidden]."""
    source, weights = _given(inputs, 0), _given(inputs, 1)
    heads = _int(attributes, "num_heads")
    if source.rank != 3 or weights.rank != 2 or source.shape[2] != weights.shape[0] or source.dtype != weights.dtype:
        raise TypeInferenceError("Attention: the input must be [batch, sequence, width], the weights [width, 3 hidden]")
    if heads < 1 or weights.shape[1] < 0 or weights.shape[1] % (3 * heads):
        raise TypeInferenceError("Attention: the hidden size is not a multiple of the heads")
    return (TensorType(source.dtype, (*source.shape[:2], weights.shape[1] // 3)),)


def _group_query_attention(inputs: _Inputs, attributes: _Attributes) -> tuple[TensorType, ...]:
    """``com.microsoft.GroupQueryAttention`` with query, key and value of rank 3 and no past."""
    query, key, value = (_given(inputs, position) for position in range(3))
    heads, groups = _int(attributes, "num_heads"), _int(attributes, "kv_num_heads")
    if not query.rank == key.rank == value.rank == 3 or key.shape != value.shape or query.shape[:2] != key.shape[:2]:
        raise TypeInferenceError("GroupQueryAttention: query, key and value must have rank 3 and one sequence")
    if groups < 1 or heads % groups or key.shape[2] % groups or query.shape[2] * groups != key.shape[2] * heads:
        raise TypeInferenceError("GroupQueryAttention: the hidden sizes do not fit the heads")
    return (query,)


def _like_first(inputs: _Inputs, attributes: _Attributes) -> tuple[TensorType, ...]:
    del attributes
    return (_given(inputs, 0),)


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
    if left.rank < 2 or right.rank < 2 or left.dtype != right.dtype:
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


SHAPE_FUNCTIONS: Final[Mapping[str, Callable[[_Inputs, _Attributes], tuple[TensorType, ...]]]] = {
    "Reshape": _reshape,
    "Expand": _expand,
    "Split": _split,
    "ConstantOfShape": _constant_of_shape,
    "MsAttention": _attention,
    "MsMultiHeadAttention": _multi_head_attention,
    "MsBiasGelu": _bias_gelu,
    "MsGroupQueryAttention": _group_query_attention,
    "MsFusedMatMul": _fused_matmul,
    "MsSkipLayerNormalization": _skip_norm,
    "MsSkipSimplifiedLayerNormalization": _skip_norm,
    "SimplifiedLayerNormalization": _scaled_norm,
    **dict.fromkeys(("MsGelu", "MsQuickGelu", "MsFastGelu", "MsRotaryEmbedding"), _like_first),
    **dict.fromkeys(("GroupNormalization", "MeanVarianceNormalization"), _like_first),
}
