"""The smallest models there are, written without the ``onnx`` package: a chain of ``Neg`` on one number.

They show whether a provider starts at all, and what ONNX Runtime takes for a run apart from its nodes.
"""

from __future__ import annotations

import numpy as np

_FLOAT = 1
_IR_VERSION = 8
_OPSET = 13

PROBE_INPUT = "v0"


def probe_model(num_nodes: int = 1) -> bytes:
    """Return a model that negates its float input ``v0`` of shape [1] ``num_nodes`` times."""
    nodes = b"".join(
        _field(1, _field(1, _name(index)) + _field(2, _name(index + 1)) + _field(4, b"Neg"))
        for index in range(num_nodes)
    )
    graph = nodes + _field(2, b"probe") + _field(11, _vector(0)) + _field(12, _vector(num_nodes))
    opset = _field(8, _number(2, _OPSET))
    return _number(1, _IR_VERSION) + _field(7, graph) + opset


def probe_feeds() -> dict[str, np.ndarray]:
    """Return inputs for :func:`probe_model`."""
    return {PROBE_INPUT: np.ones(1, dtype=np.float32)}


def _name(index: int) -> bytes:
    return f"v{index}".encode()


def _vector(index: int) -> bytes:
    """Return a ``ValueInfoProto``: one float."""
    shape = _field(1, _number(1, 1))
    tensor = _number(1, _FLOAT) + _field(2, shape)
    return _field(1, _name(index)) + _field(2, _field(1, tensor))


def _field(number: int, payload: bytes) -> bytes:
    """Return a length-delimited protobuf field."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _number(number: int, value: int) -> bytes:
    """Return a varint protobuf field."""
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
