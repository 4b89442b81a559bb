"""A model written tensor by tensor, so that its weights are never held twice.

A serialised message is its fields one after the other, so the big initializers can follow the rest of the graph as
they are, each behind its tag and its length (protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

import onnx
import onnx_ir

from ir.serialised import proto_of

if TYPE_CHECKING:
    from collections.abc import Mapping

STREAMED_BYTES: Final = 2**16
"""Initializers from this size on are written straight from where they lie."""

_BYTES_WIRE_TYPE: Final = 2


def _tag(message: type[onnx.ModelProto | onnx.GraphProto | onnx.TensorProto], field: str) -> bytes:
    return _varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | _BYTES_WIRE_TYPE)


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


_GRAPH: Final = _tag(onnx.ModelProto, "graph")
_INITIALIZER: Final = _tag(onnx.GraphProto, "initializer")
_RAW_DATA: Final = _tag(onnx.TensorProto, "raw_data")


def write_streamed(model: onnx_ir.Model, file: BinaryIO) -> None:
    """Write a serialised model.

    Args:
        model: The model; what it holds at :data:`STREAMED_BYTES` and more is read one tensor at a time. Its external
            tensors stay where they are.
        file: Gets the bytes.

    Raises:
        UnsupportedModelError: A part of the model has no serialised form.
        ValueError: A tensor has another number of bytes than its type and shape say.
        OSError: The file cannot be written.
    """
    with _without_big_tensors(model) as streamed:
        proto = proto_of(model)
    parts: list[tuple[bytes, onnx_ir.TensorProtocol | None]] = []
    for initializer in proto.graph.initializer:
        tensor = streamed.get(initializer.name)
        if tensor is not None:
            initializer.ClearField("external_data")
            initializer.ClearField("data_location")
        parts.append((initializer.SerializeToString(), tensor))
    proto.graph.ClearField("initializer")
    graph = proto.graph.SerializeToString()
    proto.ClearField("graph")
    bodies = [len(head) + (0 if tensor is None else _raw_size(tensor)) for head, tensor in parts]
    size = len(graph) + sum(len(_INITIALIZER) + len(_varint(body)) + body for body in bodies)
    file.write(proto.SerializeToString() + _GRAPH + _varint(size) + graph)
    for (head, tensor), body in zip(parts, bodies, strict=True):
        file.write(_INITIALIZER + _varint(body) + head)
        if tensor is not None:
            raw = tensor.tobytes()
            if len(raw) != tensor.nbytes:
                raise ValueError(f"tensor {tensor.name!r} has {len(raw)} bytes instead of {tensor.nbytes}")
            file.write(_RAW_DATA + _varint(len(raw)))
            file.write(raw)


def _raw_size(tensor: onnx_ir.TensorProtocol) -> int:
    return len(_RAW_DATA) + len(_varint(tensor.nbytes)) + tensor.nbytes


@contextmanager
def _without_big_tensors(model: onnx_ir.Model) -> Iterator[Mapping[str, onnx_ir.TensorProtocol]]:
    """Put stand-ins without elements in the place of the big initializers; yield those by name."""
    taken: dict[str, tuple[onnx_ir.Value, onnx_ir.TensorProtocol]] = {}
    try:
        for name, value in model.graph.initializers.items():
            tensor = value.const_value
            if tensor is None or isinstance(tensor, onnx_ir.ExternalTensor):
                continue
            if tensor.nbytes < STREAMED_BYTES or tensor.dtype == onnx_ir.DataType.STRING:
                continue
            taken[name] = (value, tensor)
            value.const_value = onnx_ir.ExternalTensor(
                location="stand-in",
                offset=None,
                length=None,
                dtype=tensor.dtype,
                shape=onnx_ir.Shape(tensor.shape.numpy()),
                name=name,
                doc_string=tensor.doc_string,
                metadata_props=dict(tensor.metadata_props),
            )
        yield {name: tensor for name, (_, tensor) in taken.items()}
    finally:
        for value, tensor in taken.values():
            value.const_value = tensor
