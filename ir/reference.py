"""A model evaluated in float64: the truth that float32 results are judged by.

Every 16 and 32 bit float of the model (initializers, constants, types, targets of casts) becomes float64, in
subgraphs and functions too, and ONNX's own reference implementation runs it. That is slow, so it is asked only when
two float32 results differ by more than expected.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
from onnx.reference import ReferenceEvaluator

from ir.onnx_file import load_model, path_to_model, weights_bytes

MAX_WEIGHTS_BYTES: Final = 2**29
"""Models with more weights are not evaluated: float64 and the evaluator's own copies need six times as much memory."""

_NARROW: Final = frozenset({onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16})

_NARROW_ARRAYS: Final = frozenset(onnx.helper.tensor_dtype_to_np_dtype(dtype) for dtype in _NARROW)

_TYPE_ATTRIBUTES: Final[Mapping[str, str]] = {
    "Cast": "to",
    "EyeLike": "dtype",
    "Range": "dtype",
    "SequenceEmpty": "dtype",
    "BlackmanWindow": "output_datatype",
    "HannWindow": "output_datatype",
    "HammingWindow": "output_datatype",
    "MelWeightMatrix": "output_datatype",
    "DequantizeLinear": "output_dtype",
    "Attention": "softmax_precision",
}
"""The attribute that holds a type, by operator; 0 or absent means that the type follows from an input."""

_FLOAT32_BY_DEFAULT: Final = frozenset({"EyeLike", "BlackmanWindow", "HannWindow", "HammingWindow", "MelWeightMatrix"})
"""Operators whose type attribute means float32 where it is missing."""

EVALUATION_ERRORS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What the reference implementation raises on operators and values that it does not support."""


def evaluate_float64(
    path: Path, feeds: Mapping[str, np.ndarray], *, noise: float = 0.0, rng: np.random.Generator | None = None
) -> dict[str, np.ndarray] | None:
    """Return what a model computes when every rounding is that of float64.

    With ``noise``, weights and inputs are first multiplied by ``1 + noise * normal``, each element on its own: what
    changes then is what rounding decides. Whole numbers stay, because they may be scales, exponents or sizes.

    Args:
        path: The model, in the types it was written in.
        feeds: Arrays by input name, in the model's own types.
        noise: Relative standard deviation of the noise; 0 for none.
        rng: Source of the noise; none is added without it.

    Returns:
        The outputs by name, float64 where the model has a 16, 32 or 64 bit float; None where an operator has no
        reference implementation for such values (all of ONNX Runtime's own), or where the model is too large.

    Raises:
        InvalidModelError: The file is no ONNX model that can be read safely.
    """
    if weights_bytes(load_model(path)) > MAX_WEIGHTS_BYTES:
        return None
    model = path_to_model(path)
    _widen_model(model)
    if noise and rng is not None:
        _add_noise(model.graph, noise, rng)
    known = {value.name for value in model.graph.input}
    wide = {name: widened(array) for name, array in feeds.items() if name in known}
    if noise and rng is not None:
        wide = {name: _noisy(array, noise, rng) for name, array in wide.items()}
    names = [value.name for value in model.graph.output]
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore", category=RuntimeWarning):
            results = ReferenceEvaluator(model).run(names, wide)
    except EVALUATION_ERRORS:
        return None
    arrays = {name: np.asarray(result) for name, result in zip(names, results, strict=True)}
    return None if any(array.dtype == object for array in arrays.values()) else arrays


def widened(array: np.ndarray) -> np.ndarray:
    """Return 16 and 32 bit floats as float64, anything else as it is."""
    return array.astype(np.float64) if array.dtype in _NARROW_ARRAYS else array


def _add_noise(graph: onnx.GraphProto, noise: float, rng: np.random.Generator) -> None:
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.DOUBLE:
            array = _noisy(onnx.numpy_helper.to_array(tensor), noise, rng)
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))


def _noisy(array: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    if array.dtype != np.float64 or bool(np.all(array == np.rint(array))):
        return array
    return np.asarray(array * (1.0 + noise * rng.standard_normal(array.shape)))


def _widen_model(model: onnx.ModelProto) -> None:
    _widen_graph(model.graph)
    for function in model.functions:
        _widen_nodes(function.node)
        del function.value_info[:]


def _widen_graph(graph: onnx.GraphProto) -> None:
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    for value in (*graph.input, *graph.output, *graph.value_info):
        _widen_type(value.type)
    _widen_nodes(graph.node)


def _widen_nodes(nodes: Iterable[onnx.NodeProto]) -> None:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                _widen_tensor(attribute.t)
            for graph in _graphs(attribute):
                _widen_graph(graph)
            if attribute.name == _TYPE_ATTRIBUTES.get(node.op_type) and attribute.i in _NARROW:
                attribute.i = onnx.TensorProto.DOUBLE
        given = {attribute.name for attribute in node.attribute}
        if node.op_type in _FLOAT32_BY_DEFAULT and _TYPE_ATTRIBUTES[node.op_type] not in given:
            name = _TYPE_ATTRIBUTES[node.op_type]
            node.attribute.append(onnx.helper.make_attribute(name, int(onnx.TensorProto.DOUBLE)))
        if node.op_type == "ConstantOfShape" and "value" not in given:
            zero = onnx.numpy_helper.from_array(np.zeros(1))
            node.attribute.append(onnx.helper.make_attribute("value", zero))
        if node.op_type == "Constant":
            _widen_constant(node)


def _graphs(attribute: onnx.AttributeProto) -> Iterator[onnx.GraphProto]:
    if attribute.type == onnx.AttributeProto.GRAPH:
        yield attribute.g
    elif attribute.type == onnx.AttributeProto.GRAPHS:
        yield from attribute.graphs


def _widen_constant(node: onnx.NodeProto) -> None:
    """``value_float`` and ``value_floats`` are float32 by their names; make them tensors."""
    for attribute in node.attribute:
        if attribute.name in {"value_float", "value_floats"} and not attribute.ref_attr_name:
            numbers = attribute.f if attribute.name == "value_float" else list(attribute.floats)
            tensor = onnx.numpy_helper.from_array(np.array(numbers, dtype=np.float64))
            attribute.CopyFrom(onnx.helper.make_attribute("value", tensor))


def _widen_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_type in _NARROW:
        array = onnx.numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))


def _widen_type(type_: onnx.TypeProto) -> None:
    kind = type_.WhichOneof("value")
    if kind in {"tensor_type", "sparse_tensor_type"}:
        tensor = getattr(type_, kind)
        if tensor.elem_type in _NARROW:
            tensor.elem_type = onnx.TensorProto.DOUBLE
    elif kind in {"sequence_type", "optional_type"}:
        _widen_type(getattr(type_, kind).elem_type)
