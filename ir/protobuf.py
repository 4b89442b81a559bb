"""Reads the protobuf wire format without a schema, so that a model's weights are never copied or even looked at.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

Value: TypeAlias = "int | memoryview"
"""A varint as a number; anything else as its raw bytes."""

Message: TypeAlias = Mapping[int, Sequence[Value]]
"""The values of a message by field number, in the order they are written in."""


def parse(data: memoryview) -> Message:
    """Return the fields of one message.

    Raises:
        ValueError: This is no protobuf message.
    """
    fields: defaultdict[int, list[Value]] = defaultdict(list)
    for number, value in _fields(data):
        fields[number].append(value)
    return fields


def texts(message: Message, number: int) -> tuple[str, ...]:
    """Return a repeated string field."""
    return tuple(bytes(value).decode() for value in message.get(number, ()) if isinstance(value, memoryview))


def text(message: Message, number: int) -> str:
    """Return a string field, empty where it is missing."""
    return (texts(message, number) or ("",))[-1]


def messages(message: Message, number: int) -> Iterator[Message]:
    """Yield the messages of a repeated field."""
    for value in message.get(number, ()):
        if isinstance(value, memoryview):
            yield parse(value)


def raw(message: Message) -> bytes:
    """Return a message in one byte form: fields in order of their numbers."""
    parts = []
    for number in sorted(message):
        for value in message[number]:
            payload = value.to_bytes(8, "little") if isinstance(value, int) else bytes(value)
            parts.append(b"%d:%d:" % (number, len(payload)) + payload)
    return b"".join(parts)


def _fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    offset = 0
    while offset < len(data):
        key, offset = _varint(data, offset)
        wire_type = key & 7
        if wire_type == 0:
            number, offset = _varint(data, offset)
            yield key >> 3, number
            continue
        if wire_type == 2:
            length, offset = _varint(data, offset)
        elif wire_type in _FIXED_LENGTHS:
            length = _FIXED_LENGTHS[wire_type]
        else:
            raise ValueError(f"wire type {wire_type} at byte {offset}")
        if offset + length > len(data):
            raise ValueError(f"a field ends after the message, at byte {offset}")
        yield key >> 3, data[offset : offset + length]
        offset += length


_FIXED_LENGTHS = {1: 8, 5: 4}


def _varint(data: memoryview, offset: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if offset >= len(data):
            break
        byte = data[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, offset
    raise ValueError(f"a number has no end at byte {offset}")
