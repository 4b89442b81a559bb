"""Random small models: dead code, unnamed outputs, missing inputs and odd names included."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import helper

from tests.ir.graphs import make_model, value


@dataclass(slots=True)
class _Growing:
    """A graph under construction; every value has a static shape."""

    opset: int
    shapes: dict[str, tuple[int, ...]]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    def add(
        self,
        op_type: str,
        inputs: list[str],
        shape: tuple[int, ...],
        others: Sequence[str] = (),
        **attributes: Any,
    ) -> str:
        """Add a node; ``others`` are its further outputs, which nothing reads."""
        name = f"v{len(self.nodes)}"
        node = helper.make_node(op_type, inputs, [name, *others], name="" if len(self.nodes) % 3 else f"Neg/{name}")
        node.attribute.extend(helper.make_attribute(key, each) for key, each in attributes.items())
        self.nodes.append(node)
        self.shapes[name] = shape
        return name

    def unread(self, draw: st.DrawFn) -> list[str]:
        """A second output: none, one without a name, or one that nothing reads."""
        return draw(st.sampled_from([[], [""], [f"unread{len(self.nodes)}"]]))

    def integers(self, numbers: list[int]) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.array(numbers, dtype=np.int64)
        return name

    def axes_node(self, op_type: str, source: str, axes: list[int], shape: tuple[int, ...]) -> None:
        """Squeeze and Unsqueeze: an attribute until opset 13, then an input."""
        if self.opset < 13:
            self.add(op_type, [source], shape, axes=axes)
        else:
            self.add(op_type, [source, self.integers(axes)], shape)


def _grow(graph: _Growing, draw: st.DrawFn) -> None:
    source = draw(st.sampled_from(sorted(graph.shapes)))
    shape = graph.shapes[source]
    rank = len(shape)
    kind = draw(st.sampled_from(_KINDS))
    if kind == "optional":
        _grow_optional(graph, draw, source)
    match kind:
        case "unary":
            graph.add(draw(st.sampled_from(["Relu", "Neg", "Tanh", "Abs", "Identity", "Sigmoid"])), [source], shape)
        case "binary":
            other = draw(st.sampled_from([name for name, each in graph.shapes.items() if each == shape]))
            graph.add(draw(st.sampled_from(["Add", "Mul", "Sub"])), [source, other], shape)
        case "transpose" if rank:
            perm = draw(st.permutations(range(rank)))
            graph.add("Transpose", [source], tuple(shape[axis] for axis in perm), perm=perm)
        case "reshape":
            total = math.prod(shape)
            first = draw(st.sampled_from([size for size in range(1, total + 1) if total % size == 0]))
            graph.add("Reshape", [source, graph.integers([first, -1])], (first, total // first))
        case "unsqueeze" if rank < 4:
            graph.axes_node("Unsqueeze", source, [0], (1, *shape))
        case "reduce" if rank:
            axis = draw(st.integers(0, rank - 1))
            keepdims = draw(st.integers(0, 1))
            inputs = [source] if graph.opset < 18 else [source, graph.integers([axis])]
            attributes: dict[str, Any] = {"axes": [axis]} if graph.opset < 18 else {}
            kept = (1,) if keepdims else ()
            graph.add("ReduceMax", inputs, (*shape[:axis], *kept, *shape[axis + 1 :]), keepdims=keepdims, **attributes)
        case "slice" if rank and graph.opset >= 10:
            axis = draw(st.integers(0, rank - 1))
            start = draw(st.integers(0, shape[axis] - 1))
            bounds = [graph.integers([number]) for number in (start, 2**31, axis)]
            graph.add("Slice", [source, *bounds], (*shape[:axis], shape[axis] - start, *shape[axis + 1 :]))
        case "concat" if rank:
            graph.add("Concat", [source, source], (*shape[:-1], 2 * shape[-1]), axis=rank - 1)
        case _:
            pass


def _grow_optional(graph: _Growing, draw: st.DrawFn, source: str) -> None:
    """A node with optional inputs or outputs."""
    shape = graph.shapes[source]
    rank = len(shape)
    match draw(st.sampled_from(["top", "clip", "dropout", "pool"])):
        case "top" if rank and graph.opset >= 11:
            kept = graph.integers([draw(st.integers(1, shape[-1]))])
            top = (*shape[:-1], int(graph.constants[kept][0]))
            graph.add("TopK", [source, kept], top, [f"unread{len(graph.nodes)}"])
        case "clip" if graph.opset >= 11:
            graph.constants["bound"] = np.array(0.5, dtype=np.float32)
            graph.add("Clip", [source, *draw(st.sampled_from([[], ["", "bound"], ["bound"], ["", ""]]))], shape)
        case "dropout":
            graph.add("Dropout", [source], shape, graph.unread(draw))
        case "pool" if rank == 3:
            width = max(shape[2] - 1, 1)
            graph.add("MaxPool", [source], (*shape[:2], width), graph.unread(draw), kernel_shape=[min(shape[2], 2)])
        case _:
            pass


_KINDS = ("unary", "binary", "transpose", "reshape", "unsqueeze", "reduce", "slice", "concat", "optional")


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    opset = draw(st.sampled_from([9, 11, 13, 18]))
    graph = _Growing(opset=opset, shapes={"x": (2, 3), "z": (2, 3)})
    for _ in range(draw(st.integers(1, 10))):
        _grow(graph, draw)
    outputs = draw(st.lists(st.sampled_from(sorted(graph.shapes)), min_size=1, max_size=3, unique=True))
    computed = [name for name in outputs if name not in {"x", "z"}] or [graph.add("Relu", ["x"], (2, 3))]
    return make_model(
        graph.nodes,
        [value("x"), value("z")],
        [value(name, graph.shapes[name]) for name in computed],
        graph.constants,
        opset=opset,
    )
