"""The smallest models there are, written without the ``onnx`` package: a chain of ``Neg`` on one number, and one node.

They show whether a provider starts at all, what ONNX Runtime takes for a run apart from its nodes, and how fast the
machine is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_FLOAT = 1
_IR_VERSION = 8
_OPSET = 13

PROBE_INPUT = "v0"
PAIR_INPUTS = ("a", "b")


def probe_model(num_nodes: int = 1) -> bytes:
    """Return a model that negates its float input ``v0`` of shape [1] ``num_nodes`` times."""
    nodes = [_node("Neg", (_name(index),), _name(index + 1)) for index in range(num_nodes)]
    return _model(nodes, [_value(_name(0), (1,))], _value(_name(num_nodes), (1,)))


def pair_model(operator: str) -> bytes:
    """Return a model that applies an operator to its float inputs ``a`` and ``b``, of two dimensions each."""
    shape = (None, None)
    inputs = [_value(name, shape) for name in PAIR_INPUTS]
    return _model([_node(operator, PAIR_INPUTS, "c")], inputs, _value("c", shape))


def probe_feeds() -> dict[str, np.ndarray]:
    """Return inputs for :func:`probe_model`."""
    return {PROBE_INPUT: np.ones(1, dtype=np.float32)}


def _model(nodes: Sequence[bytes], inputs: Sequence[bytes], output: bytes) -> bytes:
    fields = [*(_field(1, node) for node in nodes), _field(2, b"probe"), *(_field(11, each) for each in inputs)]
    graph = b"".join([*fields, _field(12, output)])
    opset = _field(8, _number(2, _OPSET))
    return _number(1, _IR_VERSION) + _field(7, graph) + opset


def _node(operator: str, inputs: Sequence[str], output: str) -> bytes:
    names = b"".join(_field(1, name.encode()) for name in inputs)
    return names + _field(2, output.encode()) + _field(4, operator.encode())


def _value(name: str, shape: Sequence[int | None]) -> bytes:
    """Return a ``ValueInfoProto`` of floats; None is an unknown size."""
    sizes = b"".join(_field(1, b"" if size is None else _number(1, size)) for size in shape)
    tensor = _number(1, _FLOAT) + _field(2, sizes)
    return _field(1, name.encode()) + _field(2, _field(1, tensor))


def _name(index: int) -> str:
    return f"v{index}"


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
