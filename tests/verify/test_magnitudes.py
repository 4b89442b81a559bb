"""The ends of a type's range: merged constants that overflow or vanish are found, right rewrites pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eqsat.rules.rule import FloatClass
from eqsat.verify import Draw, Reason, Verdict
from tests.verify.models import FLOAT, FLOAT16, INT64, node, weights
from tests.verify.pairs import Constants, Nodes, Pair, pair

DTYPES: dict[int, type[np.floating[Any]]] = {FLOAT: np.float32, FLOAT16: np.float16}


def chain(operators: str, values: tuple[float, ...], dtype: int) -> tuple[Nodes, Constants]:
    """``x`` through one operator after the other, each with a constant."""
    kind = DTYPES[dtype]
    with np.errstate(over="ignore"):
        constants = {f"c{i}": np.asarray(np.float64(value)).astype(kind) for i, value in enumerate(values)}
    names = ["x", *(f"v{i}" for i in range(1, len(values))), "y"]
    return [node(op, f"{names[i]} c{i}", names[i + 1]) for i, op in enumerate(operators.split())], constants


@pytest.mark.parametrize(
    ("dtype", "original", "candidate"),
    [
        (FLOAT, ("Mul Mul", (1e25, 1e20)), ("Mul", (1e45,))),
        (FLOAT, ("Mul Mul", (1e-25, 1e-25)), ("Mul", (1e-50,))),
        (FLOAT, ("Mul Mul", (1e-25, 1e25)), ("Mul", (1.0,))),
        (FLOAT, ("Div", (1e-41,)), ("Mul", (1e41,))),
        (FLOAT, ("Div Div", (1e22, 1e22)), ("Div", (1e44,))),
        (FLOAT, ("Add Sub", (3e6, 3e6)), ("Add", (0.0,))),
        (FLOAT, ("Add Sub", (700.0, 700.0)), ("Add", (0.0,))),
        (FLOAT16, ("Mul Mul", (400.0, 400.0)), ("Mul", (160000.0,))),
        (FLOAT16, ("Mul Mul", (2e-4, 2e-4)), ("Mul", (4e-8,))),
        (FLOAT16, ("Add Sub", (900.0, 900.0)), ("Add", (0.0,))),
    ],
)
def test_a_merged_constant_that_leaves_the_range_is_found(
    tmp_path: Path, dtype: int, original: tuple[str, tuple[float, ...]], candidate: tuple[str, tuple[float, ...]]
) -> None:
    both = pair(tmp_path, dtype=dtype, output=dtype)
    found = both.check(chain(*original, dtype), chain(*candidate, dtype))
    assert found.reason is Reason.DIFFERENT
    assert found.failure is not None


@pytest.mark.parametrize(
    ("dtype", "original", "candidate"),
    [
        (FLOAT, ("Mul Mul", (0.3, 7.0)), ("Mul", (2.1,))),
        (FLOAT, ("Mul Mul", (1e3, 1e-3)), ("Mul", (1.0,))),
        (FLOAT, ("Div", (8.0,)), ("Mul", (0.125,))),
        (FLOAT, ("Add Add", (0.3, 0.4)), ("Add", (0.7,))),
        (FLOAT16, ("Mul Mul", (0.3, 7.0)), ("Mul", (2.1,))),
        (FLOAT16, ("Add Add", (0.25, 0.5)), ("Add", (0.75,))),
    ],
)
def test_a_merged_constant_that_stays_in_the_range_passes(
    tmp_path: Path, dtype: int, original: tuple[str, tuple[float, ...]], candidate: tuple[str, tuple[float, ...]]
) -> None:
    both = pair(tmp_path, dtype=dtype, output=dtype)
    found = both.check(chain(*original, dtype), chain(*candidate, dtype))
    assert found.is_equal, found.detail
    assert found.draws == {Draw.ORDINARY: 2, Draw.TINY: 2, Draw.HUGE: 2, Draw.WIDE: 1}


def test_nearer_to_the_truth_is_no_excuse_for_a_zero_that_was_none(tmp_path: Path) -> None:
    found = pair(tmp_path).check(chain("Add Sub", (5e7, 5e7), FLOAT), ([node("Identity", "x", "y")], {}))
    assert found.per_output[0].verdict is Verdict.MISMATCH


def test_what_the_sums_of_the_original_lose_may_be_kept(tmp_path: Path) -> None:
    sums: Nodes = [node("Mul", "x two", "d"), node("Exp", "d", "e"), node("Add", "e one", "a")]
    sums += [node("Div", "two a", "q"), node("Sub", "one q", "y")]
    constants = {"one": np.ones((), np.float32), "two": np.full((), 2, np.float32)}
    both = pair(tmp_path, (64, 64))
    found = both.check((sums, constants), ([node("Tanh", "x", "y")], {}))
    assert found.is_equal, found.detail
    assert both.check((sums, constants), ([node("Tanh", "x", "t"), node("Mul", "t t", "y")], {})).is_equal is False


def norm(size: int) -> tuple[Nodes, Nodes, Constants]:
    """A layer normalisation in its parts, and as one operator."""
    parts: Nodes = [
        node("ReduceMean", "x axes", "m"),
        node("Sub", "x m", "c"),
        node("Mul", "c c", "s"),
        node("ReduceMean", "s axes", "v"),
        node("Add", "v eps", "e"),
        node("Sqrt", "e", "r"),
        node("Div", "c r", "n"),
        node("Mul", "n w", "z"),
        node("Add", "z b", "y"),
    ]
    constants = {
        "axes": np.array([-1]),
        "eps": np.full((), 1e-5, np.float32),
        "w": weights(size),
        "b": weights(size, seed=1),
    }
    return parts, [node("LayerNormalization", "x w b", "y", axis=-1, epsilon=1e-5)], constants


def test_a_norm_that_overflows_on_its_way_shows_nothing(tmp_path: Path) -> None:
    parts, whole, constants = norm(16)
    found = pair(tmp_path).check((parts, constants), (whole, constants))
    assert found.is_equal, found.detail
    wrong: Nodes = [node("LayerNormalization", "x w", "y", axis=-1, epsilon=1e-5)]
    assert pair(tmp_path).check((parts, constants), (wrong, constants)).reason is Reason.DIFFERENT


def test_a_saturated_attention_passes(tmp_path: Path) -> None:
    scores: Nodes = [node("Transpose", "x", "t", perm=[1, 0]), node("MatMul", "x t", "s")]
    inside: Nodes = [*scores, node("Mul", "s q", "l"), node("Softmax", "l", "p"), node("MatMul", "p x", "y")]
    before: Nodes = [node("Mul", "x q", "z"), node("Transpose", "x", "t", perm=[1, 0]), node("MatMul", "z t", "l")]
    before += inside[-2:]
    constants = {"q": np.full((), 0.25, np.float32)}
    found = pair(tmp_path).check((inside, constants), (before, constants))
    assert found.is_equal, found.detail


def test_a_deep_product_that_overflows_passes(tmp_path: Path) -> None:
    inputs = ["x", *(f"v{i}" for i in range(1, 12)), "y"]
    deep: Nodes = [node("MatMul", f"{inputs[i]} w", inputs[i + 1]) for i in range(12)]
    merged: Nodes = [node("MatMul", "w w", "u"), node("MatMul", "x u", "v2"), *deep[2:]]
    constants = {"w": weights(16, 16) * np.float32(3)}
    found = pair(tmp_path).check((deep, constants), (merged, constants))
    assert found.is_equal, found.detail
    assert found.draws[Draw.HUGE] == 2


def softplus() -> tuple[tuple[Nodes, Constants], tuple[Nodes, Constants]]:
    """``log(1 + exp(x))``, which is infinite for large inputs, and the operator that is not."""
    parts: Nodes = [node("Exp", "x", "e"), node("Add", "e one", "a"), node("Log", "a", "y")]
    return (parts, {"one": np.ones((), np.float32)}), ([node("Softplus", "x", "y")], {})


@pytest.mark.parametrize(("float_class", "is_equal"), [(FloatClass.ROUNDS, False), (FloatClass.FINITE, True)])
def test_only_rules_that_promise_it_keep_what_is_infinite(
    tmp_path: Path, float_class: FloatClass, is_equal: bool
) -> None:
    assert pair(tmp_path).check(*softplus(), float_class=float_class).is_equal is is_equal


def tanh() -> tuple[tuple[Nodes, Constants], tuple[Nodes, Constants]]:
    """The quotient of exponentials, which is NaN from 89 on, and the operator, which is 1 there."""
    parts: Nodes = [node("Exp", "x", "p"), node("Neg", "x", "n"), node("Exp", "n", "m")]
    parts += [node("Sub", "p m", "above"), node("Add", "p m", "below"), node("Div", "above below", "y")]
    return (parts, {}), ([node("Tanh", "x", "y")], {})


@pytest.mark.parametrize(
    ("float_class", "is_equal"), [(FloatClass.EXACT, False), (FloatClass.ROUNDS, False), (FloatClass.FINITE, True)]
)
def test_what_is_finite_for_smaller_inputs_is_no_excuse(
    tmp_path: Path, float_class: FloatClass, is_equal: bool
) -> None:
    assert pair(tmp_path).check(*tanh(), float_class=float_class).is_equal is is_equal


def test_whole_numbers_and_masks_keep_their_values(tmp_path: Path) -> None:
    both = Pair(tmp_path, [("x", FLOAT, (4,)), ("i", INT64, (4,))], [("y", FLOAT, None)])
    gather: Nodes = [node("Gather", "table i", "g"), node("Add", "g x", "y")]
    found = both.check((gather, {"table": weights(9)}), (gather, {"table": weights(9)}))
    assert found.draws[Draw.TINY] == 2
    assert all(0 <= feeds["i"].min() <= feeds["i"].max() < 9 for _, _, feeds in both.runner.seen)
    assert {float(np.abs(feeds["x"]).max()) > 1e20 for _, _, feeds in both.runner.seen} == {True, False}


@pytest.mark.parametrize(("share", "is_small"), [(3e-6, True), (3e-6, False), (1e-4, True)])
def test_errors_that_weights_explain_are_taken_where_all_positions_are_alike(
    tmp_path: Path, share: float, is_small: bool
) -> None:
    constants = {
        "w": weights(16, 16),
        "b": weights(16, seed=1) + np.float32(3),
        "moved": (weights(16, seed=1) + np.float32(3)) * np.float32(1 + share),
        "limit": np.full((), 1e-6, np.float32),
        "all": np.array([0, 1]),
    }
    product = [node("MatMul", "x w", "p")]
    original: Nodes = [*product, node("Add", "p b", "y")]
    largest: Nodes = [node("Abs", "x", "a"), node("ReduceMax", "a all", "l", keepdims=0)]
    asked = node("Less", "l limit", "is_off") if is_small else node("Greater", "l limit", "is_off")
    candidate: Nodes = [*product, *largest, asked, node("Where", "is_off moved b", "c"), node("Add", "p c", "y")]
    found = pair(tmp_path).check((original, constants), (candidate, constants))
    assert found.is_equal == (share < 1e-5 and is_small), found.detail
