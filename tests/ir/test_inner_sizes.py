"""Sizes of inner values: by ONNX's inference, and where the model computes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from eqsat.verify.sizes import default_sizes
from ir.graph import Graph
from ir.inner_sizes import inner_sizes
from ir.reader import read
from tests.verify.models import FLOAT, node, save


def sizes_at(graph: Graph, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the sizes of a value where the input ``x`` has a shape."""
    found = inner_sizes(graph, default_sizes(graph, {"x": shape}))
    return tuple(found.get(dim, dim) for dim in graph.types[name].shape)


FLATTEN = [
    node("Conv", "x w", "c", strides=[2, 2]),
    node("Shape", "c", "s"),
    node("Slice", "s zero two", "front"),
    node("Slice", "s two four", "back"),
    node("ReduceProd", "back", "area", keepdims=1),
    node("Concat", "front area", "flat", axis=0),
    node("Reshape", "c flat", "r"),
    node("Transpose", "r", "t", perm=[0, 2, 1]),
    node("Relu", "t", "y"),
]


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    constants = {"w": np.zeros((4, 3, 3, 3), np.float32)}
    constants |= {name: np.array([value], np.int64) for name, value in (("zero", 0), ("two", 2), ("four", 4))}
    path = save(tmp_path / "m.onnx", FLATTEN, [("x", FLOAT, ("n", 3, "h", "w_"))], [("y", FLOAT, None)], constants)
    return read(path)


def test_sizes_follow_from_those_of_the_inputs(graph: Graph) -> None:
    assert sizes_at(graph, "c", (2, 3, 9, 11)) == (2, 4, 4, 5)


def test_sizes_that_the_model_computes_are_worked_out(graph: Graph) -> None:
    assert sizes_at(graph, "r", (2, 3, 9, 11)) == (2, 4, 20)
    assert sizes_at(graph, "y", (1, 3, 9, 9)) == (1, 16, 4)


def test_a_reshaped_value_has_as_many_dimensions_as_its_shape_has_elements(graph: Graph) -> None:
    assert [len(graph.types[name].shape) for name in ("r", "t", "y")] == [3, 3, 3]


def test_what_the_file_states_of_inner_values_takes_no_part(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.onnx",
        [node("Relu", "x", "a"), node("Neg", "a", "y")],
        [("x", FLOAT, ("n",))],
        [("y", FLOAT, None)],
    )
    model = onnx.load_model(path)
    model.graph.value_info.append(onnx.helper.make_tensor_value_info("a", FLOAT, ["stale"]))
    onnx.save_model(model, path)
    assert sizes_at(read(path), "a", (7,)) == (7,)


def test_the_sizes_given_stay(graph: Graph) -> None:
    given = default_sizes(graph, {"x": (2, 3, 9, 11)})
    assert given.items() <= inner_sizes(graph, given).items()


def test_what_hangs_on_elements_of_the_inputs_stays_open(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.onnx",
        [node("NonZero", "x", "i"), node("Cast", "i", "y", to=1)],
        [("x", FLOAT, ("n",))],
        [("y", FLOAT, None)],
    )
    assert sizes_at(read(path), "y", (5,))[1] < 0
