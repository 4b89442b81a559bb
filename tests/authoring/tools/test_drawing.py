"""Rules as pictures."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from eqsat.authoring.tools.layout import lay_out
from eqsat.authoring.tools.schema import signatures_of
from eqsat.authoring.tools.sides import Look, Side, example_side, left_side, right_side
from eqsat.authoring.tools.terminal import as_ascii, draw, side_by_side
from eqsat.authoring.tools.vector import svg
from eqsat.rules import RuleBook, load_rules, read_rules

HEADER = "; SOURCE algebra\n; FLOATS exact\n; INSTANCE x[2,3] | (Relu (Neg x))\n"


def book(form: str) -> RuleBook:
    return read_rules([(HEADER + form, "r.egg")])


def sides(form: str) -> tuple[Side, Side]:
    rules = book(form)
    signatures = signatures_of(rules)
    return left_side(rules.rules[0], signatures), right_side(rules.rules[0], signatures)


def test_shared_values_are_drawn_once() -> None:
    left, _ = sides(
        '(rewrite (Div (Exp x) (ReduceSum (Exp x) (ReduceSumA axes 1))) (Softmax x -1) :ruleset opt :name "a")'
    )
    assert draw(left) == [
        "      x",
        "      │",
        "   ┌──┴──┐",
        "   │ Exp │",
        "   └──┬──┘",
        "┌─────┴──────┐",
        "│   ┌────────┴────────┐",
        "│   │    ReduceSum    │",
        "│   │ axes keepdims=1 │",
        "│   └────────┬────────┘",
        "└────┐ ┌─────┘",
        "   ┌─┴─┴─┐",
        "   │ Div │",
        "   └─────┘",
    ]


def test_a_line_crosses_another_without_joining_it() -> None:
    left, _ = sides('(rule ((= y (Sub x u)) (= z (Div x v)) (= t (Pow u v))) ((union y t)) :ruleset opt :name "a")')
    text = draw(left)
    assert text[0].split() == ["x", "u", "v"]
    assert "┌─────────│─┴─│─────────┐" in text[2]


def test_lists_are_taken_apart_and_missing_inputs_left_out() -> None:
    left, right = sides(
        '(rewrite (Concat (Cons x (Cons y (Nil))) 1) (Gemm x y (Absent) (GemmA 1.0 1.0 0 1)) :ruleset opt :name "a")'
    )
    (concat,) = [box for box in left.boxes if box.look is Look.OPERATOR]
    assert (concat.label, concat.detail, len(concat.inputs)) == ("Concat", "axis=1", 2)
    (gemm,) = [box for box in right.boxes if box.look is Look.OPERATOR]
    assert (gemm.detail, len(gemm.inputs)) == ("alpha=1.0 beta=1.0 transA=0 transB=1", 2)


def test_a_fact_about_two_values_is_a_box_and_about_one_a_note() -> None:
    rules = load_rules()
    gelu = left_side(rules.rule("gelu-erf"), signatures_of(rules))
    assert [box.label for box in gelu.boxes if box.look is Look.FACT] == ["erf-gate", "half-product"]
    assert gelu.notes == ("(supported-type (dtype x))", "(= (shape y) (shape x))")


def test_a_side_that_is_a_value_is_that_value() -> None:
    _, right = sides('(rewrite (Relu (Relu x)) (Relu x) :ruleset simp :name "a")')
    assert draw(right)[0].strip() == "x"
    _, bare = sides('(rewrite (Neg (Neg x)) x :ruleset simp :name "a")')
    assert draw(bare) == ["x"]


def test_drawings_stand_beside_each_other_where_there_is_room() -> None:
    left, right = ["aaaa", "b", "c"], ["dddd"]
    assert side_by_side(left, right, 40) == ["aaaa", "b     ==>  dddd", "c"]
    assert side_by_side(left, right, 14) == ["aaaa", "b", "c", "", "==>", "", "dddd"]


def test_every_rule_that_ships_can_be_drawn() -> None:
    rules = load_rules()
    signatures = signatures_of(rules)
    for rule in rules.rules:
        for side in (left_side(rule, signatures), right_side(rule, signatures)):
            text = "\n".join(draw(side))
            for box in side.boxes:
                assert box.label in text, f"{rule.name}: {box.label} is missing"
            assert as_ascii(text).isascii()
        ET.fromstring(svg(rule.name, left_side(rule, signatures), right_side(rule, signatures)))  # noqa: S314


def test_an_example_is_drawn_where_the_left_side_rests_on_facts() -> None:
    rules = load_rules()
    signatures = signatures_of(rules)
    example = example_side(rules.rule("gelu-erf"), signatures)
    assert example is not None
    assert "Erf" in [box.label for box in example.boxes]
    assert example_side(rules.rule("reshape-of-reshape"), signatures) is None


def test_the_picture_names_everything() -> None:
    left, right = sides('(rewrite (Softmax (Neg x) a) (Softmax x a) :ruleset opt :name "a")')
    texts = [element.text for element in ET.fromstring(svg("a & b", left, right)).iter() if element.text]  # noqa: S314
    assert {"a & b", "Neg", "Softmax", "x", "axis=a"} <= set(texts)


@pytest.mark.parametrize(
    "inputs",
    [
        [(), (0,), (0, 1), (2, 0)],
        [(), (), (0, 1), (1, 0), (2, 3)],
        [(), (0,), (1,), (2,), (0, 1, 2, 3)],
        [(), (), (), (0, 2), (1,), (0, 1, 2)],
    ],
)
def test_boxes_do_not_overlap_and_read_from_above(inputs: list[tuple[int, ...]]) -> None:
    layout = lay_out(inputs, lambda number: 5 + number, 3)
    depth = {}
    for level, layer in enumerate(layout.layers):
        for left, right in pairwise(layer):
            assert left.x + left.width + 3 <= right.x
        for slot in layer:
            if slot.box is not None:
                depth[slot.box] = level
    assert sorted(depth) == list(range(len(inputs)))
    assert all(depth[source] < depth[box] for box, sources in enumerate(inputs) for source in sources)
    assert layout == lay_out(inputs, lambda number: 5 + number, 3)
