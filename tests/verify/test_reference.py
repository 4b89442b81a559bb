"""Evaluation in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.helper
import pytest

from ir.interface import numpy_dtype
from ir.reference import evaluate_float64, widened
from tests.verify.models import BOOL, FLOAT, FLOAT16, node, save, weights


def test_the_result_is_that_of_float64_arithmetic(tmp_path: Path) -> None:
    w, x = weights(300, 5), weights(4, 300, seed=1)
    path = save(
        tmp_path / "m.onnx", [node("MatMul", "x w", "y")], [("x", FLOAT, (4, 300))], [("y", FLOAT, None)], {"w": w}
    )
    found = evaluate_float64(path, {"x": x, "unused": x})
    assert found is not None
    assert found["y"].dtype == np.float64
    np.testing.assert_allclose(found["y"], x.astype(np.float64) @ w.astype(np.float64), rtol=1e-12)
    assert np.abs(found["y"] - x @ w).max() > 0


def test_casts_constants_and_subgraphs_are_widened_too(tmp_path: Path) -> None:
    branch = onnx.helper.make_graph(
        [node("Constant", "", "c", value_float=0.1), node("Cast", "x", "h", to=FLOAT16), node("Add", "h c", "t")],
        "branch",
        [],
        [onnx.helper.make_tensor_value_info("t", FLOAT16, [2])],
    )
    third = onnx.numpy_helper.from_array(np.array([1 / 3], dtype=np.float32))
    nodes = [
        node("If", "yes", "picked", then_branch=branch, else_branch=branch),
        node("ConstantOfShape", "shape", "filled", value=third),
        node("ConstantOfShape", "shape", "zeros"),
        node("Add", "picked filled", "a"),
        node("Add", "a zeros", "y"),
    ]
    constants = {"yes": np.array(True), "shape": np.array([2])}
    path = save(tmp_path / "m.onnx", nodes, [("x", FLOAT, (2,))], [("y", FLOAT, (2,))], constants)
    x = np.array([1 / 7, 1 / 9], dtype=np.float32)
    found = evaluate_float64(path, {"x": x})
    assert found is not None
    expected = x.astype(np.float64) + np.float64(np.float32(0.1)) + np.float64(np.float32(1 / 3))
    np.testing.assert_allclose(found["y"], expected, rtol=1e-14)


def test_functions_of_the_model_are_evaluated(tmp_path: Path) -> None:
    opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("own", 1)]
    body = [node("Constant", "", "c", value_float=0.1), node("Add", "a a", "d"), node("Add", "d c", "b")]
    double = onnx.helper.make_function("own", "Double", ["a"], ["b"], body, opsets[:1])
    graph = onnx.helper.make_graph(
        [node("Double", "x", "y", domain="own")],
        "tiny",
        [onnx.helper.make_tensor_value_info("x", FLOAT, [2])],
        [onnx.helper.make_tensor_value_info("y", FLOAT, [2])],
    )
    path = tmp_path / "m.onnx"
    onnx.save_model(onnx.helper.make_model(graph, functions=[double], opset_imports=opsets, ir_version=9), path)
    found = evaluate_float64(path, {"x": np.array([1.5, 2.5], dtype=np.float32)})
    assert found is not None
    assert found["y"].tolist() == [3.0 + np.float64(np.float32(0.1)), 5.0 + np.float64(np.float32(0.1))]


def test_booleans_and_integers_keep_their_types(tmp_path: Path) -> None:
    nodes = [node("Greater", "x zero", "y")]
    constants = {"zero": np.zeros((), np.float32)}
    path = save(tmp_path / "m.onnx", nodes, [("x", FLOAT, (2,))], [("y", BOOL, (2,))], constants)
    found = evaluate_float64(path, {"x": np.array([-1, 1], dtype=np.float32)})
    assert found is not None
    assert found["y"].dtype == np.bool_
    assert found["y"].tolist() == [False, True]


@pytest.mark.parametrize(
    "bad", [node("Gelu", "x", "y", domain="com.microsoft"), node("LayerNormalization", "x w", "y", stash_type=16)]
)
def test_an_operator_without_a_reference_gives_none(tmp_path: Path, bad: onnx.NodeProto) -> None:
    path = save(tmp_path / "m.onnx", [bad], [("x", FLOAT, (2, 3))], [("y", FLOAT, None)], {"w": weights(3)})
    assert evaluate_float64(path, {"x": weights(2, 3)}) is None


def test_noise_moves_fractions_and_leaves_whole_numbers(tmp_path: Path) -> None:
    nodes = [node("Mul", "x w", "a"), node("Mul", "a two", "y")]
    constants = {"w": weights(5), "two": np.full(5, 2.0, np.float32)}
    path = save(tmp_path / "m.onnx", nodes, [("x", FLOAT, (5,))], [("y", FLOAT, (5,))], constants)
    feeds = {"x": np.arange(1, 6, dtype=np.float32)}
    exact = evaluate_float64(path, feeds)
    noisy = evaluate_float64(path, feeds, noise=1e-6, rng=np.random.default_rng(0))
    assert exact is not None
    assert noisy is not None
    change = np.abs(noisy["y"] / exact["y"] - 1)
    assert change.min() > 0
    assert change.max() < 1e-5
    assert len(set(change)) == 5


def test_only_narrow_floats_are_widened() -> None:
    assert widened(np.ones(2, dtype=numpy_dtype(onnx.TensorProto.BFLOAT16))).dtype == np.float64
    assert widened(np.ones(2, dtype=np.float16)).dtype == np.float64
    assert widened(np.ones(2, dtype=np.int32)).dtype == np.int32
