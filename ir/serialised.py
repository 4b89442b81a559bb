"""Between a serialised model and the one this package works on, which has no place for some of its parts.

Sparse tensors become dense ones of the same elements, as ONNX Runtime makes of them when it loads a model. Training
information is kept as it is, and what it names stays, see :func:`held_names`; so are the types of inputs and outputs
that are maps.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnx_ir

from ir.checks import DEFAULT_DOMAINS, all_graphs, all_nodes, check_model, free_names, subgraph_protos
from ir.errors import UnsupportedModelError
from ir.tensor_data import KNOWN_TYPES, num_bytes, take_in, tensors_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_DENSE_BYTES: Final = 32 * 1024**2
"""Models whose sparse tensors take more than this when they are dense are not rewritten."""

_TRAINING: Final = "eqsat.training_info"
_HELD: Final = "eqsat.held_names"
_TYPES: Final = "eqsat.types"


def model_of(proto: onnx.ModelProto, path: Path) -> onnx_ir.Model:
    """Return the model behind a message, whose tensors were checked; nodes that stand too early are put in order.

    Args:
        proto: The message; its sparse tensors are replaced.
        path: Its file, for messages and for external data.

    Raises:
        InvalidModelError: It is no ONNX model at all.
        UnsupportedModelError: It has a part that cannot be rewritten.
    """
    try:
        return _model_of(proto, path)
    except UnicodeDecodeError as error:
        raise UnsupportedModelError(f"{path}: a name in it is no UTF-8 text, so it cannot be rewritten") from error


def _model_of(proto: onnx.ModelProto, path: Path) -> onnx_ir.Model:
    check_model(path, proto)
    for tensor in tensors_of(proto):
        if tensor.data_type not in KNOWN_TYPES:
            raise UnsupportedModelError(f"{path}: element type {tensor.data_type} of {tensor.name!r} is not known")
    _make_dense(path, proto)
    for information in proto.training_info:
        take_in(information, path.parent.resolve())
    types = {value.name: value.type.SerializeToString() for value in _interface(proto) if _is_foreign(value.type)}
    forget_foreign_types(proto)
    try:
        model = onnx_ir.from_proto(proto)
        if not _is_sorted(path, proto.graph):
            model.graph.sort()
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise UnsupportedModelError(f"{path}: cannot be rewritten ({cause(error)})") from error
    model.graph.meta[_TRAINING] = tuple(part.SerializeToString() for part in proto.training_info)
    model.graph.meta[_HELD] = frozenset(_names_held(path, proto))
    model.graph.meta[_TYPES] = types
    return model


def proto_of(model: onnx_ir.Model) -> onnx.ModelProto:
    """Return the message of a model, with what :func:`model_of` kept aside.

    Raises:
        UnsupportedModelError: A part of it has no serialised form.
    """
    try:
        proto = onnx_ir.to_proto(model)
    except (ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise UnsupportedModelError(f"the model cannot be written ({cause(error)})") from error
    for part in model.graph.meta.get(_TRAINING, ()):
        proto.training_info.add().ParseFromString(part)
    types: dict[str, bytes] = model.graph.meta.get(_TYPES, {})
    for value in _interface(proto):
        if value.name in types:
            value.type.ParseFromString(types[value.name])
    return proto


def cloned(model: onnx_ir.Model) -> onnx_ir.Model:
    """Return a copy that shares the tensors, with what :func:`model_of` kept aside."""
    copy = model.clone()
    keep_aside(model.graph, copy.graph)
    return copy


def keep_aside(old: onnx_ir.Graph, new: onnx_ir.Graph) -> None:
    """Give a main graph what :func:`model_of` kept aside for another one."""
    for key in (_TRAINING, _HELD, _TYPES):
        if key in old.meta:
            new.meta[key] = old.meta[key]


def held_names(model: onnx_ir.Model) -> frozenset[str]:
    """Return the initializers that must stay as they are: training changes them, or an annotation refers to them."""
    names: frozenset[str] = model.graph.meta.get(_HELD, frozenset())
    return names


def forget_foreign_types(proto: onnx.ModelProto) -> None:
    """Take the types that onnx_ir has no form for from the values of a message; the operators say them anyway."""
    for graph in all_graphs(proto):
        for value in (*graph.input, *graph.output, *graph.value_info):
            if _is_foreign(value.type):
                value.ClearField("type")


def _interface(proto: onnx.ModelProto) -> Iterator[onnx.ValueInfoProto]:
    yield from proto.graph.input
    yield from proto.graph.output


def _is_foreign(type_: onnx.TypeProto) -> bool:
    match type_.WhichOneof("value"):
        case "tensor_type" | "sparse_tensor_type" | None:
            return False
        case "sequence_type":
            return _is_foreign(type_.sequence_type.elem_type)
        case "optional_type":
            return _is_foreign(type_.optional_type.elem_type)
        case _:
            return True


def cause(error: BaseException) -> str:
    """Return what lies at the bottom of a library's error: its first line, without what it asks of its reader."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = re.split(r"(?i)\s*please\b", str(error).strip())[0].splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _names_held(path: Path, proto: onnx.ModelProto) -> Iterator[str]:
    for information in proto.training_info:
        for graph in (information.initialization, information.algorithm):
            yield from free_names(path, graph)
        for binding in (*information.initialization_binding, *information.update_binding):
            yield from (binding.key, binding.value)
    for annotation in proto.graph.quantization_annotation:
        for entry in annotation.quant_parameter_tensor_names:
            yield entry.value


