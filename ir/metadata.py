"""The custom metadata of a model file, read and added to without reading or writing the model itself.

New entries go to the end of the file. In protobuf's wire format, messages that follow one another are one message:
repeated fields are joined.
Source: https://protobuf.dev/programming-guides/encoding/#last-one-wins
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Final

import onnx

from ir.errors import InvalidModelError
from ir.protobuf import messages, parse, text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

METADATA_PREFIX: Final = "eqsat."
"""What every key that is ours begins with."""

_METADATA_FIELD: Final = onnx.ModelProto.METADATA_PROPS_FIELD_NUMBER
_KEY_FIELD: Final = onnx.StringStringEntryProto.KEY_FIELD_NUMBER
_VALUE_FIELD: Final = onnx.StringStringEntryProto.VALUE_FIELD_NUMBER


def read_metadata(path: Path) -> dict[str, str]:
    """Return the custom metadata of a model file; of entries with one key the last.

    Raises:
        InvalidModelError: The file cannot be read, or is no protobuf message.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = _entries(memoryview(data))
    except OSError as error:
        raise InvalidModelError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise InvalidModelError(f"{path}: the file is empty") from error
    if found is None:
        raise InvalidModelError(f"{path}: not an ONNX model, or a truncated one")
    return found


def _entries(data: memoryview) -> dict[str, str] | None:
    """The entries in a message; None where it is none. No view of the data is left, not even in a traceback."""
    try:
        return {text(each, _KEY_FIELD): text(each, _VALUE_FIELD) for each in messages(parse(data), _METADATA_FIELD)}
    except ValueError:
        return None
    finally:
        data.release()


def add_metadata(path: Path, entries: Mapping[str, str]) -> None:
    """Add entries to the custom metadata of a model file, which has none of these keys yet.

    Raises:
        OSError: The file cannot be written.
    """
    with path.open("ab") as file:
        file.write(_message(entries))


def metadata_bytes(entries: Mapping[str, str]) -> int:
    """Return by how many bytes :func:`add_metadata` makes a file longer."""
    return len(_message(entries))


def _message(entries: Mapping[str, str]) -> bytes:
    message = onnx.ModelProto()
    for key, value in entries.items():
        message.metadata_props.add(key=key, value=value)
    return bytes(message.SerializeToString())
