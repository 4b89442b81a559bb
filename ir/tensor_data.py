"""Every tensor of a serialised model, wherever it stands, and whether its data fit its type and its dimensions."""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import onnx
import onnx.external_data_helper
import onnx.helper
import onnx_ir
from google.protobuf.message import Message

from ir.errors import InvalidModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import Descriptor

_TENSOR: Final = onnx.TensorProto.DESCRIPTOR
KNOWN_TYPES: Final = frozenset(onnx.TensorProto.DataType.values()) - {onnx.TensorProto.UNDEFINED}
"""Element types that a tensor may have, as far as this ONNX knows."""

_DATA_FIELDS: Final = tuple(f"{kind}_data" for kind in ("float", "int32", "string", "int64", "double", "uint64", "raw"))
_ENTRIES_PER_ELEMENT: Final = {
    **dict.fromkeys((onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128), Fraction(2)),
    **{
        number: Fraction(1, 8 // onnx_ir.DataType(number).bitwidth)
        for number in KNOWN_TYPES - {onnx.TensorProto.STRING}
        if onnx_ir.DataType(number).bitwidth < 8
    },
}
"""Entries of a typed field for one element, where that is not one: several small elements share a byte."""


def tensors_of(message: Message) -> Iterator[onnx.TensorProto]:
    """Return every tensor below a message.

    Initializers, attributes, subgraphs, functions with their default attributes, both halves of sparse tensors, and
    training information: the fields to follow come from ONNX's own description of its messages.
    """
    pending: list[Message] = [message]
    while pending:
        current = pending.pop()
        if isinstance(current, onnx.TensorProto):
            yield current
            continue
        for name in _fields(current.DESCRIPTOR):
            value = getattr(current, name)
            if not isinstance(value, Message):
                pending.extend(value)
            elif current.HasField(name):
                pending.append(value)


@functools.cache
def _fields(kind: Descriptor) -> tuple[str, ...]:
    """The fields of a message that are tensors, or below which one may stand."""
    return tuple(
        field.name
        for field in kind.fields
        if field.message_type is not None and _TENSOR.full_name in _reachable(field.message_type)
    )


@functools.cache
def _reachable(kind: Descriptor) -> frozenset[str]:
    seen: set[str] = set()
    pending = [kind]
    while pending:
        current = pending.pop()
        if current.full_name not in seen:
            seen.add(current.full_name)
            pending.extend(field.message_type for field in current.fields if field.message_type is not None)
    return frozenset(seen)


def check_tensors(path: Path, model: onnx.ModelProto) -> tuple[Path, ...]:
    """Check the data of every tensor: as many bytes or elements as its type and dimensions ask for.

    Args:
        path: The model's file.
        model: What stands in it.

    Returns:
        The files that hold external tensors, each once.

    Raises:
        InvalidModelError: Data do not fit, or lie in a file that is missing, a link, or outside the model's folder.
    """
    folder = path.parent.resolve()
    files: dict[Path, None] = {}
    for tensor in tensors_of(model):
        try:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                files[_external_file(tensor, folder)] = None
            else:
                _check_inner(tensor)
        except InvalidModelError as error:
            raise InvalidModelError(f"{path}: tensor {tensor.name!r}: {error}") from None
    return tuple(files)


def take_in(message: Message, folder: Path) -> None:
    """Read the external tensors below a message, which were checked, into it."""
    for tensor in tensors_of(message):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(folder))
            tensor.ClearField("external_data")
            tensor.data_location = onnx.TensorProto.DEFAULT


def _num_elements(tensor: onnx.TensorProto) -> int:
    if any(dim < 0 for dim in tensor.dims):
        raise InvalidModelError(f"{list(tensor.dims)} are no dimensions")
    if tensor.data_type == onnx.TensorProto.UNDEFINED:
        raise InvalidModelError("no element type is given")
    return math.prod(tensor.dims)


def num_bytes(tensor: onnx.TensorProto) -> int:
    """Return the bytes that the elements of a tensor take; elements below one byte are packed.

    Raises:
        InvalidModelError: The dimensions are none, no element type is given, or the elements are strings.
    """
    count = _num_elements(tensor)
    if tensor.data_type == onnx.TensorProto.STRING:
        raise InvalidModelError("strings cannot be raw or external data")
    return math.ceil(Fraction(count * onnx_ir.DataType(tensor.data_type).bitwidth, 8))


def _check_inner(tensor: onnx.TensorProto) -> None:
    count = _num_elements(tensor)
    if tensor.data_type not in KNOWN_TYPES:
        return  # of a newer ONNX: how many bytes it needs is not known here
    field = "raw_data" if tensor.HasField("raw_data") else onnx.helper.tensor_dtype_to_field(tensor.data_type)
    others = [other for other in _DATA_FIELDS if other != field and len(getattr(tensor, other))]
    if others:
        raise InvalidModelError(f"elements in {others[0]} beside those in {field}")
    if field == "raw_data":
        size = len(tensor.raw_data)
        if size != num_bytes(tensor):
            raise InvalidModelError(f"{size} bytes of data where {list(tensor.dims)} needs {num_bytes(tensor)}")
        return
    needed = math.ceil(count * _ENTRIES_PER_ELEMENT.get(tensor.data_type, 1))
    if len(getattr(tensor, field)) != needed:
        raise InvalidModelError(
            f"{len(getattr(tensor, field))} elements in {field} where {list(tensor.dims)} needs {needed}"
        )


def _external_file(tensor: onnx.TensorProto, folder: Path) -> Path:
    """The file of an external tensor, which may only be a plain file below the model's folder."""
    stated = {entry.key: entry.value for entry in tensor.external_data}
    location = Path(stated.get("location", ""))
    target = folder / location
    is_inside = not location.is_absolute() and ".." not in location.parts
    if not is_inside or not _is_plain_file_below(target, folder):
        raise InvalidModelError(
            f"external data {str(location)!r} is missing or leaves the model's folder "
            "(absolute paths, '..' and links are refused)",
        )
    _num_elements(tensor)
    needed = num_bytes(tensor) if tensor.data_type in KNOWN_TYPES else 0
    try:
        offset = int(stated.get("offset", 0))
        length = int(stated.get("length", needed))
    except ValueError:
        raise InvalidModelError("the offset or the length of its external data is no number") from None
    if offset < 0 or length < needed or offset + length > target.stat().st_size:
        raise InvalidModelError(f"external data {str(location)!r} is shorter than {list(tensor.dims)} needs")
    return target


def _is_plain_file_below(target: Path, folder: Path) -> bool:
    try:
        if target.is_symlink() or not target.is_file() or target.stat().st_nlink > 1:
            return False
    except (OSError, ValueError):  # a name that is too long, or has a NUL in it
        return False
    return target.resolve().is_relative_to(folder)
