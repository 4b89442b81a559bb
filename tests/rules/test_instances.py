"""The notation of instances in rules files."""

from __future__ import annotations

import numpy as np
import pytest

from eqsat.rules.instances import Apply, Drawn, InstanceError, Name, Precision, Symbol, draw


def drawn(text: str, precision: Precision = Precision.DOUBLE, seed: int = 0) -> Drawn:
    return draw(text, np.random.default_rng(seed), precision)


def test_a_letter_is_one_size_everywhere() -> None:
    found = drawn("x[A,B] w=[B,2*A+1] | (Reshape x (S1 A*B))")
    rows, columns = found.leaves["x"].array.shape
    assert found.leaves["w"].array.shape == (columns, 2 * rows + 1)
    assert found.roots == (Apply("Reshape", (Name("x"), Apply("S1", (rows * columns,)))),)


def test_sizes_differ_from_draw_to_draw() -> None:
    assert len({drawn("x[A,B,C] | (Relu x)", seed=seed).leaves["x"].dims for seed in range(20)}) > 5


def test_a_question_mark_makes_a_symbol() -> None:
    found = drawn("x[?A,3] | (Reshape x (S3 ?A 1 3))")
    assert found.leaves["x"].dims == ("A", 3)
    assert found.sizes == {"A": found.leaves["x"].array.shape[0]}
    assert found.roots == (Apply("Reshape", (Name("x"), Apply("S3", (Symbol("A"), 1, 3)))),)


def test_inputs_constants_and_types() -> None:
    found = drawn("m:b[4] i:i64[4] v+=[50] c=0.25[2] | (Relu v)")
    assert [(leaf.number, leaf.is_constant) for leaf in found.leaves.values()] == [
        (9, False), (7, False), (11, True), (11, True),
    ]  # fmt: skip
    assert (found.leaves["v"].array > 0).all()
    assert found.leaves["c"].array.tolist() == [0.25, 0.25]


def test_a_named_precision_holds_for_the_whole_instance() -> None:
    found = drawn("x:f32[2] y[2] | (Mul (Mul x y) 0.5f)")
    assert not found.is_generic
    assert {leaf.number for leaf in found.leaves.values()} == {Precision.SINGLE.number}
    assert drawn("x[2] | (Cast x $f)").roots == (Apply("Cast", (Name("x"), Precision.DOUBLE.number)),)


def test_numbers_in_terms() -> None:
    found = drawn('x[2] | (F x 1 -2 0.5 1e-5 -inff "none")')
    (root,) = found.roots
    assert isinstance(root, Apply)
    assert root.arguments[1:5] == (1, -2, 0.5, 1e-5)
    assert root.arguments[6] == "none"
    assert found.leaves["scalar -inf"].array == -np.inf


def test_lets_settings_and_several_roots() -> None:
    found = drawn("opset=20 with=one with=two x[2] | (let s (Relu x)) (Neg s) (Abs s)")
    assert (found.opset, found.others) == (20, ("one", "two"))
    assert found.lets == {"s": Apply("Relu", (Name("x"),))}
    assert found.roots == (Apply("Neg", (Name("s"),)), Apply("Abs", (Name("s"),)))


@pytest.mark.parametrize(
    "text",
    [
        "x[2] (Relu x)",
        "x[2] |",
        "x | (Relu x)",
        "x:f8[2] | (Relu x)",
        "x[a] | (Relu x)",
        "x[2] | (Relu x",
        "x[2] | )",
        "x[2] | (Relu %)",
    ],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InstanceError):
        drawn(text)
