"""Multiply-accumulates: how many an operator makes, and a whole model.

As is usual, only operators that sum products are counted (matrix products, convolutions, attention, recurrences), and a
multiplication with its addition is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ir.types import TensorType

if TYPE_CHECKING:
    from ir.graph import AttributeValue, Graph

_Attributes = Mapping[str, "AttributeValue"]
_Types = Sequence[TensorType]


def num_macs(operator: str, attributes: _Attributes, inputs: _Types, num_results: int) -> float | None:
    """Return the multiply-accumulates of one operator; None where it sums no products.

    Args:
        operator: Its name in the operator table.
        attributes: Its attributes.
        inputs: Types of the inputs that are there, every dimension a number.
        num_results: Elements of all its outputs together.
    """
    count = _COUNTS.get(operator)
    return count(operator, attributes, inputs, num_results) if count is not None and len(inputs) > 1 else None


def model_macs(graph: Graph, sizes: Mapping[int, int]) -> int | None:
    """Return the multiply-accumulates of one run; None where a type or a size behind one is not known.

    Bodies of If, Loop and Scan, and functions of the model's own, are not counted.

    Args:
        graph: The model.
        sizes: Sizes by symbol.
    """
    total = 0.0
    for node in graph.nodes:
        if node.operator not in _COUNTS:
            continue
        inputs = _sized(graph, node.inputs, sizes)
        outputs = _sized(graph, node.outputs, sizes)
        if inputs is None or outputs is None:
            return None
        num_results = sum(_num_elements(type_) for type_ in outputs)
        total += num_macs(node.operator, node.attributes, inputs, num_results) or 0.0
    return round(total)


def _sized(graph: Graph, names: Sequence[str], sizes: Mapping[int, int]) -> list[TensorType] | None:
    """The types of the values that are there, every dimension a number; None where one is not known."""
    sized = []
    for name in filter(None, names):
        type_ = graph.types.get(name)
        if type_ is None or any(dim < 0 and dim not in sizes for dim in type_.shape):
            return None
        sized.append(TensorType(type_.dtype, tuple(dim if dim >= 0 else sizes[dim] for dim in type_.shape)))
    return sized


def _num_elements(type_: TensorType) -> int:
    return math.prod(type_.shape)


def _num_rows(type_: TensorType) -> float:
    return _num_elements(type_) / max(type_.shape[-1], 1) if type_.shape else 1.0


def _product(_: str, attributes: _Attributes, inputs: _Types, num_results: int) -> float:
    left = inputs[0]
    is_transposed = bool(attributes.get("transA")) and left.rank > 1
    summed = left.shape[-2 if is_transposed else -1] if left.shape else 1
    return num_results * summed


def _convolution(operator: str, _: _Attributes, inputs: _Types, num_results: int) -> float:
    weight = inputs[3 if operator == "QLinearConv" else 1]
    return num_results * _num_elements(weight) / max(weight.shape[0], 1)


def _transposed_convolution(_: str, __: _Attributes, inputs: _Types, ___: int) -> float:
    weight = inputs[1]
    return _num_elements(inputs[0]) * _num_elements(weight) / max(weight.shape[0], 1)


def _attention(_: str, __: _Attributes, inputs: _Types, num_results: int) -> float:
    """The products of all queries with all keys, and of these with the values."""
    key = inputs[1]
    return 2.0 * num_results * (key.shape[-2] if key.rank > 1 else 1)


def _projecting_attention(_: str, __: _Attributes, inputs: _Types, num_results: int) -> float:
    """Attention of a sequence to itself, after one product that makes queries, keys and values."""
    source, weight = inputs[:2]
    length = source.shape[-2] if source.rank > 1 else 1
    return _num_rows(source) * _num_elements(weight) + 2.0 * num_results * length


def _recurrence(_: str, __: _Attributes, inputs: _Types, ___: int) -> float:
    return _num_rows(inputs[0]) * sum(_num_elements(type_) for type_ in inputs[1:3])


_COUNTS: Final[Mapping[str, Callable[[str, _Attributes, _Types, int], float]]] = {
    **dict.fromkeys(("MatMul", "Gemm", "MatMulInteger", "QLinearMatMul", "MsFusedMatMul"), _product),
    **dict.fromkeys(("Conv", "QLinearConv"), _convolution),
    "ConvTranspose": _transposed_convolution,
    **dict.fromkeys(("Attention", "MsMultiHeadAttention", "MsGroupQueryAttention"), _attention),
    "MsAttention": _projecting_attention,
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrence),
}
