"""What ONNX nodes become: one normal form for each meaning, an opaque node where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ir.graph import Graph, Node
from ir.operators import shortest
from tests.ir.graphs import make_model, read_proto, value


def _node(
    folder: Path,
    op_type: str,
    shape: tuple[Any, ...],
    result: tuple[Any, ...],
    *,
    opset: int = 18,
    constants: dict[str, np.ndarray] | None = None,
    dtype: int = TensorProto.FLOAT,
    **attributes: Any,
) -> tuple[Node, Graph]:
    """Read a model of one node that takes ``x`` and constants."""
    inputs = ["x", *(constants or {})]
    model = make_model(
        [helper.make_node(op_type, inputs, ["y"], **attributes)],
        [value("x", shape, dtype)],
        [value("y", result, dtype)],
        constants,
        opset=opset,
    )
    graph = read_proto(model, folder)
    (node,) = graph.nodes
    return node, graph


def _ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


@pytest.mark.parametrize(
    ("op_type", "result", "opset", "constants", "attributes"),
    [
        ("Reshape", (6, 4), 18, {"s": _ints(0, -1)}, {}),
        ("Reshape", (6, 4), 14, {"s": _ints(6, 4)}, {"allowzero": 1}),
        ("Flatten", (6, 4), 18, {}, {"axis": 2}),
        ("Squeeze", (6, 4), 12, {}, {"axes": [1]}),
        ("Squeeze", (6, 4), 18, {"a": _ints(-2)}, {}),
        ("Squeeze", (6, 4), 18, {}, {}),
    ],
)
def test_reshapes_are_one_operator(
    op_type: str, result: tuple[int, ...], opset: int, constants: Any, attributes: Any, tmp_path: Path
) -> None:
    shape = {"Flatten": (2, 3, 4), "Squeeze": (6, 1, 4)}.get(op_type, (6, 4))
    node, _ = _node(tmp_path, op_type, shape, result, opset=opset, constants=constants, **attributes)
    assert (node.operator, node.inputs, node.attributes) == ("Reshape", ("x",), {"shape": result})


@pytest.mark.parametrize(
    ("opset", "attributes", "axis"),
    [(11, {"axis": 2}, -1), (11, {"axis": -1}, -1), (13, {}, -1), (13, {"axis": 0}, -3), (18, {"axis": 1}, -2)],
)
def test_softmax_counts_its_axis_from_the_back(opset: int, attributes: Any, axis: int, tmp_path: Path) -> None:
    node, _ = _node(tmp_path, "Softmax", (2, 3, 4), (2, 3, 4), opset=opset, **attributes)
    assert node.attributes == {"axis": axis}


@pytest.mark.parametrize("attributes", [{}, {"axis": 1}, {"axis": 0}])
def test_old_softmax_over_more_than_the_last_axis_is_opaque(attributes: Any, tmp_path: Path) -> None:
    node, _ = _node(tmp_path, "Softmax", (2, 3, 4), (2, 3, 4), opset=11, **attributes)
    assert node.is_opaque


def test_old_clip_takes_its_bounds_as_inputs(tmp_path: Path) -> None:
    node, graph = _node(tmp_path, "Clip", (2, 3), (2, 3), opset=6, min=-1.0, max=6.0)
    assert node.operator == "Clip"
    assert [float(graph.constants[name].numpy()) for name in node.inputs[1:]] == [-1.0, 6.0]


def test_old_float16_clip_keeps_bounds_that_bound_nothing(tmp_path: Path) -> None:
    node, graph = _node(tmp_path, "Clip", (2,), (2,), opset=6, dtype=TensorProto.FLOAT16, min=-3.4e38)
    assert np.isneginf(graph.constants[node.inputs[1]].numpy())


def test_a_constant_made_by_reading_takes_no_name(tmp_path: Path) -> None:
    model = make_model([helper.make_node("Clip", ["y/min"], ["y"], min=-1.0)], [value("y/min")], [value("y")], opset=6)
    (node,) = read_proto(model, tmp_path).nodes
    assert node.inputs[0] == "y/min"
    assert node.inputs[1] not in {"y/min", "y"}


@pytest.mark.parametrize(
    ("opset", "constants", "attributes"),
    [
        (10, {}, {"pads": [0, 1, 0, 2], "value": 3.0}),
        (13, {"p": _ints(0, 1, 0, 2), "v": np.array(3, dtype=np.float32)}, {}),
        (18, {"p": _ints(1, 2), "v": np.array(3, dtype=np.float32), "a": _ints(-1)}, {}),
    ],
)
def test_pads_name_every_axis(opset: int, constants: Any, attributes: Any, tmp_path: Path) -> None:
    node, graph = _node(tmp_path, "Pad", (2, 3), (2, 6), opset=opset, constants=constants, **attributes)
    assert node.attributes == {"mode": "constant", "pads": (0, 1, 0, 2)}
    assert float(graph.constants[node.inputs[1]].numpy()) == 3.0


def test_the_first_pad_is_opaque(tmp_path: Path) -> None:
    node, _ = _node(tmp_path, "Pad", (2, 3), (2, 6), opset=1, paddings=[0, 1, 0, 2])
    assert node.is_opaque


@pytest.mark.parametrize(
    ("opset", "constants", "attributes"),
    [
        (9, {}, {"starts": [-1, 0], "ends": [9, 2], "axes": [1, 0]}),
        (13, {"s": _ints(-1, 0), "e": _ints(2**62, 2), "a": _ints(-1, 0)}, {}),
    ],
)
def test_slices_are_clamped_and_ordered(opset: int, constants: Any, attributes: Any, tmp_path: Path) -> None:
    node, _ = _node(tmp_path, "Slice", (4, 5), (2, 1), opset=opset, constants=constants, **attributes)
    assert node.attributes == {"starts": (0, 4), "ends": (2, 5), "axes": (0, 1), "steps": (1, 1)}


def test_a_slice_of_an_unknown_dimension_keeps_its_bounds(tmp_path: Path) -> None:
    constants = {"s": _ints(-3), "e": _ints(2**31 - 1)}
    node, _ = _node(tmp_path, "Slice", ("n", 5), ("m", 5), constants=constants)
    assert (node.attributes["starts"], node.attributes["ends"]) == ((-3,), (2**63 - 1,))


@pytest.mark.parametrize(
    ("op_type", "opset", "constants", "attributes"),
    [
        ("ReduceMean", 13, {}, {"axes": [2, 1], "keepdims": 0}),
        ("ReduceMean", 18, {"a": _ints(-1, 1)}, {"keepdims": 0}),
        ("ReduceSum", 13, {"a": _ints(1, 2)}, {"keepdims": 0, "noop_with_empty_axes": 1}),
    ],
)
def test_reductions_name_their_axes(op_type: str, opset: int, constants: Any, attributes: Any, tmp_path: Path) -> None:
    node, _ = _node(tmp_path, op_type, (2, 3, 4), (2,), opset=opset, constants=constants, **attributes)
    assert (node.operator, node.attributes) == (op_type, {"axes": (-2, -1), "keepdims": 0})


def test_no_axes_mean_all_of_them_unless_they_mean_none(tmp_path: Path) -> None:
    node, _ = _node(tmp_path, "ReduceSum", (2, 3), (1, 1), opset=13)
    assert node.attributes["axes"] == (-2, -1)
    node, _ = _node(tmp_path, "ReduceSum", (2, 3), (2, 3), opset=13, noop_with_empty_axes=1)
    assert node.is_opaque


def test_split_knows_its_pieces(tmp_path: Path) -> None:
    model = make_model(
        [helper.make_node("Split", ["x"], ["a", "b"], axis=-1, num_outputs=2)],
        [value("x", (2, 5))],
        [value("b", (2, 2))],
    )
    (node,) = read_proto(model, tmp_path).nodes
    assert node.attributes == {"axis": 1, "split": (3, 2)}
    assert node.outputs == ("", "b")


@pytest.mark.parametrize(
    ("auto_pad", "pads"), [("SAME_UPPER", (0, 0, 1, 1)), ("SAME_LOWER", (1, 1, 0, 0)), ("VALID", (0,) * 4)]
)
def test_auto_pad_is_worked_out(auto_pad: str, pads: tuple[int, ...], tmp_path: Path) -> None:
    size = 5 if auto_pad == "VALID" else 6
    result = (1, 1, 3, 3) if auto_pad != "VALID" else (1, 1, 2, 2)
    node, _ = _node(
        tmp_path, "MaxPool", (1, 1, size, size), result, kernel_shape=[3, 3], strides=[2, 2], auto_pad=auto_pad
    )
    assert node.attributes["pads"] == pads


@pytest.mark.parametrize(
    ("op_type", "shape", "result", "attributes"),
    [
        (
            "MaxPool",
            (1, 1, "h", 6),
            (1, 1, "k", 3),
            {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
        ),
        ("MaxPool", (1, 1, 6, 6), (1, 1, 2, 2), {"kernel_shape": [3, 3], "ceil_mode": 1, "auto_pad": "VALID"}),
        ("LeakyRelu", (2, 3), (2, 3), {"alpha": float("nan")}),
        ("Elu", (2, 3), (2, 3), {"alpha": float("inf")}),
        ("Transpose", (2, 3), (2, 3), {"perm": [0, 0]}),
        ("Concat", (2, 3), (2, 3), {"axis": 2}),
        ("Cast", (2, 3), (2, 3), {"to": 1.0}),
        ("NoSuchOperator", (2, 3), (2, 3), {}),
    ],
)
def test_what_has_no_normal_form_is_opaque(
    op_type: str, shape: Any, result: Any, attributes: Any, tmp_path: Path
) -> None:
    node, _ = _node(tmp_path, op_type, shape, result, **attributes)
    assert node.is_opaque
    assert node.source is not None


@pytest.mark.parametrize("opset", [1, 6])
def test_operators_that_did_not_broadcast_yet_are_opaque(opset: int, tmp_path: Path) -> None:
    node, _ = _node(tmp_path, "Add", (2,), (2,), opset=opset, constants={"c": np.ones(2, dtype=np.float32)})
    assert node.is_opaque


@pytest.mark.parametrize(("training", "is_opaque"), [(np.array(False), False), (np.array(True), True), (None, True)])
def test_dropout_in_training_is_opaque(training: np.ndarray | None, is_opaque: bool, tmp_path: Path) -> None:
    constants = {"r": np.array(0.5, dtype=np.float32)} | ({} if training is None else {"t": training})
    model = make_model(
        [helper.make_node("Dropout", ["x", "r", "t"], ["y"], seed=1)],
        [value("x"), *([value("t", (), TensorProto.BOOL)] if training is None else [])],
        [value("y")],
        constants,
    )
    (node,) = read_proto(model, tmp_path).nodes
    assert node.is_opaque is is_opaque


@pytest.mark.parametrize("outputs", [["y"], ["y", "mean", "var"]])
def test_batch_normalization_in_training_is_opaque(outputs: list[str], tmp_path: Path) -> None:
    parameters = {name: np.ones(3, dtype=np.float32) for name in ("s", "b", "m", "v")}
    node = helper.make_node("BatchNormalization", ["x", *parameters], outputs, training_mode=int(len(outputs) > 1))
    graph = read_proto(make_model([node], [value("x", (2, 3, 4))], [value("y", (2, 3, 4))], parameters), tmp_path)
    assert graph.nodes[0].is_opaque is (len(outputs) > 1)


@pytest.mark.parametrize(
    ("number", "is_opaque"), [(1.5, False), (-0.0, True), (float("nan"), True), (float("inf"), True)]
)
def test_fillers_that_are_not_equal_to_themselves_are_opaque(number: float, is_opaque: bool, tmp_path: Path) -> None:
    filler = helper.make_tensor("value", TensorProto.FLOAT, [1], [number])
    node = helper.make_node("ConstantOfShape", ["s"], ["y"], value=filler)
    graph = read_proto(make_model([node], [value("x")], [value("y")], {"s": _ints(2, 3)}), tmp_path)
    assert graph.nodes[0].is_opaque is is_opaque


def test_a_filler_that_no_float_holds_is_opaque(tmp_path: Path) -> None:
    filler = helper.make_tensor("value", TensorProto.INT64, [1], [2**53 + 1])
    node = helper.make_node("ConstantOfShape", ["s"], ["y"], value=filler)
    model = make_model([node], [value("x")], [value("y", (2, 3), TensorProto.INT64)], {"s": _ints(2, 3)})
    assert read_proto(model, tmp_path).nodes[0].is_opaque


def test_stated_defaults_and_missing_ones_are_one_form(tmp_path: Path) -> None:
    stated, _ = _node(tmp_path, "LRN", (1, 4, 5, 5), (1, 4, 5, 5), size=3, alpha=1e-4, beta=0.75, bias=1.0)
    missing, _ = _node(tmp_path, "LRN", (1, 4, 5, 5), (1, 4, 5, 5), size=3)
    assert stated.attributes == missing.attributes == {"size": 3, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}


@pytest.mark.parametrize("number", [1e-5, 0.1, 1 / 3, 3.4028235e38, 1e-45, -0.0, 16777217.0])
def test_the_shortest_number_is_the_same_float32(number: float) -> None:
    assert np.float32(shortest(number)) == np.float32(number)
    assert shortest(float(np.float32(number))) == shortest(number)


def test_a_function_may_hide_an_operator(tmp_path: Path) -> None:
    body = [helper.make_node("Neg", ["a"], ["b"])]
    function = helper.make_function("", "Relu", ["a"], ["b"], body, [helper.make_opsetid("", 18)])
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], [value("x")], [value("y")], functions=[function])
    assert read_proto(model, tmp_path).nodes[0].is_opaque


def test_symbols_of_one_name_are_one_symbol(tmp_path: Path) -> None:
    model = make_model(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        [value("a", ("n", None)), value("b", ("n", None))],
        [value("y", ("n", None))],
    )
    graph = read_proto(model, tmp_path)
    one, two = graph.types["a"].shape, graph.types["b"].shape
    assert one[0] == two[0] < 0
    assert one[1] != two[1]
    assert graph.symbols.name(one[0]) == "n"


def test_a_type_that_contradicts_itself_is_no_type(tmp_path: Path) -> None:
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], [value("x", (2, 3))], [value("y", (2, 4))])
    assert "y" not in read_proto(model, tmp_path).types


def test_inference_sees_small_external_constants(tmp_path: Path) -> None:
    model = make_model(
        [helper.make_node("Reshape", ["x", "s"], ["y"])], [value("x")], [value("y", (None, None))], {"s": _ints(3, 2)}
    )
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    from ir.reader import read

    assert read(tmp_path / "m.onnx").nodes[0].attributes == {"shape": (3, 2)}


@pytest.mark.parametrize(
    ("equation", "result", "normal"),
    [("b i -> b", (2,), "ab->a"), ("ji", (3, 2), "ab->ba"), ("zz", (), "aa->"), ("...i->...i", (3, 3), "...i->...i")],
)
def test_equations_have_one_spelling(equation: str, result: tuple[int, ...], normal: str, tmp_path: Path) -> None:
    shape = (2, 3) if len(set(equation) & set("bij")) > 1 else (3, 3)
    node, _ = _node(tmp_path, "Einsum", shape, result, equation=equation)
    assert node.attributes == {"equation": normal}
