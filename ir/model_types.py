"""The types that ONNX's own inference finds for a whole model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import onnx
import onnx.checker
import onnx.helper
import onnx.shape_inference
import onnx_ir
from google.protobuf.message import DecodeError

from ir.checks import DEFAULT_DOMAINS, all_graphs
from ir.errors import UnsupportedModelError
from ir.external_data import with_inner_data
from ir.serialised import cause, forget_foreign_types, proto_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

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
        return _with_ranks(_inferred(proto, strict_mode=True))
    except INFERENCE_ERRORS:
        _forget_types(bare)
    try:
        return _with_ranks(_inferred(proto_of(bare), strict_mode=False))
    except INFERENCE_ERRORS:
        return onnx_ir.from_proto(proto)


def _with_ranks(model: onnx_ir.Model) -> onnx_ir.Model:
    """Return the model with the types that follow once the ranks of reshaped values are stated.

    ONNX's inference gives a reshaped value no rank where its shape is computed, though the number of its dimensions is
    known: it is the length of that shape. One reshape may wait for another.
    """
    while _state_ranks(model):
        model = _inferred(proto_of(model), strict_mode=False)
    return model


def _state_ranks(model: onnx_ir.Model) -> bool:
    """Give results of reshapes the rank that they must have; False where nothing is new."""
    is_new = False
    for node in model.graph:
        if node.op_type != "Reshape" or node.domain not in DEFAULT_DOMAINS or len(node.inputs) != 2:
            continue
        (source, wanted), result = node.inputs, node.outputs[0]
        if source is None or source.type is None or wanted is None or wanted.shape is None or result.shape is not None:
            continue
        rank = wanted.shape[0] if len(wanted.shape) == 1 else None
        if isinstance(rank, int):
            result.shape, result.type = onnx_ir.Shape([None] * rank), source.type
            is_new = True
    return is_new


def infer_at(model: onnx_ir.Model, shapes: Mapping[str, Sequence[int]]) -> onnx_ir.Model:
    """Return a model without weights whose values carry the types that ONNX's inference finds at shapes of its inputs.

    What the file states of inner values takes no part: it may be of other sizes.

    Args:
        model: The model.
        shapes: Sizes by input name; other inputs keep theirs.

    Raises:
        UnsupportedModelError: A part of the model has no serialised form.
    """
    try:
        bare = _without_weights(model)
        _forget_types(bare)
        for value in bare.graph.inputs:
            if value.name is not None and value.name in shapes:
                value.shape = onnx_ir.Shape(shapes[value.name])
        return _inferred(proto_of(bare), strict_mode=False)
    except INFERENCE_ERRORS as error:
        raise UnsupportedModelError(f"the model contradicts itself ({cause(error)})") from error


def _inferred(proto: onnx.ModelProto, *, strict_mode: bool) -> onnx_ir.Model:
    _forget_negative_sizes(proto)
    _hide_fragile_nodes(proto)
    found = onnx.shape_inference.infer_shapes(proto, strict_mode=strict_mode, data_prop=True)
    forget_foreign_types(found)
    return onnx_ir.from_proto(found)


INFERENCE_ERRORS: Final = (
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


_FRAGILE: Final = frozenset(
    {("", "EyeLike"), ("", "RegexFullMatch"), ("ai.onnx.ml", "LabelEncoder"), ("ai.onnx.ml", "DictVectorizer")}
)
"""Operators whose inference reads the type of their input without asking whether there is one: a native crash."""

_NOWHERE: Final = "eqsat.unknown"
"""A domain of which inference knows no operator, so that it passes over what stands in it."""


def _hide_fragile_nodes(proto: onnx.ModelProto) -> None:
    """Keep from inference the nodes that crash it where their input is not typed by the file itself."""
    for graph in all_graphs(proto):
        values = (*graph.input, *graph.value_info)
        typed = {value.name for value in values if value.type.tensor_type.elem_type}
        typed.update(tensor.name for tensor in graph.initializer)
        _hide(graph.node, typed)
    for function in proto.functions:
        _hide(function.node, set())
    for holder in (proto, *proto.functions):
        holder.opset_import.append(onnx.helper.make_opsetid(_NOWHERE, 1))


def _hide(nodes: Iterable[onnx.NodeProto], typed: Container[str]) -> None:
    for node in nodes:
        domain = "" if node.domain in DEFAULT_DOMAINS else node.domain
        if (domain, node.op_type) in _FRAGILE and not all(name in typed for name in node.input if name):
            node.domain = _NOWHERE


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
