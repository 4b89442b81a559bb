"""What a model says beside its nodes stays, and what its graph means stays, whatever shape the graph has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.ir.graphs import (
    BOOL,
    INT64,
    assert_same_results,
    make_model,
    operators,
    read_proto,
    round_trip,
    run,
    value,
    write_back,
)

ONES = np.ones((2, 3), dtype=np.float32)


def test_words_about_the_model_stay(tmp_path: Path) -> None:
    model = make_model([helper.make_node("Relu", ["x"], ["y"], name="n", doc_string="d")], [value("x")], [value("y")])
    model.producer_name, model.producer_version, model.domain = "p", "1.2", "org.example"
    model.model_version, model.doc_string, model.graph.doc_string = 7, "m", "g"
    helper.set_model_props(model, {"author": "me"})
    for place in (model.graph, model.graph.node[0], model.graph.input[0], model.graph.output[0]):
        place.metadata_props.append(onnx.StringStringEntryProto(key="k", value="v"))
    model.graph.input[0].type.denotation = "IMAGE"
    model.graph.input[0].type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    assert round_trip(model, tmp_path) == model


def test_words_about_values_and_weights_stay(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(ONES, "w")
    weight.doc_string = "a weight"
    model = make_model(
        [helper.make_node("Add", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])], [value("x")], [value("y")]
    )
    model.graph.initializer.append(weight)
    inner = value("h")
    inner.metadata_props.append(onnx.StringStringEntryProto(key="k", value="v"))
    model.graph.value_info.append(inner)
    written = round_trip(model, tmp_path)
    assert written.graph.initializer[0] == weight
    assert inner in list(written.graph.value_info)


def test_functions_and_their_overloads_stay(tmp_path: Path) -> None:
    opsets = [helper.make_opsetid("", 18)]
    functions = [
        helper.make_function("d", "F", ["a"], ["b"], [helper.make_node(op, ["a"], ["b"])], opsets, overload=overload)
        for op, overload in (("Neg", ""), ("Relu", "r"))
    ]
    nodes = [
        helper.make_node("F", ["x"], ["h"], domain="d"),
        helper.make_node("F", ["h"], ["y"], domain="d", overload="r"),
    ]
    model = make_model(nodes, [value("x")], [value("y")], domains=["d"], functions=functions, ir_version=10)
    written = round_trip(model, tmp_path)
    kept = [(each.domain, each.name, each.overload, each.node[0].op_type) for each in written.functions]
    assert kept == [("d", "F", "", "Neg"), ("d", "F", "r", "Relu")]
    assert [(node.op_type, node.overload) for node in written.graph.node] == [("F", ""), ("F", "r")]


def test_unknown_domains_pass_through(tmp_path: Path) -> None:
    node = helper.make_node("Thing", ["x", "", "w"], ["y", "", "z"], domain="org.example", a=1, b="two", c=[1.0])
    model = make_model([node], [value("x")], [value("y"), value("z")], {"w": ONES}, domains=["org.example"])
    written = round_trip(model, tmp_path)
    assert written.graph.node[0] == node
    assert written.opset_import == model.opset_import


def test_the_other_name_of_the_default_domain_works(tmp_path: Path) -> None:
    model = make_model([helper.make_node("Clip", ["x", "", "m"], ["y"])], [value("x")], [value("y")], {"m": ONES[0, 0]})
    model.opset_import[0].domain = "ai.onnx"
    model.graph.node[0].domain = "ai.onnx"
    assert read_proto(model, tmp_path).nodes[0].operator == "Clip"
    assert_same_results(model, round_trip(model, tmp_path), {"x": ONES * 2})


@pytest.mark.parametrize("names", [("y", "y"), ("x", "y"), ("w", "y"), ("x", "w")])
def test_outputs_may_be_inputs_constants_or_doubles(names: tuple[str, str], tmp_path: Path) -> None:
    model = make_model(
        [helper.make_node("Add", ["x", "w"], ["y"])], [value("x")], [value(name) for name in names], {"w": ONES}
    )
    written = write_back(read_proto(model, tmp_path), tmp_path / "written.onnx")
    assert_same_results(model, written, {"x": ONES})


def test_inputs_nobody_uses_stay(tmp_path: Path) -> None:
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], [value("z"), value("x")], [value("y")])
    assert [each.name for each in round_trip(model, tmp_path).graph.input] == ["z", "x"]


def test_defaults_of_inputs_may_still_be_overridden(tmp_path: Path) -> None:
    model = make_model(
        [helper.make_node("Add", ["x", "w"], ["y"])], [value("x"), value("w")], [value("y")], {"w": ONES}
    )
    graph = read_proto(model, tmp_path)
    assert graph.inputs == ("x", "w")
    assert "w" not in graph.constants
    written = round_trip(model, tmp_path)
    assert_same_results(model, written, {"x": ONES})
    assert_same_results(model, written, {"x": ONES, "w": ONES * 5})


def test_before_ir_version_4_every_weight_is_an_input(tmp_path: Path) -> None:
    model = make_model(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        [value("x"), value("w")],
        [value("y")],
        {"w": ONES},
        opset=8,
        ir_version=3,
    )
    graph = read_proto(model, tmp_path)
    assert graph.inputs == ("x",)
    written = round_trip(model, tmp_path)
    assert [each.name for each in written.graph.input] == ["x", "w"]
    assert written.ir_version == 3
    assert_same_results(model, written, {"x": ONES})


def test_sequences_and_optionals_pass_through(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("SequenceConstruct", ["x", "x"], ["s"]),
        helper.make_node("Identity", ["s"], ["t"]),
        helper.make_node("SequenceAt", ["t", "i"], ["h"]),
        helper.make_node("Optional", ["h"], ["o"]),
        helper.make_node("OptionalGetElement", ["o"], ["y"]),
    ]
    model = make_model(nodes, [value("x")], [value("y")], {"i": np.array(1, dtype=np.int64)})
    assert_same_results(model, round_trip(model, tmp_path), {"x": ONES})


def test_string_constants_pass_through(tmp_path: Path) -> None:
    words = np.array(["a", "b"], dtype=object)
    nodes = [
        helper.make_node("Constant", [], ["c"], value_strings=["a", "c"]),
        helper.make_node("Equal", ["w", "c"], ["y"]),
    ]
    model = make_model(nodes, [value("x")], [value("y", (2,), BOOL)], {"w": words}, opset=19)
    assert_same_results(model, round_trip(model, tmp_path), {"x": ONES})


@pytest.mark.parametrize(
    "attribute",
    [{"value_int": 3}, {"value_float": 2.5}, {"value_ints": [1, 2, 3]}, {"value_floats": [1.0, 2.0, 3.0]}],
)
def test_constants_of_every_spelling_are_constants(attribute: dict[str, Any], tmp_path: Path) -> None:
    nodes = [helper.make_node("Constant", [], ["c"], **attribute), helper.make_node("CastLike", ["c", "x"], ["d"])]
    nodes.append(helper.make_node("Add", ["x", "d"], ["y"]))
    model = make_model(nodes, [value("x")], [value("y")])
    graph = read_proto(model, tmp_path)
    assert "c" in graph.constants
    assert_same_results(model, round_trip(model, tmp_path), {"x": ONES})


def _branch(name: str, nodes: list[onnx.NodeProto], output: str) -> onnx.GraphProto:
    return helper.make_graph(nodes, name, [], [value(output, None)])


def _conditional(then_: list[onnx.NodeProto], else_: list[onnx.NodeProto]) -> onnx.NodeProto:
    branches = {"then_branch": _branch("t", then_, "a"), "else_branch": _branch("e", else_, "b")}
    return helper.make_node("If", ["c"], ["y"], **branches)


def test_branches_capture_what_is_outside(tmp_path: Path) -> None:
    inner = _conditional([helper.make_node("Add", ["h", "w"], ["a"])], [helper.make_node("Mul", ["h", "x"], ["b"])])
    inner.output[0] = "inner"
    outer = _conditional(
        [
            inner,
            helper.make_node("Constant", [], ["k"], value_float=2.0),
            helper.make_node("Mul", ["inner", "k"], ["a"]),
        ],
        [helper.make_node("Sub", ["w", "h"], ["b"])],
    )
    model = make_model(
        [helper.make_node("Relu", ["x"], ["h"]), outer],
        [value("c", (), BOOL), value("x")],
        [value("y")],
        {"w": ONES * 3},
    )
    graph = read_proto(model, tmp_path)
    assert set(graph.nodes[-1].inputs) == {"c", "h", "w", "x"}
    written = round_trip(model, tmp_path)
    for condition in (True, False):
        assert_same_results(model, written, {"c": np.array(condition), "x": -ONES})


def test_loops_carry_and_capture(tmp_path: Path) -> None:
    body = helper.make_graph(
        [
            helper.make_node("Add", ["carried", "h"], ["next"]),
            helper.make_node("Identity", ["go"], ["still"]),
            helper.make_node("Identity", ["next"], ["row"]),
        ],
        "body",
        [value("i", (), INT64), value("go", (), BOOL), value("carried")],
        [value("still", (), BOOL), value("next"), value("row")],
    )
    nodes = [
        helper.make_node("Abs", ["x"], ["h"]),
        helper.make_node("Loop", ["n", "", "x"], ["last", "rows"], body=body),
    ]
    model = make_model(nodes, [value("x")], [value("rows", (None, 2, 3))], {"n": np.array(3, dtype=np.int64)})
    written = round_trip(model, tmp_path)
    assert_same_results(model, written, {"x": ONES})


def test_scans_capture(tmp_path: Path) -> None:
    body = helper.make_graph(
        [
            helper.make_node("Add", ["state", "row"], ["t"]),
            helper.make_node("Mul", ["t", "w"], ["next"]),
            helper.make_node("Identity", ["next"], ["out"]),
        ],
        "body",
        [value("state", (3,)), value("row", (3,))],
        [value("next", (3,)), value("out", (3,))],
    )
    nodes = [helper.make_node("Scan", ["s", "x"], ["f", "y"], num_scan_inputs=1, body=body)]
    weights = {"w": np.full(3, 2, dtype=np.float32), "s": np.zeros(3, dtype=np.float32)}
    model = make_model(nodes, [value("x")], [value("y")], weights)
    assert_same_results(model, round_trip(model, tmp_path), {"x": ONES})


def test_a_shape_of_symbols_is_computed_from_the_inputs(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "order"], ["t"]),
        helper.make_node("Reshape", ["x", "t"], ["y"]),
    ]
    model = make_model(
        nodes, [value("x", ("n", "m", 3))], [value("y", ("m", "n", 3))], {"order": np.array([1, 0, 2], dtype=np.int64)}
    )
    graph = read_proto(model, tmp_path)
    assert graph.nodes[-1].operator == "Reshape"
    written = round_trip(model, tmp_path)
    assert "Concat" in operators(written)
    assert_same_results(model, written, {"x": np.arange(24, dtype=np.float32).reshape(2, 4, 3)})


def test_names_made_by_writing_are_new(tmp_path: Path) -> None:
    """A value of the model has the very name that the writer would give the shape of a Reshape."""
    nodes = [
        helper.make_node("Relu", ["x"], ["y/shape"]),
        helper.make_node("Reshape", ["y/shape", "s"], ["y"]),
    ]
    model = make_model(nodes, [value("x")], [value("y", (3, 2))], {"s": np.array([3, 2], dtype=np.int64)})
    assert_same_results(model, round_trip(model, tmp_path), {"x": ONES})


def test_unused_outputs_that_must_exist_get_names(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("TopK", ["x", "k"], ["", "i"]),
        helper.make_node("Split", ["x"], ["", "b", ""], axis=1, num_outputs=3),
    ]
    nodes[0].output[0], nodes[1].output[0], nodes[1].output[2] = "v", "a", "c"
    model = make_model(
        nodes, [value("x")], [value("i", (2, 2), INT64), value("b", (2, 1))], {"k": np.array([2], dtype=np.int64)}
    )
    written = round_trip(model, tmp_path)
    assert all(all(node.output) for node in written.graph.node)
    assert_same_results(model, written, {"x": ONES})


def test_recurrent_networks_keep_the_places_of_their_outputs(tmp_path: Path) -> None:
    weights = {
        "w": np.ones((1, 4, 3), dtype=np.float32),
        "r": np.ones((1, 4, 4), dtype=np.float32),
    }
    nodes = [
        helper.make_node("RNN", ["x", "w", "r"], ["all"], hidden_size=4),
        helper.make_node("RNN", ["x", "w", "r"], ["", "last"], hidden_size=4),
    ]
    model = make_model(
        nodes, [value("x", (5, 2, 3))], [value("all", (5, 1, 2, 4)), value("last", (1, 2, 4))], weights, opset=14
    )
    assert_same_results(model, round_trip(model, tmp_path), {"x": np.ones((5, 2, 3), dtype=np.float32)})


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.INT32])
def test_other_element_types_compute_the_same(dtype: int, tmp_path: Path) -> None:
    array = np.arange(6).reshape(2, 3).astype(helper.tensor_dtype_to_np_dtype(dtype))
    nodes = [helper.make_node("Mul", ["x", "w"], ["h"]), helper.make_node("Transpose", ["h"], ["y"])]
    model = make_model(nodes, [value("x", (2, 3), dtype)], [value("y", (3, 2), dtype)], {"w": array})
    assert_same_results(model, round_trip(model, tmp_path), {"x": array})


def test_a_reshape_to_nothing_keeps_its_zero(tmp_path: Path) -> None:
    for opset in (13, 18):
        model = make_model(
            [helper.make_node("Unsqueeze", ["x", "a"], ["y"])],
            [value("x", (0,))],
            [value("y", (1, 0))],
            {"a": np.array([0], dtype=np.int64)},
            opset=opset,
        )
        written = round_trip(model, tmp_path)
        assert run(written, {"x": np.zeros(0, dtype=np.float32)})[0].shape == (1, 0)