def _is_sorted(path: Path, graph: onnx.GraphProto) -> bool:
    """Whether every node stands after what it uses, and what its subgraphs use."""
    later = {name for node in graph.node for name in node.output if name}
    for node in graph.node:
        captured = [name for inner in subgraph_protos(node) for name in free_names(path, inner)]
        if not later.isdisjoint((*node.input, *captured)):
            return False
        later.difference_update(node.output)
    return True


# --- sparse tensors ------------------------------------------------------------------------------------------------


def _make_dense(path: Path, model: onnx.ModelProto) -> None:
    """Replace sparse initializers, and constants with a sparse value, by dense ones."""
    left = MAX_DENSE_BYTES
    for graph in all_graphs(model):
        for sparse in graph.sparse_initializer:
            dense = _dense(path, sparse, left)
            left -= num_bytes(dense)
            graph.initializer.append(dense)
        graph.ClearField("sparse_initializer")
    for node in all_nodes(model):
        for attribute in node.attribute:
            if attribute.type != onnx.AttributeProto.SPARSE_TENSOR or attribute.ref_attr_name:
                continue
            if node.op_type != "Constant" or node.domain not in DEFAULT_DOMAINS or attribute.name != "sparse_value":
                raise UnsupportedModelError(f"{path}: {node.op_type} has a sparse attribute, which cannot be rewritten")
            dense = _dense(path, attribute.sparse_tensor, left)
            left -= num_bytes(dense)
            attribute.CopyFrom(onnx.helper.make_attribute("value", dense))


def _dense(path: Path, sparse: onnx.SparseTensorProto, max_bytes: int) -> onnx.TensorProto:
    """The dense tensor; indices are positions in it when it is flat, or one row of coordinates for each element."""
    name = sparse.values.name
    bare = onnx.TensorProto(name=name, data_type=sparse.values.data_type, dims=sparse.dims)
    if bare.data_type == onnx.TensorProto.STRING or any(dim < 0 for dim in sparse.dims):
        raise UnsupportedModelError(f"{path}: the sparse tensor {name!r} cannot be made dense")
    if num_bytes(bare) > max_bytes:
        raise UnsupportedModelError(f"{path}: the sparse tensor {name!r} is too large to be made dense")
    take_in(sparse, path.parent.resolve())
    try:
        return onnx.numpy_helper.from_array(_scattered(sparse), name)
    except (ValueError, TypeError, IndexError) as error:
        what = f"the sparse tensor {name!r} contradicts itself ({cause(error)})"
        raise UnsupportedModelError(f"{path}: {what}") from error


def _scattered(sparse: onnx.SparseTensorProto) -> np.ndarray:
    values = onnx.numpy_helper.to_array(sparse.values)
    indices = onnx.numpy_helper.to_array(sparse.indices).astype(np.int64)
    if indices.ndim == 2:
        indices = np.ravel_multi_index(tuple(indices.T), tuple(sparse.dims))
    if indices.shape != values.shape or indices.min(initial=0) < 0:
        raise IndexError("it has not one place for each value")
    flat = np.zeros(math.prod(sparse.dims), values.dtype)
    flat[indices] = values
    return flat.reshape(sparse.dims)
