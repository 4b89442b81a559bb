"""Random inputs respect what the model does with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.helper
import pytest

from eqsat.verify import Role, UnsupportedInputError, default_sizes, input_specs, random_feeds
from ir.graph import Graph
from ir.reader import read
from tests.verify.models import BOOL, FLOAT, FLOAT16, INT64, Dims, node, save, weights


def feeds_of(graph: Graph, seed: int = 0) -> dict[str, np.ndarray]:
    return random_feeds(graph, input_specs(graph, {}), np.random.default_rng(seed), default_sizes(graph, {}))


def graph_of(
    tmp_path: Path,
    nodes: list[onnx.NodeProto],
    shape: Dims = (4, 500),
    dtype: int = INT64,
    constants: dict[str, np.ndarray] | None = None,
    output: int = FLOAT,
) -> Graph:
    path = save(tmp_path / "m.onnx", nodes, [("x", dtype, shape)], [("y", output, None)], constants)
    return read(path)


@pytest.mark.parametrize(
    ("before", "low", "high"),
    [
        ([node("Identity", "x", "i")], 0, 9),
        ([node("Cast", "x", "i", to=onnx.TensorProto.INT32)], 0, 9),
        ([node("Unsqueeze", "x axes", "u"), node("Expand", "u target", "i")], 0, 9),
        ([node("Add", "x three", "i")], 0, 6),
        ([node("Sub", "x three", "i")], 3, 12),
        ([node("Mul", "x three", "i")], 0, 3),
        ([node("Mul", "x three", "m"), node("Add", "m three", "i")], 0, 2),
        ([node("Equal", "x three", "pad"), node("Identity", "x", "i")], 0, 9),
    ],
)
def test_indices_stay_inside_the_table(tmp_path: Path, before: list[onnx.NodeProto], low: int, high: int) -> None:
    constants = {
        "table": weights(9, 2),
        "three": np.array(3),
        "axes": np.array([0]),
        "target": np.array([2, 4, 500]),
    }
    graph = graph_of(tmp_path, [*before, node("Gather", "table i", "y")], constants=constants)
    (spec,) = input_specs(graph, {})
    assert spec.content.role is Role.INDEX
    found = feeds_of(graph)["x"]
    assert (found.min(), found.max() + 1) == (low, high)


def test_any_number_is_an_index_into_nothing(tmp_path: Path) -> None:
    nothing = {"table": np.zeros((0, 2), np.float32)}
    graph = graph_of(tmp_path, [node("Gather", "table x", "y")], constants=nothing)
    assert feeds_of(graph)["x"].dtype == np.int64


def test_the_smallest_of_two_tables_bounds_an_index(tmp_path: Path) -> None:
    nodes = [node("Gather", "big x", "p"), node("Gather", "small x", "q"), node("Add", "p q", "y")]
    graph = graph_of(tmp_path, nodes, constants={"big": weights(100, 2), "small": weights(2, 2)})
    assert set(feeds_of(graph)["x"].ravel()) == {0, 1}


def test_an_index_into_a_dynamic_dimension_is_bounded_by_its_size(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.onnx",
        [node("GatherElements", "d x", "y", axis=1)],
        [("d", FLOAT, ("batch", "n_items")), ("x", INT64, ("batch", 300))],
        [("y", FLOAT, None)],
    )
    graph = read(path)
    specs = input_specs(graph, {"d": (2, 6)})
    feeds = random_feeds(graph, specs, np.random.default_rng(0), default_sizes(graph, {"d": (2, 6)}))
    assert set(feeds["x"].ravel()) == set(range(6))
    larger = {**default_sizes(graph, {"d": (2, 6)}), graph.symbols.intern("n_items"): 9}
    feeds = random_feeds(graph, specs, np.random.default_rng(0), larger)
    assert set(feeds["x"].ravel()) == set(range(9))


def test_two_positions_that_are_added_share_the_table(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.onnx",
        [node("Add", "x past", "i"), node("Gather", "table i", "y")],
        [("x", INT64, (300,)), ("past", INT64, (300,))],
        [("y", FLOAT, None)],
        {"table": weights(9, 2)},
    )
    feeds = feeds_of(read(path))
    assert set(feeds["x"]) == set(feeds["past"]) == set(range(5))


def test_labels_name_one_of_the_classes(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.onnx",
        [node("SoftmaxCrossEntropyLoss", "scores x", "y")],
        [("scores", FLOAT, (300, 4)), ("x", INT64, (300,))],
        [("y", FLOAT, ())],
    )
    assert set(feeds_of(read(path))["x"]) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Cast", "x", "b", to=BOOL), node("Where", "b one zero", "y")],
        [node("Equal", "x izero", "b"), node("Where", "b one zero", "y")],
        [node("Cast", "x", "f", to=FLOAT), node("Sub", "one f", "n"), node("Mul", "n big", "y")],
    ],
)
@pytest.mark.parametrize("length", [1, 2, 3, 50])
def test_masks_show_and_hide_something_in_every_row(tmp_path: Path, nodes: list[onnx.NodeProto], length: int) -> None:
    constants = {
        "one": np.float32(1).reshape(()),
        "zero": np.float32(0).reshape(()),
        "izero": np.array(0),
        "big": np.float32(-1e4).reshape(()),
    }
    graph = graph_of(tmp_path, nodes, (6, length), constants={name: np.asarray(c) for name, c in constants.items()})
    mask = feeds_of(graph)["x"]
    assert mask.dtype == np.int64
    assert set(mask.ravel()) <= {0, 1}
    assert mask.any(axis=1).all()
    assert length == 1 or not mask.all(axis=1).any()
    assert mask.mean() >= 0.45
    assert (np.diff(mask, axis=1) <= 0).all(), "padding stands on the right"


def test_one_minus_a_float_is_no_mask_unless_it_is_scaled_up(tmp_path: Path) -> None:
    one = np.asarray(np.float32(1))
    plain = graph_of(tmp_path, [node("Sub", "one x", "y")], dtype=FLOAT, constants={"one": one})
    assert input_specs(plain, {})[0].content.role is Role.DATA
    nodes = [node("Sub", "one x", "n"), node("Mul", "n big", "y")]
    constants = {"one": one, "big": np.asarray(np.float32(-3e38))}
    masked = graph_of(tmp_path, nodes, dtype=FLOAT, constants=constants)
    assert input_specs(masked, {})[0].content.role is Role.MASK


def test_a_computed_target_shape_is_the_one_the_model_states(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.onnx",
        [node("Reshape", "d x", "y")],
        [("d", FLOAT, (6, 4)), ("x", INT64, (3,))],
        [("y", FLOAT, (2, 3, 4))],
    )
    assert feeds_of(read(path))["x"].tolist() == [2, 3, 4]


def test_divisors_and_lengths_are_positive(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.onnx",
        [node("ReverseSequence", "d x", "y"), node("Div", "i x", "z")],
        [("d", FLOAT, (5, 200)), ("x", INT64, (200,)), ("i", INT64, (200,))],
        [("y", FLOAT, (5, 200)), ("z", INT64, (200,))],
    )
    feeds = feeds_of(read(path))
    assert set(feeds["x"].ravel()) == {1, 2, 3, 4, 5}
    assert feeds["i"].min() < 0


@pytest.mark.parametrize(
    ("dtype", "kind", "low", "high"),
    [
        (FLOAT, np.float32, -4, -1),
        (FLOAT16, np.float16, -2.5, -1),
        (onnx.TensorProto.UINT8, np.uint8, 0, 30),
        (onnx.TensorProto.INT8, np.int8, -128, -90),
        (INT64, np.int64, -8, -7),
        (BOOL, np.bool_, 0, 0),
    ],
)
def test_plain_data_has_the_range_of_its_type(
    tmp_path: Path, dtype: int, kind: type[np.generic], low: float, high: float
) -> None:
    found = feeds_of(graph_of(tmp_path, [node("Identity", "x", "y")], dtype=dtype, output=dtype))["x"]
    assert found.dtype == kind
    assert low <= found.astype(np.float64).min() <= high
    assert len(np.unique(found)) > 1


def test_the_same_seed_gives_the_same_inputs_and_another_seed_others(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, [node("Identity", "x", "y")], dtype=FLOAT)
    assert np.array_equal(feeds_of(graph, 1)["x"], feeds_of(graph, 1)["x"])
    assert not np.array_equal(feeds_of(graph, 1)["x"], feeds_of(graph, 2)["x"])


def test_strings_are_refused_by_name(tmp_path: Path) -> None:
    dtype = onnx.TensorProto.STRING
    graph = graph_of(tmp_path, [node("Identity", "x", "y")], dtype=dtype, output=dtype)
    with pytest.raises(UnsupportedInputError, match="input 'x'"):
        input_specs(graph, {})


def test_sequences_are_refused_by_name(tmp_path: Path) -> None:
    proto = onnx.helper.make_graph(
        [node("SequenceAt", "words zero", "y")],
        "tiny",
        [onnx.helper.make_tensor_sequence_value_info("words", FLOAT, [2])],
        [onnx.helper.make_tensor_value_info("y", FLOAT, [2])],
        [onnx.numpy_helper.from_array(np.array(0), "zero")],
    )
    path = tmp_path / "m.onnx"
    onnx.save_model(onnx.helper.make_model(proto, opset_imports=[onnx.helper.make_opsetid("", 18)]), path)
    with pytest.raises(UnsupportedInputError, match="input 'words' is no tensor"):
        input_specs(read(path), {})


def test_what_fits_into_no_memory_is_not_drawn(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, [node("Relu", "x", "y")], shape=(2**40, 3), dtype=FLOAT)
    with pytest.raises(UnsupportedInputError, match="elements: that many are not drawn"):
        input_specs(graph, {})
