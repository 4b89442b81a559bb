"""What is not optimised is carried through: training, sparse tensors, maps, annotations and devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from eqsat.egraph.session import Session
from ir import serialised
from ir.errors import UnsupportedModelError
from ir.onnx_file import load_model, write_model
from tests.egraph.sessions import first_choice, rules, written
from tests.ir.graphs import (
    assert_same_results,
    make_model,
    operators,
    read_proto,
    run,
    save,
    value,
    write_back,
)

ONES = np.ones((2, 3), dtype=np.float32)
DENSE = np.array([[0, 2, 0], [0, 0, 3], [4, 0, 0]], dtype=np.float32)


def _trained() -> onnx.ModelProto:
    """A model whose weight is halved by each step of its training, and whose bias is not trained."""
    weights = {"w": ONES, "b": 2 * ONES}
    nodes = [helper.make_node("Neg", ["w"], ["n"]), helper.make_node("Sum", ["x", "n", "b"], ["y"])]
    model = make_model(nodes, [value("x")], [value("y")], weights)
    half = numpy_helper.from_array(np.array(0.5, dtype=np.float32), "half")
    step = helper.make_graph([helper.make_node("Mul", ["w", "half"], ["w1"])], "step", [], [value("w1")], [half])
    zero = helper.make_node("Constant", [], ["w0"], value=numpy_helper.from_array(0 * ONES))
    start = helper.make_graph([zero], "start", [], [value("w0")])
    model.training_info.append(helper.make_training_info(step, [("w", "w1")], start, [("w", "w0")]))
    return model


def test_training_stays_and_nothing_is_made_of_what_it_changes(tmp_path: Path) -> None:
    model = _trained()
    graph = read_proto(model, tmp_path)
    assert list(graph.held) == ["w"]
    rule = '(rewrite (Neg x) (Sub (Sub x x) x) :when ((constant x)) :ruleset opt :name "neg-of-constant")'
    session = Session(graph, rules(rule))
    assert not session.candidates()
    proto = written(session, first_choice(session), tmp_path)
    assert proto.training_info == model.training_info
    assert [tensor for tensor in proto.graph.initializer if tensor.name == "w"] == [model.graph.initializer[0]]
    assert_same_results(model, proto, {"x": ONES})


def test_a_trained_weight_that_the_graph_does_not_need_stays(tmp_path: Path) -> None:
    model = _trained()
    model.graph.node[1].input[1] = "x"
    written_back = write_back(read_proto(model, tmp_path), tmp_path / "n.onnx")
    assert {tensor.name for tensor in written_back.graph.initializer} == {"w", "b"}
    assert operators(written_back) == ["Sum"]


def _sparse(name: str, array: np.ndarray, *, has_rows: bool) -> onnx.SparseTensorProto:
    places = np.argwhere(array) if has_rows else np.flatnonzero(array)
    values = numpy_helper.from_array(array[array != 0], name)
    return helper.make_sparse_tensor(values, numpy_helper.from_array(places), array.shape)


@pytest.mark.parametrize("has_rows", [False, True])
def test_sparse_initializers_are_weights(has_rows: bool, tmp_path: Path) -> None:
    model = make_model([helper.make_node("MatMul", ["x", "w"], ["y"])], [value("x")], [value("y")])
    model.graph.sparse_initializer.append(_sparse("w", DENSE, has_rows=has_rows))
    graph = read_proto(model, tmp_path)
    np.testing.assert_array_equal(graph.constants["w"].numpy(), DENSE)
    after = write_back(graph, tmp_path / "n.onnx")
    onnx.checker.check_model(after, full_check=True)
    assert_same_results(model, after, {"x": ONES})


def test_sparse_tensors_of_subgraphs_and_functions_are_weights(tmp_path: Path) -> None:
    branch = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["t"])], "then", [], [value("t")])
    branch.sparse_initializer.append(_sparse("w", DENSE, has_rows=False))
    other = helper.make_graph([helper.make_node("Relu", ["x"], ["e"])], "else", [], [value("e")])
    constant = helper.make_node("Constant", [], ["c"], sparse_value=_sparse("", DENSE[:2], has_rows=True))
    opsets = [helper.make_opsetid("", 18)]
    function = helper.make_function(
        "d", "F", ["a"], ["b"], [constant, helper.make_node("Add", ["a", "c"], ["b"])], opsets
    )
    nodes = [
        helper.make_node("If", ["p"], ["h"], then_branch=branch, else_branch=other),
        helper.make_node("F", ["h"], ["y"], domain="d"),
    ]
    inputs = [value("x"), value("p", (), TensorProto.BOOL)]
    model = make_model(nodes, inputs, [value("y", None)], domains=["d"], functions=[function])
    after = write_back(read_proto(model, tmp_path), tmp_path / "n.onnx")
    assert_same_results(model, after, {"x": ONES, "p": np.array(True)})


def test_sparse_tensors_that_would_become_large_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serialised, "MAX_DENSE_BYTES", 2 * DENSE.nbytes - 1)
    model = make_model([helper.make_node("Sum", ["x", "v", "w"], ["y"])], [value("x", (3, 3))], [value("y", (3, 3))])
    model.graph.sparse_initializer.extend(_sparse(name, DENSE, has_rows=False) for name in "vw")
    with pytest.raises(UnsupportedModelError, match="'w' is too large to be made dense"):
        load_model(save(model, tmp_path))


@pytest.mark.parametrize("indices", [[9], [-1], [0, 1]])
def test_sparse_tensors_that_contradict_themselves_are_not_rewritten(indices: list[int], tmp_path: Path) -> None:
    values = numpy_helper.from_array(np.ones(1, dtype=np.float32), "w")
    model = make_model([helper.make_node("Add", ["x", "w"], ["y"])], [value("x", (3, 3))], [value("y", (3, 3))])
    broken = onnx.SparseTensorProto(values=values, indices=numpy_helper.from_array(np.array(indices)), dims=[3, 3])
    model.graph.sparse_initializer.append(broken)
    with pytest.raises(UnsupportedModelError, match="contradicts itself"):
        load_model(save(model, tmp_path))


@pytest.mark.parametrize(
    "attribute",
    [
        {"value_int": 2},
        {"value_ints": [2, 0, 1]},
        {"value_float": 0.5},
        {"value_floats": [0.5, -1.0, 2.0]},
        {"value_string": "text"},
        {"value_strings": ["a", "b", "c"]},
        {"sparse_value": _sparse("", DENSE[0], has_rows=False)},
        {"value": helper.make_tensor("t", TensorProto.FLOAT16, [3], [1.0, 2.0, 3.0])},
        {"value": helper.make_tensor("t", TensorProto.UINT64, [1], [2**63 + 5])},
        {"value": helper.make_tensor("t", TensorProto.BOOL, [3], [True, False, True])},
    ],
)
def test_constants_are_carried_in_every_spelling(attribute: dict[str, Any], tmp_path: Path) -> None:
    nodes = [helper.make_node("Constant", [], ["c"], **attribute), helper.make_node("Identity", ["c"], ["y"])]
    output = onnx.ValueInfoProto(name="y")
    model = make_model([*nodes, helper.make_node("Relu", ["x"], ["z"])], [value("x")], [output, value("z")])
    after = write_back(read_proto(model, tmp_path), tmp_path / "n.onnx")
    assert_same_results(model, after, {"x": ONES})


def test_maps_and_their_types_stay(tmp_path: Path) -> None:
    text, number = TensorProto.STRING, TensorProto.FLOAT
    names: dict[str, Any] = {"classlabels_strings": ["a", "b", "c"]}
    nodes = [
        helper.make_node("Softmax", ["x"], ["h"]),
        helper.make_node("ZipMap", ["h"], ["y"], domain="ai.onnx.ml", **names),
    ]
    type_ = helper.make_map_type_proto(text, helper.make_tensor_type_proto(number, []))
    output = helper.make_value_info("y", helper.make_sequence_type_proto(type_))
    model = make_model(nodes, [value("x")], [output], domains=["ai.onnx.ml"])
    graph = read_proto(model, tmp_path)
    assert [node.operator for node in graph.nodes] == ["Softmax", ""]
    after = write_back(graph, tmp_path / "n.onnx")
    assert after.graph.output == model.graph.output
    assert run(after, {"x": ONES}) == run(model, {"x": ONES})


def test_what_cannot_be_rewritten_is_told_by_the_fact_alone(tmp_path: Path) -> None:
    type_ = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    node = helper.make_node("Optional", [], ["o"], type=type_)
    nodes = [node, helper.make_node("OptionalHasElement", ["o"], ["y"])]
    model = make_model(nodes, [value("x")], [value("y", (), TensorProto.BOOL)])
    with pytest.raises(UnsupportedModelError, match=r"cannot be rewritten \(Map types are not supported yet\.\)$"):
        load_model(save(model, tmp_path))


def test_annotations_and_what_they_name_stay(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["h"]), helper.make_node("Add", ["h", "w"], ["y"])]
    model = make_model(nodes, [value("x")], [value("y")], {"w": ONES, "s": np.array([0.5], dtype=np.float32)})
    for name in ("x", "h", "w"):
        annotation = model.graph.quantization_annotation.add(tensor_name=name)
        annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="s")
    after = write_back(read_proto(model, tmp_path), tmp_path / "n.onnx")
    kept = {
        each.tensor_name: each.quant_parameter_tensor_names[0].value for each in after.graph.quantization_annotation
    }
    assert kept == {"x": "s", "h": "s", "w": "s"}
    assert {tensor.name for tensor in after.graph.initializer} == {"w", "s"}


def test_devices_stay(tmp_path: Path) -> None:
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], [value("x")], [value("y")], ir_version=11)
    model.configuration.add(name="two", num_devices=2)
    device = model.graph.node[0].device_configurations.add(configuration_id="two")
    device.sharding_spec.add(tensor_name="x", device=[0, 1])
    after = write_back(read_proto(model, tmp_path), tmp_path / "n.onnx")
    assert after.configuration == model.configuration
    assert after.graph.node[0].device_configurations == model.graph.node[0].device_configurations


def test_what_was_kept_aside_survives_writing_twice(tmp_path: Path) -> None:
    model = _trained()
    write_model(load_model(save(model, tmp_path)), tmp_path / "one.onnx")
    write_model(load_model(tmp_path / "one.onnx"), tmp_path / "two.onnx")
    assert onnx.load(tmp_path / "two.onnx").training_info == model.training_info


def test_an_output_that_declares_another_rank_keeps_its_word(tmp_path: Path) -> None:
    nodes = [helper.make_node("Transpose", ["x"], ["t"], perm=[2, 0, 1]), helper.make_node("Relu", ["t"], ["y"])]
    model = make_model(nodes, [value("x", ("n", 3, 4))], [value("y", ("L", 8))])
    after = write_back(read_proto(model, tmp_path), tmp_path / "n.onnx")
    assert after.graph.output == model.graph.output
    assert_same_results(model, after, {"x": np.ones((2, 3, 4), dtype=np.float32)})
