"""Tensors that lie in files beside a model: found wherever they stand, moved when it moves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import onnx_ir

from ir.atomic_file import replacing
from ir.serialised import cloned
from ir.subgraphs import attribute_graphs

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALIGNMENT_BYTES: Final = 4096
"""Tensors start at multiples of a memory page, so that a runtime can map them."""

_MIN_EXTERNAL_BYTES: Final = 1024
"""Smaller tensors stay in the model."""


def tensors(model: onnx_ir.Model) -> Iterator[onnx_ir.TensorProtocol]:
    """Return every tensor of a model: initializers and attributes, subgraphs and functions included."""
    for value in _initializers(model):
        if value.const_value is not None:
            yield value.const_value
    for holder in _attribute_holders(model):
        for attribute in holder.attributes.values():
            yield from _attribute_tensors(attribute)


def _root_graphs(model: onnx_ir.Model) -> Iterator[onnx_ir.Graph]:
    """The main graph, and the graphs that attributes of functions have by default."""
    yield model.graph
    for function in model.functions.values():
        for attribute in function.attributes.values():
            yield from attribute_graphs(attribute)


def _initializers(model: onnx_ir.Model) -> Iterator[onnx_ir.Value]:
    for graph in _root_graphs(model):
        yield from graph.initializers.values()
        for inner in graph.subgraphs():
            yield from inner.initializers.values()
    for function in model.functions.values():
        for graph in function.subgraphs():
            yield from graph.initializers.values()


def _attribute_holders(model: onnx_ir.Model) -> Iterator[onnx_ir.Node | onnx_ir.Function]:
    """Every node, and every function: its attributes may have defaults."""
    for graph in _root_graphs(model):
        yield from graph.all_nodes()
    for function in model.functions.values():
        yield function
        yield from function.all_nodes()


def _attribute_tensors(attribute: onnx_ir.Attr) -> Iterator[onnx_ir.TensorProtocol]:
    if attribute.is_ref() or attribute.value is None:
        return
    if attribute.type == onnx_ir.AttributeType.TENSOR:
        yield attribute.as_tensor()
    elif attribute.type == onnx_ir.AttributeType.TENSORS:
        yield from attribute.as_tensors()


def attach(model: onnx_ir.Model, folder: Path) -> None:
    """Point external tensors at the folder that holds them, see :func:`ir.tensor_data.check_tensors`."""
    for tensor in tensors(model):
        if isinstance(tensor, onnx_ir.ExternalTensor):
            tensor.base_dir = str(folder)


def outer_files(model: onnx_ir.Model) -> tuple[Path, ...]:
    """Return the files that hold the model's external tensors, each once."""
    found = {Path(tensor.path): None for tensor in tensors(model) if isinstance(tensor, onnx_ir.ExternalTensor)}
    return tuple(found)


def outer_bytes(model: onnx_ir.Model) -> int:
    """Return the bytes of the tensors that lie in files beside the model."""
    return sum(tensor.nbytes for tensor in tensors(model) if isinstance(tensor, onnx_ir.ExternalTensor))


def with_inner_data(model: onnx_ir.Model) -> onnx_ir.Model:
    """Return the model with nothing outside its own file; elements are read when it is written, not before."""
    if not outer_files(model):
        return model
    copy = cloned(model)
    for value in _initializers(copy):
        if isinstance(value.const_value, onnx_ir.ExternalTensor):
            value.const_value = _inner(value.const_value)
    for holder in _attribute_holders(copy):
        for name, attribute in list(holder.attributes.items()):
            if any(isinstance(tensor, onnx_ir.ExternalTensor) for tensor in _attribute_tensors(attribute)):
                holder.attributes[name] = _with_inner_tensors(attribute)
    return copy


def _with_inner_tensors(attribute: onnx_ir.Attr) -> onnx_ir.Attr:
    found = [
        _inner(tensor) if isinstance(tensor, onnx_ir.ExternalTensor) else tensor
        for tensor in _attribute_tensors(attribute)
    ]
    value = found[0] if attribute.type == onnx_ir.AttributeType.TENSOR else found
    return onnx_ir.Attr(attribute.name, attribute.type, value, doc_string=attribute.doc_string)


def _inner(tensor: onnx_ir.ExternalTensor) -> onnx_ir.TensorProtocol:
    return renamed(tensor, tensor.name or "")


def renamed(tensor: onnx_ir.TensorProtocol, name: str) -> onnx_ir.TensorProtocol:
    """Return a tensor under another name that reads its elements from the first one when they are asked for."""
    if tensor.dtype == onnx_ir.DataType.STRING:
        elements = [str(item).encode() if isinstance(item, str) else bytes(item) for item in tensor.numpy().reshape(-1)]
        return onnx_ir.StringTensor(elements, shape=onnx_ir.Shape(tensor.shape.numpy()), name=name)
    return onnx_ir.LazyTensor(
        lambda: tensor,
        dtype=tensor.dtype,
        shape=onnx_ir.Shape(tensor.shape.numpy()),
        name=name,
        doc_string=tensor.doc_string,
        metadata_props=dict(tensor.metadata_props),
    )


def with_outer_data(model: onnx_ir.Model, data_path: Path, *, is_durable: bool = True) -> onnx_ir.Model:
    """Write the model's big initializers to a file and return the model that refers to it.

    Raises:
        OSError: The file cannot be written.
    """
    copy = cloned(model)
    with replacing(data_path, is_durable=is_durable) as temporary, temporary.open("wb") as file:
        for value in _initializers(copy):
            tensor = value.const_value
            if tensor is None or tensor.nbytes < _MIN_EXTERNAL_BYTES or tensor.dtype == onnx_ir.DataType.STRING:
                continue
            file.write(bytes(-file.tell() % _ALIGNMENT_BYTES))
            offset = file.tell()
            if isinstance(tensor, onnx_ir.ExternalTensor):
                tensor.tofile(file)  # a piece at a time
            else:
                file.write(tensor.tobytes())
            value.const_value = onnx_ir.ExternalTensor(
                location=data_path.name,
                offset=offset,
                length=tensor.nbytes,
                dtype=tensor.dtype,
                shape=onnx_ir.Shape(tensor.shape.numpy()),
                name=tensor.name or value.name or "",
                doc_string=tensor.doc_string,
                metadata_props=dict(tensor.metadata_props),
                base_dir=str(data_path.parent),
            )
    return copy
