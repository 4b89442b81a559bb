"""What is folded into a file: as much as the limit allows, and never at the price of a weight's packing."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnx.numpy_helper
import pytest

from eqsat.egraph.build import build
from eqsat.egraph.session import Session
from eqsat.extraction.cpsat import solve
from eqsat.runtime.wire import ELEMENT_TYPES
from tests.pipeline import models, pricing
from tests.pipeline.fake_runtime import FakeRuntime

SUM = models.rewrite("(Add (Add x a) b)", "(Add x (Add a b))", "sum", "(constant a) (constant b)")
PRODUCT = models.rewrite("(Mul (MatMul x w) s)", "(MatMul x (Mul w s))", "product", "(constant w) (constant s)")
TURN = models.rewrite("(Sigmoid w)", "(Neg w)", "turn", "(constant w)")
LOTS = 2**30


def built(folder: Path, model: onnx.ModelProto, max_growth_bytes: int, *forms: str) -> onnx.ModelProto:
    """Apply rules wherever they match, prefer what they make, and write the result."""
    session: Session = models.session(folder, model, models.rules(*forms))
    session.apply(session.candidates())
    dear = {"Sigmoid": 99.0, "Mul": 50.0}
    priced = pricing.priced(session, pricing.pricer(FakeRuntime(dear), folder / "db.sqlite"))
    choice = priced.choice(solve(priced.problem, time_limit_s=20).selection)
    path = build(
        session, choice, FakeRuntime().as_runtime(), folder / "built.onnx", max_growth_bytes=max_growth_bytes
    ).path
    onnx.checker.check_model(path, full_check=True)
    return onnx.load_model(path)


def operators(model: onnx.ModelProto) -> list[str]:
    return sorted(node.op_type for node in model.graph.node)


def weights_bytes(model: onnx.ModelProto) -> int:
    return sum(len(tensor.raw_data) for tensor in model.graph.initializer)


def same_shape(size: int) -> onnx.ModelProto:
    """``(x + a) + b`` with constants of one size: their sum takes the place of both."""
    nodes = [models.node("Add", "x a", "h"), models.node("Add", "h b", "y")]
    constants = {"a": models.weights(size, seed=1), "b": models.weights(size, seed=2)}
    return models.make(nodes, [("x", [2, size])], [("y", [2, size])], constants)


def outer_sum(rows: int, columns: int) -> onnx.ModelProto:
    """``(x + a) + b`` with a column and a row: their sum is a matrix."""
    nodes = [models.node("Add", "x a", "h"), models.node("Add", "h b", "y")]
    constants = {"a": models.weights(rows, 1, seed=1), "b": models.weights(columns, seed=2)}
    return models.make(nodes, [("x", [rows, columns])], [("y", [rows, columns])], constants)


def test_what_takes_the_place_of_more_is_folded_without_room(tmp_path: Path) -> None:
    found = built(tmp_path, same_shape(1000), 0, SUM)
    assert operators(found) == ["Add"]
    assert weights_bytes(found) == 4000


@pytest.mark.parametrize("growth", [4 * (50 * 60 - 50 - 60), LOTS])
def test_what_grows_is_folded_within_the_limit(tmp_path: Path, growth: int) -> None:
    found = built(tmp_path, outer_sum(50, 60), growth, SUM)
    assert operators(found) == ["Add"]
    assert weights_bytes(found) == 4 * 50 * 60


@pytest.mark.parametrize("growth", [4 * (50 * 60 - 50 - 60) - 1, 0])
def test_what_grows_more_stays_a_computation(tmp_path: Path, growth: int) -> None:
    found = built(tmp_path, outer_sum(50, 60), growth, SUM)
    assert operators(found) == ["Add", "Add"]
    assert weights_bytes(found) == 4 * (50 + 60)


def test_the_smallest_growth_comes_first(tmp_path: Path) -> None:
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, np.ndarray] = {}
    for part, (rows, columns) in {"p": (20, 30), "q": (40, 50)}.items():
        nodes += [
            models.node("Add", f"x{part} a{part}", f"h{part}"),
            models.node("Add", f"h{part} b{part}", f"y{part}"),
        ]
        constants |= {f"a{part}": models.weights(rows, 1, seed=1), f"b{part}": models.weights(columns, seed=2)}
    inputs = [("xp", [20, 30]), ("xq", [40, 50])]
    model = models.make(nodes, inputs, [("yp", [20, 30]), ("yq", [40, 50])], constants)
    found = built(tmp_path, model, 4 * 40 * 50, SUM)
    assert operators(found) == ["Add", "Add", "Add"]
    assert sorted(len(tensor.raw_data) for tensor in found.graph.initializer) == [4 * 40, 4 * 50, 4 * 20 * 30]


def scaled(*, is_tied: bool, size: int = 40) -> onnx.ModelProto:
    """``x w s``; a tied weight is looked up by rows too."""
    nodes = [models.node("MatMul", "x w", "h"), models.node("Mul", "h s", "y")]
    outputs: list[models.Value] = [("y", [2, size])]
    constants = {"w": models.weights(size, size, seed=1), "s": models.weights(size, seed=2)}
    if is_tied:
        nodes.append(models.node("Gather", "w i", "z"))
        constants["i"] = np.array([3, 1])
        outputs.append(("z", [2, size]))
    return models.make(nodes, [("x", [2, size])], outputs, constants)


def test_a_tied_weight_does_not_stand_in_the_file_twice(tmp_path: Path) -> None:
    found = built(tmp_path, scaled(is_tied=True), LOTS, PRODUCT)
    assert operators(found) == ["Gather", "MatMul", "Mul"]
    assert weights_bytes(found) == weights_bytes(scaled(is_tied=True))
    assert operators(built(tmp_path, scaled(is_tied=False), 0, PRODUCT)) == ["MatMul"]


def test_a_small_number_that_many_share_is_no_tied_weight(tmp_path: Path) -> None:
    found = built(tmp_path, scaled(is_tied=True, size=8), LOTS, PRODUCT)
    assert operators(found) == ["Gather", "MatMul"]


def test_a_weight_that_all_its_uses_scale_alike_is_folded_once(tmp_path: Path) -> None:
    nodes = [models.node("MatMul", "x w", "h"), models.node("Mul", "h s", "y")]
    nodes += [models.node("MatMul", "y w", "k"), models.node("Mul", "k t", "z")]
    constants = {name: models.weights(40, seed=seed) for seed, name in enumerate("st")}
    constants["w"] = models.weights(40, 40)
    model = models.make(nodes, [("x", [2, 40])], [("z", [2, 40])], constants)
    assert operators(built(tmp_path, model, LOTS, PRODUCT)) == ["MatMul", "MatMul", "Mul", "Mul"]
    constants["t"] = constants["s"]
    model = models.make(nodes, [("x", [2, 40])], [("z", [2, 40])], constants)
    assert operators(built(tmp_path, model, 0, PRODUCT)) == ["MatMul", "MatMul"]


def quantised(weight: np.ndarray, opset: int = 21) -> onnx.ModelProto:
    """``x DequantizeLinear(w) s``."""
    size = weight.shape[0]
    nodes = [models.node("DequantizeLinear", "q scale", "w")]
    nodes += [models.node("MatMul", "x w", "h"), models.node("Mul", "h s", "y")]
    constants = {"scale": np.array(0.1, np.float32), "s": models.weights(size)}
    model = models.make(nodes, [("x", [2, size])], [("y", [2, size])], constants, opset=opset)
    model.ir_version = 10
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "q"))
    return model


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, ml_dtypes.int4, ml_dtypes.uint4], ids=str)
def test_a_quantised_weight_stays_quantised(tmp_path: Path, dtype: type) -> None:
    model = quantised(np.arange(60 * 60).reshape(60, 60).astype(np.int8).astype(dtype))
    found = built(tmp_path, model, LOTS, PRODUCT)
    assert operators(found) == ["DequantizeLinear", "MatMul", "Mul"]
    assert weights_bytes(found) == weights_bytes(model)


def test_a_half_that_is_cast_stays_half(tmp_path: Path) -> None:
    nodes = [models.node("Cast", "q", "w", to=onnx.TensorProto.FLOAT)]
    nodes += [models.node("MatMul", "x w", "h"), models.node("Mul", "h s", "y")]
    constants = {"q": models.weights(60, 60).astype(np.float16), "s": models.weights(60)}
    model = models.make(nodes, [("x", [2, 60])], [("y", [2, 60])], constants)
    found = built(tmp_path, model, LOTS, PRODUCT)
    assert operators(found) == ["Cast", "MatMul", "Mul"]
    assert weights_bytes(found) == weights_bytes(model)


def test_values_that_cannot_leave_the_runtime_stay_computations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = {number: dtype for number, dtype in ELEMENT_TYPES.items() if dtype != np.float32}
    monkeypatch.setattr("eqsat.egraph.folding.ELEMENT_TYPES", narrow)
    assert operators(built(tmp_path, same_shape(1000), LOTS, SUM)) == ["Add", "Add"]
