"""A rule to complete, made from a part of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from eqsat.authoring.tools.check import prepare
from eqsat.authoring.tools.reading import read_all
from eqsat.authoring.tools.template import template
from eqsat.authoring.tools.why_not import why_not
from eqsat.errors import UsageError
from eqsat.rules.instances import Precision, draw
from tests.ir.graphs import INT64, make_model, read_proto, value

N = helper.make_node

GATE = [
    N("Mul", ["x", "c"], ["a"], name="scale"),
    N("Sigmoid", ["a"], ["b"], name="gate"),
    N("Mul", ["b", "x"], ["y"], name="product"),
]


def half(*shape: int) -> np.ndarray:
    return np.full(shape, 0.5, np.float32)


def made(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    wanted: Sequence[str],
    constants: Mapping[str, np.ndarray] | None = None,
    inputs: Sequence[onnx.ValueInfoProto] | None = None,
) -> str:
    model = make_model(nodes, inputs or [value("x", (2, 8))], [value("y", None)], constants)
    return template(read_proto(model, folder), wanted, "mine")


def only_the_right_side_is_missing(folder: Path, text: str) -> None:
    path = folder / "mine.egg"
    path.write_text(text)
    errors = [found for found in prepare((path,)).complaints if found.is_error]
    (found,) = errors
    assert (found.rule, found.reason) == ("mine", "`right-side` is not bound by the left side")


def test_a_gate_becomes_a_rule(tmp_path: Path) -> None:
    text = made(tmp_path, GATE, ["scale", "gate", "product"], {"c": half()})
    assert "; INSTANCE  x[A,B] | (Mul (Sigmoid (Mul x 0.5f)) x)" in text
    assert "; NEAR-MISS x[A,B] | (Mul (Sigmoid (Mul x 1.5f)) x)" in text
    assert "(rewrite (Mul (Sigmoid (Mul x c)) x)\n         right-side\n  :when ((near c 0.5)\n" in text
    assert "; (finite x)" in text
    only_the_right_side_is_missing(tmp_path, text)


def test_a_completed_template_matches_where_it_was_made(tmp_path: Path) -> None:
    text = made(tmp_path, GATE, ["y", "b", "a"], {"c": half()})
    path = tmp_path / "mine.egg"
    path.write_text(text.replace("right-side", "(MsQuickGelu x 0.5)"))
    book = read_all([(path, str(path))]).book
    assert not prepare((path,)).complaints
    graph = read_proto(make_model(GATE, [value("x", (2, 8))], [value("y", None)], {"c": half()}), tmp_path)
    assert why_not(book, "mine", graph).matches == ("`product` (Mul)",)
    rule = book.rule("mine")
    draw(rule.instances[0], np.random.default_rng(0), Precision.SINGLE)
    draw(rule.near_misses[0], np.random.default_rng(0), Precision.SINGLE)


def test_symbols_stay_symbols_and_types_are_named(tmp_path: Path) -> None:
    nodes = [N("Cast", ["x"], ["a"], to=1), N("Mul", ["a", "w"], ["y"])]
    text = made(tmp_path, nodes, ["a", "y"], {"w": half(8)}, [value("x", ("batch", 8), INT64)])
    assert "; INSTANCE  x:i64[?A,B] w=[B] | (Mul (Cast x 1) w)" in text
    assert ";        (constant w)" in text
    assert "; NEAR-MISS x:i64[?A,B] w=[B] | (Cast x 1)" in text
    only_the_right_side_is_missing(tmp_path, text)


def test_sizes_that_attributes_name_are_kept(tmp_path: Path) -> None:
    nodes = [N("Reshape", ["x", "shape"], ["a"]), N("Transpose", ["a"], ["y"], perm=[1, 0, 2])]
    text = made(tmp_path, nodes, ["a", "y"], {"shape": np.array([2, 4, 2], np.int64)})
    assert "; INSTANCE  x[2,8] | (Transpose (Reshape x (S3 2 4 2)) (vec-of 1 0 2))" in text
    only_the_right_side_is_missing(tmp_path, text)


def test_what_is_read_twice_gets_a_name(tmp_path: Path) -> None:
    nodes = [N("Exp", ["x"], ["e"]), N("Neg", ["e"], ["n"]), N("Div", ["e", "n"], ["y"])]
    text = made(tmp_path, nodes, ["e", "n", "y"])
    assert "(let t1 (Exp x)) (Div t1 (Neg t1))" in text
    assert "(rule ((= t1 (Exp x))\n       (= t2 (Neg t1))\n       (= y (Div t1 t2))\n" in text
    only_the_right_side_is_missing(tmp_path, text)


def test_several_results_are_several_unions(tmp_path: Path) -> None:
    nodes = [N("Relu", ["x"], ["a"]), N("Neg", ["a"], ["b"]), N("Add", ["a", "b"], ["y"])]
    text = made(tmp_path, nodes, ["a", "b"])
    assert "((union y1 right-side) (union y2 right-side))" in text


def test_lists_outputs_and_missing_inputs_are_written_out(tmp_path: Path) -> None:
    nodes = [
        N("Split", ["x"], ["a", "b"], axis=1, num_outputs=2),
        N("Concat", ["b", "a"], ["c"], axis=1),
        N("Clip", ["c", "", "top"], ["y"]),
    ]
    text = made(tmp_path, nodes, ["a", "c", "y"], {"top": half()})
    assert "(Concat (Cons (Out (Split x (SplitA 1 (vec-of 4 4))) 1) (Cons (Out" in " ".join(text.split())
    assert "(Absent)" in text
    only_the_right_side_is_missing(tmp_path, text)


@pytest.mark.parametrize(
    ("wanted", "said"), [("nowhere", "no node `nowhere`"), ("odd", "is Mystery, which rules cannot say")]
)
def test_nodes_that_cannot_be_said_are_refused(tmp_path: Path, wanted: str, said: str) -> None:
    nodes = [N("Mystery", ["x"], ["a"], domain="nowhere", name="odd"), N("Relu", ["a"], ["y"])]
    model = make_model(nodes, [value("x")], [value("y", None)], domains=["nowhere"])
    with pytest.raises(UsageError, match=said):
        template(read_proto(model, tmp_path), [wanted], "mine")
