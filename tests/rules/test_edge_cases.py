"""The shipped rules keep results where values, sizes, ranks, axes or opsets are at their edges.

Each case is saturated with everything that ships, and every form of every value is evaluated and compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from eqsat.egraph.session import Session
from eqsat.rules import FloatClass, RuleBook, load_rules
from eqsat.rules.instances import Drawn, Precision, draw
from ir.availability import available_operators
from ir.reader import read
from tests.rules import agreement
from tests.rules.agreement import Engine, Values
from tests.rules.instance_graphs import load

NUM_ROUNDS = 5
LOWEST = -3.4028234663852886e38

HEADS = "q:f32[2,2,5,4] k:f32[2,2,6,4] v:f32[2,2,6,4] c:b[2,1,5,6]"
SCORES = "(Mul (MatMul q (Transpose k (vec-of 0 1 3 2))) 0.5f)"


@cache
def rules(opset: int) -> RuleBook:
    return load_rules().select(available_operators=available_operators(opset, has_provider_operators=True))


def saturated(session: Session) -> Session:
    for _ in range(NUM_ROUNDS):
        session.apply(list(session.candidates()))
    assert not session.refused
    return session


def drawn_at(
    text: str, leaves: Mapping[str, np.ndarray] = MappingProxyType({}), precision: Precision = Precision.SINGLE
) -> Drawn:
    """Draw an instance, with these elements in place of random ones."""
    drawn = draw(text, np.random.default_rng(3), precision)
    given = {
        name: replace(leaf, array=leaves.get(name, leaf.array).astype(leaf.array.dtype))
        for name, leaf in drawn.leaves.items()
    }
    return replace(drawn, leaves=given)


def check(
    drawn: Drawn,
    engine: Engine = Engine.REFERENCE,
    floats: FloatClass = FloatClass.REASSOCIATES,
    book: RuleBook | None = None,
    num_batches: int | None = None,
) -> Session:
    """Saturate an instance and compare all forms; ``num_batches`` is the size of every symbol."""
    loaded = load(drawn, np.random.default_rng(5))
    session = saturated(Session(loaded.graph, book or rules(drawn.opset)))
    feeds, sizes = loaded.feeds, loaded.sizes
    if num_batches is not None:
        sizes = dict.fromkeys(sizes, num_batches)
        feeds = {
            name: np.zeros([num_batches if dim < 0 else dim for dim in loaded.graph.types[name].shape], array.dtype)
            for name, array in feeds.items()
        }
    Values(session, feeds, sizes, engine).check(floats)
    return session


@pytest.mark.parametrize("low", [LOWEST, -1e4])
def test_fully_masked_rows_with_a_finite_mask(low: float) -> None:
    mask = np.ones((2, 1, 5, 6), bool)
    mask[0, 0, 2] = False
    text = f"{HEADS} n:f32=1 | (MatMul (Softmax (Add {SCORES} (Where c 0.0f n)) -1) v)"
    session = check(drawn_at(text, {"c": mask, "n": np.array(low, np.float32)}), Engine.RUNTIME)
    assert session.applied["attention-multi-head-biased"]


def test_fully_masked_rows_with_infinity_are_nan_in_every_form() -> None:
    mask = np.ones((2, 1, 5, 6), bool)
    mask[0, 0, 2] = False
    text = f"{HEADS} n:f32=1 | (MatMul (Softmax (Add {SCORES} (Where c 0.0f n)) -1) v)"
    session = check(drawn_at(text, {"c": mask, "n": np.array(-np.inf, np.float32)}), Engine.RUNTIME)
    assert session.applied["attention-multi-head-biased"]


def test_a_guard_against_fully_masked_rows_stays_where_the_mask_may_be_infinite() -> None:
    mask = np.ones((2, 1, 5, 6), bool)
    mask[0, 0, 2] = False
    text = f"{HEADS} n:f32=1 | (let p (Softmax (Add {SCORES} (Where c 0.0f n)) -1)) (MatMul (Where (IsNaN p) 0.0f p) v)"
    session = check(drawn_at(text, {"c": mask, "n": np.array(-np.inf, np.float32)}), Engine.RUNTIME)
    assert not session.applied["nan-guard-softmax"]


def test_fully_masked_rows_keep_the_standard_attention_away() -> None:
    mask = np.zeros((2, 1, 5, 6), bool)
    text = f"opset=23 {HEADS} n:f32=1 | (MatMul (Softmax (Add {SCORES} (Where c 0.0f n)) -1) v)"
    session = check(drawn_at(text, {"c": mask, "n": np.array(LOWEST, np.float32)}), Engine.RUNTIME)
    assert not session.applied["attention-standard-masked"]


BLOCK = (
    "x:f32[?B,5,8] i=[8,8] j=[8,8] p=[8] w=[8] b=[8] u=[8,12] v=[12,8]"
    " | (let n (LayerNormalization x w b (LayerNormalizationA -1 1e-5 1)))"
    " (let y (Add (MatMul n i) p)) (let s (Slice (Add (Mul (MatMul n j) 0.5f) y) (SliceA (vec-of 0) (vec-of 1)"
    " (vec-of 1) (vec-of 1)))) (MatMul (Relu (MatMul s u)) v)"
)


@pytest.mark.parametrize("num_batches", [0, 1, 3])
def test_an_empty_batch_of_rows(num_batches: int) -> None:
    assert check(drawn_at(BLOCK), Engine.RUNTIME, num_batches=num_batches).applied["slice-of-matmul-rows"]


@pytest.mark.parametrize("num_batches", [0, 2])
def test_an_empty_batch_of_images(num_batches: int) -> None:
    text = (
        "x:f32[?B,4,6,6] w=[8,4,3,3] g=[8] b=[8] m=[8] v+=[8] u=[2,8]"
        " | (let c (Conv x w (Absent) (ConvA (vec-of 1 1) (vec-of 1 1 1 1) (vec-of 1 1) 1)))"
        " (let r (Relu (BatchNormalization c g b m v 1e-5)))"
        " (MatMul (Reshape (GlobalAveragePool r) (S2 ?B 8)) (Transpose u (vec-of 1 0)))"
    )
    assert check(drawn_at(text), Engine.RUNTIME, num_batches=num_batches).applied["conv-batch-norm-image"]


@pytest.mark.parametrize(
    "text",
    [
        "x[3,0] u[0,4] w=[4,2] | (MatMul (MatMul x u) w)",
        "x[3,0,4] z[3,2,4] | (Relu (Concat (Cons x (Cons z (Nil))) 1))",
        "x[3,5] | (let m (Split x (SplitA 1 (vec-of 0 5)))) (Concat (Cons (Out m 0) (Cons (Relu (Out m 1)) (Nil))) 1)",
        "x[3,5] | (Relu (Slice (Slice x (SliceA (vec-of 2) (vec-of 5) (vec-of 1) (vec-of 1))) (SliceA (vec-of 3)"
        " (vec-of 3) (vec-of 1) (vec-of 1))))",
        "x[0,4] w=[4,3] v=[4,2] b=[3] | (Add (MatMul x w) b) (MatMul x v)",
        "x[2,0,4] w=[4] b=[4] | (Transpose (LayerNormalization x w b (LayerNormalizationA -1 1e-5 1)) (vec-of 1 0 2))",
        "x[0,3] | (ReduceSum (ReduceSum x (ReduceSumA (vec-of -1) 1)) (ReduceSumA (vec-of -2) 1))",
        "x[2,0] | (Div (Exp x) (ReduceSum (Exp x) (ReduceSumA (vec-of -1) 1)))",
    ],
)
def test_dimensions_of_size_zero(text: str) -> None:
    check(drawn_at(text))


@pytest.mark.parametrize(
    "text",
    [
        "x:i64[4] c:i64=[4] d:i64=[4] | (Add (Add x c) d)",
        "x:i64[4] c:i64=[4] d:i64=[4] | (Mul (Mul x c) d)",
        "x:i64[4] c:i64=[4] d:i64=[4] | (Mul (Add x c) d)",
        "x:i64[4] c:i64=[4] d:i64[4] | (Add (Mul x c) (Mul d c))",
        "x:i64[4] c:i64=[4] d:i64[4] | (Sub (Sub x c) (Neg d))",
        "x:i64[4] c:i64=[4] d:i64[4] | (Abs (Neg (Mul (Neg x) (Neg d))))",
        "x:i32[2,3] c:i32=[3,2] d:i32=[2,2] | (MatMul (MatMul x c) d)",
    ],
)
def test_integers_that_overflow_wrap_alike(text: str) -> None:
    drawn = draw(text, np.random.default_rng(3), Precision.SINGLE)
    edges: dict[str, np.ndarray] = {}
    for name, leaf in drawn.leaves.items():
        limits = np.iinfo(leaf.array.dtype)
        numbers = np.array([limits.max, limits.min, limits.max // 2 + 1, -3, 7, limits.min + 1], leaf.array.dtype)
        edges[name] = np.resize(np.roll(numbers, len(edges)), leaf.array.shape)
    check(drawn_at(text, edges))


@pytest.mark.parametrize("text", ["x:i64[4] c:i64=[4] d:i64=[4] | (Div (Div x c) d)", "x:i64[4] | (Mul x x)"])
def test_rules_of_real_numbers_leave_integers_alone(text: str) -> None:
    edges = np.array([7, -7, 2**62, 3], np.int64)
    divisors = {"c": np.array([2, 2, 3, -2]), "d": np.array([3, -3, 5, 1])}
    session = check(drawn_at(text, {"x": edges, **divisors}))
    assert not session.applied["div-div-constants"]
    assert not session.applied["div-constant"]


@pytest.mark.parametrize(
    "text",
    [
        "x[6] c=[6] | (Sub x c)",
        "x[6] z[6] | (Mul (Neg x) z)",
        "x[6] z[6] | (Sub x (Neg z))",
        "x[6] | (Mul x 1.0f)",
        "x[6] | (Sub x 0.0f)",
        "x[6] | (Neg (Neg (Relu x)))",
        "x[6] z[6] | (Mul (Concat (Cons (Neg x) (Cons z (Nil))) 0) (Concat (Cons z (Cons x (Nil))) 0))",
        "c:b[6] x[6] z[6] | (Where (Not c) x z)",
        "x[6] | (Transpose (Reshape (Abs (Neg x)) (S2 2 3)) (vec-of 1 0))",
    ],
)
def test_exact_rules_keep_the_sign_of_zero(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def difference(expected: np.ndarray, found: np.ndarray, tolerance: float) -> str:
        if expected.dtype.kind == "f" and np.any(np.signbit(expected) != np.signbit(found)):
            return "another sign"
        return plain(expected, found, tolerance)

    plain = agreement.difference
    monkeypatch.setattr(agreement, "difference", difference)
    book = rules(18)
    book = book.select(skip=[rule.name for rule in book.rules if rule.floats is not FloatClass.EXACT])
    edges = np.array([0.0, -0.0, 1.0, -1.0, -0.0, 0.0], np.float32)
    check(drawn_at(text, {"x": edges, "z": edges[::-1].copy(), "c": edges}), book=book)


def test_adding_zero_is_no_exact_rule() -> None:
    book = load_rules()
    assert {book.rule(name).floats for name in ("add-zero", "add-zeros")} == {FloatClass.ROUNDS}


@pytest.mark.parametrize(
    "text",
    [
        "x[] z[2,1,3,1,4] c=[3,1,1] | (Mul (Add x z) c)",
        "x[2,1,3,1,4] z[3,5,1] | (Add (Mul x 0.5f) (Mul z 0.5f))",
        "x[] z[] | (Mul (Add (Mul x z) 1.0f) (Sub x z))",
        "x[2,1,3,1,4] c=0.5[1,1,1,1,1] | (Transpose (Mul (Relu x) c) (vec-of 4 3 2 1 0))",
        "x[2,2,3,2,4] w=[4,3] b=[3] | (Add (MatMul x w) b)",
        "x[2,2,3,2,4] z[4] | (Slice (Add x z) (SliceA (vec-of 1) (vec-of 2) (vec-of 2) (vec-of 1)))",
        "x[] | (Add (Reshape x (S5 1 1 1 1 1)) 1.0f)",
        "c:b[] x[1,3,1,2,1] z[3,1,1,2] | (Where c (Expand x (S5 1 3 4 2 2)) z)",
        "x[2,1,3,1,4] | (ReduceMean (ReduceMean x (ReduceMeanA (vec-of -1) 1)) (ReduceMeanA (vec-of -2) 1))",
    ],
)
def test_broadcasting_of_rank_zero_and_five(text: str) -> None:
    check(drawn_at(text, precision=Precision.DOUBLE))


def model(nodes: list[onnx.NodeProto], shape: list[int], opset: int, **constants: np.ndarray) -> onnx.ModelProto:
    return helper.make_model(
        helper.make_graph(
            nodes,
            "edge",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_empty_tensor_value_info("y")],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )


def check_model(proto: onnx.ModelProto, folder: Path) -> Session:
    """Read, saturate, compare all forms, and the output with what ONNX Runtime makes of the model as it stands."""
    path = folder / "edge.onnx"
    onnx.save(proto, path)
    graph = read(path)
    session = saturated(Session(graph, rules(graph.opset)))
    shape = [dim.dim_value for dim in proto.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    values = Values(session, {"x": x}, {}, Engine.RUNTIME)
    values.check(FloatClass.FINITE)
    runtime = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = runtime.run(None, {"x": x})
    np.testing.assert_allclose(values.array(session.roots()[0]), expected, rtol=1e-4, atol=1e-5)
    return session


def node(operator: str, *inputs: str, to: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [to], **attributes)


def test_negative_axes(tmp_path: Path) -> None:
    nodes = [
        node("Softmax", "x", to="s", axis=-1),
        node("Concat", "x", "s", to="c", axis=-2),
        node("Split", "c", "n", to="a", axis=-2),
        node("Gather", "c", "i", to="g", axis=-3),
        node("ReduceMean", "g", to="m", axes=[-1], keepdims=1),
        node("Sub", "g", "m", to="d"),
        node("Slice", "d", "from", "to", "axes", to="e"),
        node("Unsqueeze", "e", "axes", to="f"),
        node("Squeeze", "f", "axes", to="y"),
    ]
    nodes[2].output.append("b")
    constants = {
        "n": np.array([3, 3]),
        "i": np.array([1, 0]),
        "from": np.array([-2]),
        "to": np.array([2**62]),
        "axes": np.array([-1]),
    }
    check_model(model(nodes, [2, 3, 4], 17, **constants), tmp_path)


@pytest.mark.parametrize(("opset", "is_opaque"), [(9, True), (12, True), (13, False), (17, False)])
def test_softmax_over_the_axes_that_its_opset_says(opset: int, is_opaque: bool, tmp_path: Path) -> None:
    """Up to opset 12 everything from the axis on is one row, which no rule is told of unless it is one axis."""
    nodes = [node("Softmax", "x", to="s", axis=1), node("Mul", "s", "s", to="y")]
    check_model(model(nodes, [2, 3], opset), tmp_path)
    onnx.save(model(nodes, [2, 3, 4], opset), tmp_path / "rows.onnx")
    assert read(tmp_path / "rows.onnx").nodes[0].is_opaque is is_opaque


@pytest.mark.parametrize("opset", [9, 10, 13, 17])
def test_bounds_and_steps_as_attributes_or_inputs(opset: int, tmp_path: Path) -> None:
    constants: dict[str, np.ndarray] = {}
    if opset < 10:
        sliced = node("Slice", "x", to="s", starts=[1], ends=[3], axes=[1])
    else:
        sliced = node("Slice", "x", "from", "to", "axes", to="s")
        constants |= {"from": np.array([1]), "to": np.array([3]), "axes": np.array([1])}
    nodes = [sliced, node("Relu", "s", to="r"), node("Add", "s", "r", to="y")]
    check_model(model(nodes, [2, 5, 4], opset, **constants), tmp_path)


@pytest.mark.parametrize("opset", [11, 12, 13, 17])
def test_bounds_of_a_clip(opset: int, tmp_path: Path) -> None:
    bounds = {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}
    nodes = [node("Relu", "x", to="r"), node("Clip", "r", "low", "high", to="y")]
    check_model(model(nodes, [2, 5, 4], opset, **bounds), tmp_path)


@pytest.mark.parametrize("opset", [9, 12, 13, 17, 18])
def test_axes_of_squeezes_and_sums_as_attributes_or_inputs(opset: int, tmp_path: Path) -> None:
    is_input = opset >= 13
    constants = {"axes": np.array([1])} if is_input else {}
    extra = ["axes"] if is_input else []
    given: dict[str, Any] = {} if is_input else {"axes": [1]}
    nodes = [
        node("ReduceSum", "x", *extra, to="s", keepdims=1, **given),
        node("Mul", "s", "s", to="q"),
        node("Squeeze", "q", *extra, to="z", **given),
        node("Unsqueeze", "z", *extra, to="y", **given),
    ]
    check_model(model(nodes, [2, 5, 4], opset, **constants), tmp_path)


@pytest.mark.parametrize("opset", [9, 14, 15])
def test_batch_normalisation_of_any_opset(opset: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    constants = {name: np.abs(rng.standard_normal(4)).astype(np.float32) for name in "gbmv"}
    constants["w"] = rng.standard_normal((4, 4, 3, 3)).astype(np.float32)
    nodes = [
        node("Conv", "x", "w", to="c", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c", "g", "b", "m", "v", to="y"),
    ]
    assert check_model(model(nodes, [1, 4, 5, 5], opset, **constants), tmp_path).applied["conv-batch-norm-image"]
