"""A hash of what a model computes with, blind to names: graphs that became equal need not be timed.

Every value gets the hash of the node that makes it, every node the hash of its operator, attributes and inputs; the
graph is the multiset of its nodes and the list of its outputs. Of weights above :data:`LARGE_BYTES` only type and
shape count: the numbers in them do not change how long a kernel runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from ir.protobuf import Message, messages, parse, raw, text, texts

LARGE_BYTES = 1024
"""Size from which a tensor's elements are left out."""

# Field numbers of onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_SPARSE_INITIALIZER = 1, 5, 11, 12, 15
_NODE_INPUT, _NODE_OUTPUT, _NODE_OP_TYPE, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7
_ATTRIBUTE_NAME, _ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_DOC = (
    1,
    5,
    6,
    10,
    11,
    13,
)
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW, _TENSOR_DOC, _TENSOR_EXTERNAL, _TENSOR_LOCATION = (
    1,
    2,
    8,
    9,
    12,
    13,
    14,
)
_SPARSE_VALUES = 1
_VALUE_NAME = 1

_ABSENT = b"absent"


def model_fingerprint(model: memoryview) -> str:
    """Return the fingerprint of a serialised model, as 64 hexadecimal digits.

    Raises:
        ValueError: This is no ONNX model.
    """
    graphs = tuple(messages(parse(model), _MODEL_GRAPH))
    if len(graphs) != 1:
        raise ValueError("the model has no graph")
    return _graph_hash(graphs[0], {}, 0).hex()


def _hash(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def _graph_hash(graph: Message, outer: Mapping[str, bytes], depth: int) -> bytes:
    values = dict(outer)
    for index, value in enumerate(messages(graph, _GRAPH_INPUT)):
        values[text(value, _VALUE_NAME)] = _hash(b"input", b"%d" % depth, b"%d" % index)
    for tensor in messages(graph, _GRAPH_INITIALIZER):
        values[text(tensor, _TENSOR_NAME)] = _tensor_hash(tensor)
    for sparse in messages(graph, _GRAPH_SPARSE_INITIALIZER):
        for tensor in messages(sparse, _SPARSE_VALUES):
            values[text(tensor, _TENSOR_NAME)] = _hash(b"sparse", raw(sparse))
    nodes = []
    for node in messages(graph, _GRAPH_NODE):
        node_hash = _node_hash(node, values, depth)
        nodes.append(node_hash)
        for index, name in enumerate(texts(node, _NODE_OUTPUT)):
            values[name] = _hash(node_hash, b"%d" % index)
    outputs = [values.get(text(value, _VALUE_NAME), _ABSENT) for value in messages(graph, _GRAPH_OUTPUT)]
    return _hash(b"graph", *sorted(nodes), b"outputs", *outputs)


def _node_hash(node: Message, values: Mapping[str, bytes], depth: int) -> bytes:
    operator = f"{text(node, _NODE_DOMAIN)}::{text(node, _NODE_OP_TYPE)}".encode()
    inputs = [values.get(name, _ABSENT) for name in texts(node, _NODE_INPUT)]
    outputs = [b"1" if name else b"0" for name in texts(node, _NODE_OUTPUT)]
    attributes = sorted(_attribute_hash(attribute, values, depth) for attribute in messages(node, _NODE_ATTRIBUTE))
    return _hash(operator, b"inputs", *inputs, b"outputs", *outputs, b"attributes", *attributes)


def _attribute_hash(attribute: Message, values: Mapping[str, bytes], depth: int) -> bytes:
    nested = (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_DOC)
    plain = {number: value for number, value in attribute.items() if number not in nested}
    parts = [raw(plain)]
    for number in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
        parts.extend(_tensor_hash(tensor) for tensor in messages(attribute, number))
    for number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
        parts.extend(_graph_hash(graph, values, depth + 1) for graph in messages(attribute, number))
    return _hash(text(attribute, _ATTRIBUTE_NAME).encode(), *parts)


def _tensor_hash(tensor: Message) -> bytes:
    kind = raw({number: tensor[number] for number in (_TENSOR_DIMS, _TENSOR_TYPE) if number in tensor})
    is_external = bool(tensor.get(_TENSOR_EXTERNAL))
    size = sum(len(value) for value in tensor.get(_TENSOR_RAW, ()) if isinstance(value, memoryview))
    if is_external or size >= LARGE_BYTES:
        return _hash(b"large", kind)
    ignored = (_TENSOR_NAME, _TENSOR_DOC, _TENSOR_LOCATION)
    return _hash(b"tensor", raw({number: value for number, value in tensor.items() if number not in ignored}))
