"""Sizes of symbolic dimensions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eqsat.errors import UsageError
from eqsat.verify import UnsupportedInputError, default_sizes, verification_sizes
from eqsat.verify.sizes import contradiction, resolved_shapes
from ir.graph import Graph
from ir.reader import read
from tests.verify.models import FLOAT, INT64, Dims, node, save


def graph_of(tmp_path: Path, dims: Dims, other: Dims = (2,), dtype: int = FLOAT) -> Graph:
    nodes = [node("Identity", "x", "y"), node("Identity", "a", "b")]
    inputs = [("x", dtype, dims), ("a", dtype, other)]
    return read(save(tmp_path / "m.onnx", nodes, inputs, [("y", dtype, dims), ("b", dtype, other)]))


def by_name(graph: Graph, sizes: dict[int, int]) -> dict[str, int]:
    return {graph.symbols.name(symbol): size for symbol, size in sizes.items()}


def test_static_model_has_one_assignment_and_no_symbols(tmp_path: Path) -> None:
    assert verification_sizes(graph_of(tmp_path, (1, 3)), {}) == ({},)


@pytest.mark.parametrize(
    ("name", "size"),
    [("batch", 1), ("batch_size", 1), ("N", 1), ("seq_len", 128), ("sequence_length", 128), ("height", 224)],
)
def test_names_say_what_a_dimension_is(tmp_path: Path, name: str, size: int) -> None:
    graph = graph_of(tmp_path, (7, 5, name))
    assert by_name(graph, default_sizes(graph, {})) == {name: size}


def test_made_up_names_are_judged_by_their_place(tmp_path: Path) -> None:
    image = graph_of(tmp_path, ("s0", 3, "s1", "s2"))
    assert by_name(image, default_sizes(image, {})) == {"s0": 1, "s1": 224, "s2": 224}
    text = graph_of(tmp_path, ("s0", "s1"), dtype=INT64)
    assert by_name(text, default_sizes(text, {})) == {"s0": 1, "s1": 128}


def test_a_dynamic_model_gets_three_different_assignments(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, ("batch", "seq"))
    sizes = [by_name(graph, each) for each in verification_sizes(graph, {})]
    assert len({tuple(each.values()) for each in sizes}) == 3
    assert sizes[0] == {"batch": 1, "seq": 128}
    assert any(each["seq"] % 2 for each in sizes)


def test_sums_of_dimensions_follow_their_terms(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, ("batch", "past_len"), ("seq", "past_len + 2*seq"))
    for sizes in verification_sizes(graph, {}):
        named = by_name(graph, sizes)
        assert named["past_len + 2*seq"] == named["past_len"] + 2 * named["seq"]


def test_a_total_length_is_past_and_present(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, ("past_length", "seq_length"), ("total_length",))
    named = by_name(graph, default_sizes(graph, {}))
    assert named["total_length"] == named["past_length"] + named["seq_length"]


def test_the_users_shape_is_kept_in_every_assignment(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, ("batch", "seq"), ("seq",))
    for sizes in verification_sizes(graph, {"x": (5, 17)}):
        assert by_name(graph, sizes) == {"batch": 5, "seq": 17}


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"nope": (1,)}, "'nope'; the inputs are: x, a"),
        ({"x": (1, 2, 3)}, "3 dimensions; the model states 2"),
        ({"a": (3,)}, "3 where the model states 2"),
        ({"x": (4, 5)}, "gives 'n' the size 5; it is 4 elsewhere"),
    ],
)
def test_a_wrong_shape_is_a_usage_error(tmp_path: Path, shapes: dict[str, tuple[int, ...]], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        verification_sizes(graph_of(tmp_path, ("n", "n")), shapes)


def test_an_unknown_rank_needs_the_users_shape(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, None)
    with pytest.raises(UnsupportedInputError, match="'x' has no stated rank; give it with --input-shape x:"):
        default_sizes(graph, {})
    assert default_sizes(graph, {"x": (2, 2)}) == {}


@pytest.mark.parametrize("name", ["*".join(["7"] * 80), "99999999+0", "batch*99999999", "batch*8000*8000"])
def test_names_that_come_to_no_size_are_mere_names(tmp_path: Path, name: str) -> None:
    graph = graph_of(tmp_path, ("batch", name))
    assert by_name(graph, default_sizes(graph, {})) == {"batch": 1, name: 4}


def test_the_last_states_of_a_recurrence_of_no_steps_say_nothing(tmp_path: Path) -> None:
    weights = {"w": np.ones((1, 8, 3), np.float32), "r": np.ones((1, 8, 2), np.float32)}
    nodes = [node("LSTM", "x w r", "steps h", hidden_size=2)]
    path = save(tmp_path / "m.onnx", nodes, [("x", FLOAT, ("n", 1, 3))], [("h", FLOAT, (1, 1, 2))], weights)
    assert "LSTM of no steps" in contradiction(read(path), {-1: 0}, {"h": np.zeros((1, 1, 2), np.float32)})


@pytest.mark.parametrize(
    ("given", "resolved"),
    [
        ({"x": (2, 3)}, {"x": (2, 3), "a": (2,)}),
        ({"batch": (6,)}, {"x": (6, "seq"), "a": (6,)}),
        ({"batch": (6,), "seq": (9,)}, {"x": (6, 9), "a": (6,)}),
        ({"x": (-1, 9)}, {"x": ("batch", 9)}),
        ({"x": (-1, 9), "batch": (4,)}, {"x": (4, 9), "a": (4,)}),
    ],
)
def test_shapes_may_speak_of_symbols(
    tmp_path: Path, given: dict[str, tuple[int, ...]], resolved: dict[str, tuple[int | str, ...]]
) -> None:
    graph = graph_of(tmp_path, ("batch", "seq"), ("batch",))
    found = resolved_shapes(graph, given)
    named = {
        name: tuple(dim if dim >= 0 else graph.symbols.name(dim) for dim in shape) for name, shape in found.items()
    }
    assert named.items() <= {**resolved, "a": resolved.get("a", ("batch",))}.items()
    sizes = by_name(graph, default_sizes(graph, found))
    for name, shape in resolved.items():
        stated = ("batch", "seq") if name == "x" else ("batch",)
        for dim, size in zip(stated, shape, strict=True):
            assert size in {dim, sizes[dim]}


def test_a_bare_shape_is_that_of_the_only_input(tmp_path: Path) -> None:
    nodes = [node("Identity", "x", "y")]
    graph = read(save(tmp_path / "m.onnx", nodes, [("x", FLOAT, ("n", 3))], [("y", FLOAT, None)]))
    assert resolved_shapes(graph, {"": (5, 3)}) == {"x": (5, 3)}
    with pytest.raises(UsageError, match=r"--input-shape 5,\? needs a name, NAME:5,\?; the inputs are x, a"):
        resolved_shapes(graph_of(tmp_path, ("n", 3)), {"": (5, -1)})


def test_a_name_that_is_neither_gets_a_hint(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, ("batch", "seq"))
    with pytest.raises(UsageError, match=r"inputs x, a and the symbolic dimensions batch, seq; did you mean 'batch'"):
        resolved_shapes(graph, {"bacth": (4,)})
