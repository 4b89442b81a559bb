"""The types that ONNX's own inference finds for a whole model."""

from __future__ import annotations

from typing import Final

import onnx
import onnx.checker
import onnx.shape_inference
import onnx_ir
from google.protobuf.message import DecodeError

from ir.checks import DEFAULT_DOMAINS, all_graphs
from ir.errors import UnsupportedModelError
from ir.external_data import with_inner_data
from ir.serialised import cause, forget_foreign_types, proto_of

_SMALL_BYTES: Final = 4096
"""Tensors up to this size take part in inference: shapes and axes may hang on their elements."""


def infer_types(model: onnx_ir.Model) -> onnx_ir.Model:
    """Return a model without weights whose values carry the types that ONNX's inference finds.

    Types that the file states take part, as long as no two contradict each other; else only those that inference
    could not find by itself do. Inference that fails altogether leaves the types the file states.

    Raises:
        UnsupportedModelError: A part of the model has no serialised form.
    """
    try:
        bare = _without_weights(model)
        proto = proto_of(bare)
    except (RuntimeError, ValueError) as error:
        raise UnsupportedModelError(f"the model contradicts itself ({cause(error)})") from error
    try:
        return _inferred(proto, strict_mode=True)
    except _ERRORS:
        _forget_types(bare)
    try:
        return _inferred(proto_of(bare), strict_mode=False)
    except _ERRORS:
        return onnx_ir.from_proto(proto)


def _inferred(proto: onnx.ModelProto, *, strict_mode: bool) -> onnx_ir.Model:
    _forget_negative_sizes(proto)
    found = onnx.shape_inference.infer_shapes(proto, strict_mode=strict_mode, data_prop=True)
    forget_foreign_types(found)
    return onnx_ir.from_proto(found)


_ERRORS: Final = (
    RuntimeError,
    ValueError,
    onnx.shape_inference.InferenceError,
    onnx.checker.ValidationError,
    DecodeError,
)
"""What inference raises on models that contradict themselves or that it cannot follow."""


def _forget_negative_sizes(proto: onnx.ModelProto) -> None:
    """Take away sizes below zero, which exporters write for unknown ones and which end ONNX's inference natively."""
    for graph in all_graphs(proto):
        for value in (*graph.input, *graph.output, *graph.value_info):
            for dim in value.type.tensor_type.shape.dim:
                if dim.dim_value < 0:
                    dim.ClearField("dim_value")


def _forget_types(model: onnx_ir.Model) -> None:
    """Take away what the file states of the results of ONNX's own operators."""
    for node in model.graph:
        if node.domain in DEFAULT_DOMAINS:
            for value in node.outputs:
                value.shape, value.type = None, None


def _without_weights(model: onnx_ir.Model) -> onnx_ir.Model:
    """A copy in which big initializers are inputs: inference needs their types only."""
    copy = model.clone()
    graph = copy.graph
    for name, value in list(graph.initializers.items()):
        if value.const_value is None or value.const_value.nbytes <= _SMALL_BYTES:
            continue
        value.shape = onnx_ir.Shape(value.const_value.shape.numpy())
        value.type = onnx_ir.TensorType(value.const_value.dtype)
        value.const_value = None
        del graph.initializers[name]
        if value not in graph.inputs:
            graph.inputs.append(value)
    return with_inner_data(copy)
