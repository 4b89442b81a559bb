"""Any small graph computes the same bits after it was read and written."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from tests.ir.graphs import assert_same_results, make_model, round_trip, value


@dataclass(slots=True)
class _Growing:
    """A graph under construction; every value has a static shape."""

    opset: int
    shapes: dict[str, tuple[int, ...]]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, op_type: str, inputs: list[str], shape: tuple[int, ...], **attributes: object) -> str:
        name = f"v{len(self.nodes)}"
        node = helper.make_node(op_type, inputs, [name])
        node.attribute.extend(helper.make_attribute(key, each) for key, each in attributes.items())
        self.nodes.append(node)
        self.shapes[name] = shape
        return name

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
    match draw(st.sampled_from(["unary", "binary", "transpose", "reshape", "unsqueeze", "reduce", "slice", "concat"])):
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
            attributes = {"axes": [axis]} if graph.opset < 18 else {}
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


@st.composite
def _models(draw: st.DrawFn) -> onnx.ModelProto:
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


@settings(max_examples=60, deadline=None, derandomize=True)
@given(_models())
def test_a_random_graph_computes_the_same(model: onnx.ModelProto) -> None:
    rng = np.random.default_rng(0)
    feeds = {name: rng.standard_normal((2, 3)).astype(np.float32) for name in ("x", "z")}
    with tempfile.TemporaryDirectory() as folder:
        assert_same_results(model, round_trip(model, Path(folder)), feeds)
