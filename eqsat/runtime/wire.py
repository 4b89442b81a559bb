"""Messages between the process that asks and the process that runs ONNX Runtime.

A frame is two lengths (64 bits, big-endian), a JSON header and raw bytes: first a model, then the elements of the
tensors in the header's order. Nothing in it can make the reader run code.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO, Any

import ml_dtypes
import numpy as np

from eqsat.runtime.errors import UnsupportedValueError

_LENGTHS = struct.Struct(">QQ")

STRING_TYPE = 8
"""``onnx.TensorProto.STRING``."""

ELEMENT_TYPES: Mapping[int, np.dtype[Any]] = {
    1: np.dtype(np.float32),
    2: np.dtype(np.uint8),
    3: np.dtype(np.int8),
    4: np.dtype(np.uint16),
    5: np.dtype(np.int16),
    6: np.dtype(np.int32),
    7: np.dtype(np.int64),
    9: np.dtype(np.bool_),
    10: np.dtype(np.float16),
    11: np.dtype(np.float64),
    12: np.dtype(np.uint32),
    13: np.dtype(np.uint64),
    16: np.dtype(ml_dtypes.bfloat16),
    17: np.dtype(ml_dtypes.float8_e4m3fn),
    18: np.dtype(ml_dtypes.float8_e4m3fnuz),
    19: np.dtype(ml_dtypes.float8_e5m2),
    20: np.dtype(ml_dtypes.float8_e5m2fnuz),
}
"""NumPy's type by ``onnx.TensorProto.DataType`` number, for the types that can travel (strings apart)."""

_NUMBERS = {dtype: number for number, dtype in ELEMENT_TYPES.items()}


class Request(StrEnum):
    """What the child can be asked."""

    PROVIDERS = "providers"
    DEVICE = "device"
    REQUIRE = "require"
    OUTPUTS = "outputs"
    PROFILE = "profile"
    FINGERPRINT = "fingerprint"
    PAIR = "pair"
    MEMORY = "memory"
    BATCH = "batch"


class Reply(StrEnum):
    """How an answer begins."""

    OK = "ok"
    SESSION_FAILED = "session_failed"
    BROKEN_MODEL = "broken_model"
    UNSUPPORTED = "unsupported"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One message.

    Attributes:
        kind: A :class:`Request` or a :class:`Reply`.
        fields: JSON values.
        model: A serialised model, or nothing.
        tensors: Arrays by name.
    """

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    model: bytes = b""
    tensors: Mapping[str, np.ndarray] = field(default_factory=dict)


def element_type(array: np.ndarray) -> int:
    """Return the ``onnx.TensorProto.DataType`` number of an array's elements.

    Raises:
        UnsupportedValueError: No tensor of this type can travel.
    """
    if array.dtype.kind in "OUT":
        return STRING_TYPE
    number = _NUMBERS.get(array.dtype)
    if number is None:
        raise UnsupportedValueError(f"a tensor of {array.dtype} cannot be given to ONNX Runtime from Python")
    return number


def write_frame(stream: IO[bytes], frame: Frame) -> None:
    """Write one frame.

    Raises:
        UnsupportedValueError: An array is of a type that cannot travel; nothing was written.
        OSError: The other side is gone.
    """
    tensors = []
    payloads: list[bytes | memoryview] = [frame.model]
    for name, array in frame.tensors.items():
        number = element_type(array)
        payload = _payload(array, number)
        payloads.append(payload)
        tensors.append([name, number, list(array.shape), len(payload)])
    header = {"kind": frame.kind, "fields": frame.fields, "model": len(frame.model), "tensors": tensors}
    text = json.dumps(header).encode()
    stream.write(_LENGTHS.pack(len(text), sum(len(payload) for payload in payloads)))
    stream.write(text)
    for payload in payloads:
        stream.write(payload)
    stream.flush()


def read_frame(stream: IO[bytes]) -> Frame:
    """Read one frame.

    Raises:
        EOFError: The other side is gone, before the frame or in it.
    """
    header_length, payload_length = _LENGTHS.unpack(_read_exactly(stream, _LENGTHS.size))
    header = json.loads(_read_exactly(stream, header_length))
    payload = memoryview(_read_exactly(stream, payload_length))
    model = bytes(payload[: header["model"]])
    offset = len(model)
    tensors = {}
    for name, number, shape, num_bytes in header["tensors"]:
        tensors[name] = _array(payload[offset : offset + num_bytes], number, tuple(shape))
        offset += num_bytes
    return Frame(kind=header["kind"], fields=header["fields"], model=model, tensors=tensors)


def _payload(array: np.ndarray, number: int) -> bytes | memoryview:
    if number == STRING_TYPE:
        return json.dumps([_text(element) for element in array.reshape(-1).tolist()]).encode()
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(np.uint8).data


def _text(element: object) -> str:
    return element.decode() if isinstance(element, bytes) else str(element)


def _array(payload: memoryview, number: int, shape: tuple[int, ...]) -> np.ndarray:
    if number == STRING_TYPE:
        return np.array(json.loads(bytes(payload)), dtype=object).reshape(shape)
    return np.frombuffer(payload, dtype=np.uint8).view(ELEMENT_TYPES[number]).reshape(shape)


def _read_exactly(stream: IO[bytes], length: int) -> bytearray:
    buffer = bytearray(length)
    view = memoryview(buffer)
    filled = 0
    while filled < length:
        count = stream.readinto(view[filled:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        filled += count
    return buffer
