"""Between a serialised model and the one this package works on, which has no place for some of its parts.

Sparse tensors become dense ones of the same elements, as ONNX Runtime makes of them when it loads a model. Training
information is kept as it is; what it names stays, see :func:`held_names`.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx
import onnx.external_data_helper
import onnx.numpy_helper
import onnx_ir

from ir.checks import check_model, free_names, subgraph_protos
from ir.errors import UnsupportedModelError
from ir.tensor_data import num_bytes, tensors_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_DENSE_BYTES: Final = 32 * 1024**2
"""Models whose sparse tensors take more than this when they are dense are not rewritten."""

_TRAINING: Final = "eqsat.training_info"
_HELD: Final = "eqsat.held_names"
_QUANTISATION: Final = "quant_parameter_tensor_names"
"""Where onnx_ir keeps the quantisation annotation of a value."""


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
    _make_dense(path, proto)
    for information in proto.training_info:
        for tensor in tensors_of(information):
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                onnx.external_data_helper.load_external_data_for_tensor(tensor, str(path.parent.resolve()))
                tensor.ClearField("external_data")
                tensor.data_location = onnx.TensorProto.DEFAULT
    try:
        model = onnx_ir.from_proto(proto)
        if not _is_sorted(path, proto.graph):
            model.graph.sort()
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise UnsupportedModelError(f"{path}: cannot be rewritten ({cause(error)})") from error
    model.graph.meta[_TRAINING] = tuple(part.SerializeToString() for part in proto.training_info)
    model.graph.meta[_HELD] = frozenset(_names_held(path, proto))
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
    return proto


def cloned(model: onnx_ir.Model) -> onnx_ir.Model:
    """Return a copy that shares the tensors, with what :func:`model_of` kept aside."""
    copy = model.clone()
    keep_aside(model, copy)
    return copy


def keep_aside(old: onnx_ir.Model, new: onnx_ir.Model) -> None:
    """Give a model what :func:`model_of` kept aside for another one."""
    for key in (_TRAINING, _HELD):
        if key in old.graph.meta:
            new.graph.meta[key] = old.graph.meta[key]


def held_names(model: onnx_ir.Model) -> frozenset[str]:
    """Return the initializers that must stay as they are: training changes them, or an annotation refers to them."""
    names: frozenset[str] = model.graph.meta.get(_HELD, frozenset())
    return names


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
    for graph in _graphs(model):
        for sparse in graph.sparse_initializer:
            dense = _dense(path, sparse, left)
            left -= num_bytes(dense)
            graph.initializer.append(dense)
        graph.ClearField("sparse_initializer")
    for node in _nodes(model):
        for attribute in node.attribute:
            if attribute.type != onnx.AttributeProto.SPARSE_TENSOR or attribute.ref_attr_name:
                continue
            if node.op_type != "Constant" or attribute.name != "sparse_value":
                raise UnsupportedModelError(f"{path}: {node.op_type} has a sparse attribute, which cannot be rewritten")
            dense = _dense(path, attribute.sparse_tensor, left)
            left -= num_bytes(dense)
            attribute.CopyFrom(onnx.helper.make_attribute("value", dense))


def _graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    yield model.graph
    for node in _nodes(model):
        yield from subgraph_protos(node)


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    pending = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while pending:
        node = pending.pop()
        yield node
        for graph in subgraph_protos(node):
            pending.extend(graph.node)


def _dense(path: Path, sparse: onnx.SparseTensorProto, max_bytes: int) -> onnx.TensorProto:
    """The dense tensor; indices are positions in it when it is flat, or one row of coordinates for each element."""
    name = sparse.values.name
    bare = onnx.TensorProto(name=name, data_type=sparse.values.data_type, dims=sparse.dims)
    if any(dim < 0 for dim in sparse.dims) or num_bytes(bare) > max_bytes:
        raise UnsupportedModelError(f"{path}: the sparse tensor {name!r} is too large to be made dense")
    folder = str(path.parent.resolve())
    try:
        values = onnx.numpy_helper.to_array(sparse.values, folder)
        indices = onnx.numpy_helper.to_array(sparse.indices, folder).astype(np.int64)
        if indices.ndim == 2:
            indices = np.ravel_multi_index(tuple(indices.T), tuple(sparse.dims))
        flat = np.zeros(math.prod(sparse.dims), values.dtype)
        flat[indices] = values
    except (ValueError, TypeError, IndexError) as error:
        raise UnsupportedModelError(f"{path}: the sparse tensor {name!r} contradicts itself ({cause(error)})") from error
    return onnx.numpy_helper.from_array(flat.reshape(sparse.dims), name)
