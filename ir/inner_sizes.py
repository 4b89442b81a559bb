"""The sizes of what a model computes on its way, once the sizes of its inputs are known."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx
import onnx.checker
import onnx.defs
import onnx.helper
import onnx.numpy_helper
import onnx.shape_inference
from onnx.reference import ReferenceEvaluator

from ir.checks import DEFAULT_DOMAINS
from ir.model_types import INFERENCE_ERRORS, infer_at
from ir.reference import EVALUATION_ERRORS
from ir.serialised import proto_of

if TYPE_CHECKING:
    from ir.graph import Graph

_MAX_ELEMENTS: Final = 1024
"""Values up to this size are worked out: sizes hang on their elements."""

_NEVER_EVALUATED: Final = frozenset({"If", "Loop", "Scan", "RandomNormal", "RandomUniform", "Bernoulli", "Multinomial"})
"""Operators whose elements no size should hang on, or that take long."""


def inner_sizes(graph: Graph, sizes: Mapping[int, int]) -> dict[int, int]:
    """Return a size for each symbol that follows from those of the inputs, those given included.

    ONNX's inference finds most of them. Where a size is computed by the model, as the product of others is, the
    computation is made.

    Args:
        graph: The model.
        sizes: Sizes of the symbols of its inputs.

    Raises:
        UnsupportedModelError: A part of the model has no serialised form.
    """
    found = dict(sizes)
    types = graph.types
    shapes = {name: [found.get(dim, dim) for dim in types[name].shape] for name in graph.inputs if name in types}
    known = {name: shape for name, shape in shapes.items() if all(dim >= 0 for dim in shape)}
    proto = proto_of(infer_at(graph.model, known))
    for name, dims in _Walk(proto).shapes().items():
        symbols = types[name].shape if name in types else ()
        if len(symbols) == len(dims):
            for symbol, dim in zip(symbols, dims, strict=True):
                if symbol < 0 and dim is not None:
                    found.setdefault(symbol, dim)
    return found


class _Walk:
    """From the first node to the last: types, and the elements of what is small."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        graph = proto.graph
        self._proto = proto
        self._opsets = list(proto.opset_import)
        self._opset = next((each.version for each in self._opsets if each.domain in DEFAULT_DOMAINS), 1)
        self._types = {value.name: value.type for value in (*graph.input, *graph.value_info, *graph.output)}
        self._values: dict[str, np.ndarray] = {}
        for tensor in graph.initializer:
            self._types[tensor.name] = onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
            if np.prod(tensor.dims) <= _MAX_ELEMENTS:
                self._values[tensor.name] = onnx.numpy_helper.to_array(tensor)

    def shapes(self) -> dict[str, tuple[int | None, ...]]:
        """Return the shapes found, by value name; None stands for a size that is not known."""
        for node in self._proto.graph.node:
            if node.domain in DEFAULT_DOMAINS:
                if any(self._dims(name) is None for name in node.output if name):
                    self._infer(node)
                self._evaluate(node)
        return {name: dims for name, type_ in self._types.items() if (dims := _dims(type_)) is not None}

    def _dims(self, name: str) -> tuple[int, ...] | None:
        """The shape of a value; None where a size is not known."""
        dims = _dims(self._types[name]) if name in self._types else None
        return None if dims is None or None in dims else tuple(dim for dim in dims if dim is not None)

    def _evaluate(self, node: onnx.NodeProto) -> None:
        """Work out the elements of a node's results, where they are few and all that it needs is known."""
        if node.op_type == "Shape" and (dims := self._dims(node.input[0])) is not None:
            self._note(node, [np.array(dims[_attribute(node, "start") : _attribute(node, "end")], np.int64)])
        elif self._is_small(node):
            feeds = {name: self._values[name] for name in node.input if name}
            opsets = {each.domain: each.version for each in self._opsets}
            with np.errstate(all="ignore"), warnings.catch_warnings(), suppress(*EVALUATION_ERRORS):
                warnings.simplefilter("ignore")
                self._note(node, ReferenceEvaluator(node, opsets=opsets).run(None, feeds))

    def _is_small(self, node: onnx.NodeProto) -> bool:
        if node.op_type in _NEVER_EVALUATED or not all(name in self._values for name in node.input if name):
            return False
        results = [self._dims(name) for name in node.output if name]
        return all(dims is None or math.prod(dims) <= _MAX_ELEMENTS for dims in results)

    def _note(self, node: onnx.NodeProto, results: Iterable[object]) -> None:
        for name, result in zip(node.output, results, strict=False):
            array = np.asarray(result)
            if array.size <= _MAX_ELEMENTS:
                self._values[name] = array
                dtype = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
                self._types[name] = onnx.helper.make_tensor_type_proto(dtype, array.shape)

    def _infer(self, node: onnx.NodeProto) -> None:
        """Type a node's results by what is known of its inputs."""
        try:
            schema = onnx.defs.get_schema(node.op_type, self._opset)
            inferred = onnx.shape_inference.infer_node_outputs(
                schema,
                node,
                {name: self._types[name] for name in node.input if name in self._types},
                {
                    name: onnx.numpy_helper.from_array(self._values[name], name)
                    for name in node.input
                    if name in self._values
                },
                opset_imports=self._opsets,
            )
        except (onnx.defs.SchemaError, *INFERENCE_ERRORS):
            return
        self._types.update({name: type_ for name, type_ in inferred.items() if _dims(type_) is not None})


def _dims(type_: onnx.TypeProto) -> tuple[int | None, ...] | None:
    """The sizes of a tensor, None for those that are not known; None where even their number is not."""
    if not type_.HasField("tensor_type") or not type_.tensor_type.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in type_.tensor_type.shape.dim)


def _attribute(node: onnx.NodeProto, name: str) -> int | None:
    return next((each.i for each in node.attribute if each.name == name), None)
