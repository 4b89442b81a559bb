"""Why a rule does not match: the place that comes closest, and what is missing there, by the model's own names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from eqsat.authoring.tools.closest import closest
from eqsat.authoring.tools.pattern import demands
from eqsat.authoring.tools.schema import signatures_of
from eqsat.authoring.tools.tables import Tables
from eqsat.authoring.tools.why_not import WhyNot, why_not
from eqsat.egraph.session import Session
from eqsat.errors import UsageError
from eqsat.rules import RuleBook, RuleKind, load_rules
from ir.reader import read
from tests.egraph.sessions import rules
from tests.end_to_end.blocks import transformer_block
from tests.ir.graphs import INT64, make_model, read_proto, save, value

N = helper.make_node

SILU = '(rewrite (Mul x (Sigmoid x)) (MsQuickGelu x 1.0) :when ((= (dtype x) 1)) :ruleset opt :name "silu"'


def asked(
    folder: Path,
    book: RuleBook,
    nodes: Sequence[onnx.NodeProto],
    *,
    name: str = "mine",
    inputs: Sequence[onnx.ValueInfoProto] | None = None,
    constants: Mapping[str, np.ndarray] | None = None,
    node: str = "",
    after: Sequence[str] = (),
) -> WhyNot:
    model = make_model(nodes, inputs or [value("x")], [value("y", None)], constants)
    return why_not(book, name, read_proto(model, folder), node=node, after=after)


def mine(left: str, right: str, when: str = "") -> RuleBook:
    return rules(f'(rewrite {left} {right} {f":when ({when})" if when else ""} :ruleset opt :name "mine")')


def reason(found: WhyNot) -> str:
    assert not found.matches
    return found.places[0].missing[0]


def test_a_match_is_named_by_its_node(tmp_path: Path) -> None:
    nodes = [N("Relu", ["x"], ["a"], name="first"), N("Relu", ["a"], ["y"], name="second")]
    found = asked(tmp_path, mine("(Relu (Relu x))", "(Relu x)"), nodes)
    assert (found.matches, found.idle, found.obstacle) == (("`second` (Relu)",), (), "")


def test_a_match_that_changes_nothing_is_idle(tmp_path: Path) -> None:
    found = asked(tmp_path, mine("(Add x z)", "(Add z x)"), [N("Add", ["x", "x"], ["y"])])
    assert found.idle == found.matches == ("`y` (Add)",)


def test_another_operator_is_named(tmp_path: Path) -> None:
    nodes = [N("Tanh", ["x"], ["a"]), N("Mul", ["x", "a"], ["y"], name="product")]
    found = asked(tmp_path, mine("(Mul x (Sigmoid x))", "(Relu x)"), nodes)
    assert found.obstacle == "the model has no Sigmoid, and no rule that takes part makes one"
    assert found.places[0].node == "`product` (Mul)"
    assert reason(found) == "`a` is made by a Tanh; the rule wants a Sigmoid"


def test_another_input_is_named(tmp_path: Path) -> None:
    nodes = [N("Sigmoid", ["x"], ["a"]), N("Relu", ["x"], ["b"]), N("Mul", ["b", "a"], ["y"])]
    found = asked(tmp_path, mine("(Mul x (Sigmoid x))", "(Relu x)"), nodes)
    assert reason(found) == "`a` (Sigmoid) reads `x` as input 0, where the rule wants `b` again"


def test_another_attribute_is_shown(tmp_path: Path) -> None:
    nodes = [N("Transpose", ["x"], ["y"], perm=[1, 0], name="turn")]
    found = asked(tmp_path, mine("(Transpose x (vec-of 0 1))", "x"), nodes, node="turn")
    assert reason(found) == "`turn` (Transpose) has perm=[1, 0]; the rule wants (Transpose x (vec-of 0 1))"


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("(constant x)", "`x` is not constant: it depends on an input of the model"),
        ("(finite x)", "it is not known whether every element of `x` is finite"),
        ("(= (dtype x) 10)", "the element type of `x` is float32, the rule wants float16"),
        ("(= (rank x) 3)", "the rank of `x` is 2, the rule wants 3"),
        ("(= (shape x) (S2 2 4))", "the shape of `x` is [2, 3], the rule wants (S2 2 4)"),
        ("(= (scalar x) s) (< s 1.0)", "`x` is not constant: it depends on an input of the model"),
        ("(= (rank x) r) (> r 4)", "(> r 4) does not hold: r is 2"),
        ("(= (shape x) (S2 a b)) (= a b)", "(= a b) does not hold: a is 2, b is 3"),
        ("(= (shape x) (S2 a b)) (= (* 2 a) (+ b 2))", "(= (* 2 a) (+ b 2)) does not hold: a is 2, b is 3"),
        ("(= (last x) 3) (= (shape x) (S2 a 3)) (= (/ 6 (- a 2)) 1)", "does not hold: a is 2"),
    ],
)
def test_a_fact_that_fails_is_explained(tmp_path: Path, when: str, said: str) -> None:
    assert said in reason(asked(tmp_path, mine("(Relu x)", "(Neg x)", when), [N("Relu", ["x"], ["y"])]))


def test_an_unknown_is_a_no_and_is_named(tmp_path: Path) -> None:
    nodes = [N("NonZero", ["x"], ["a"]), N("Relu", ["b"], ["y"]), N("Cast", ["a"], ["b"], to=1)]
    nodes[1], nodes[2] = nodes[2], nodes[1]
    book = mine("(Relu x)", "x", "(= (shape x) (S2 a b)) (> b 0)")
    symbolic = asked(tmp_path, book, nodes)
    assert "(> b 0) does not hold: b is " in reason(symbolic)
    assert reason(symbolic).endswith(", a size that is not known")
    mystery = [N("Mystery", ["x"], ["a"], domain="nowhere"), N("Relu", ["a"], ["y"])]
    model = make_model(mystery, [value("x")], [value("y", None)], domains=["nowhere"])
    assert reason(why_not(book, "mine", read_proto(model, tmp_path))) == "the shape of `a` is not known"


def test_a_number_that_is_not_near_is_shown(tmp_path: Path) -> None:
    book = mine("(Mul x c)", "x", "(near c 1.0)")
    nodes = [N("Mul", ["x", "half"], ["y"])]
    found = asked(tmp_path, book, nodes, constants={"half": np.array(0.5, np.float32)})
    assert reason(found) == "`half` is 0.5, the rule wants 1.0"
    wide = asked(tmp_path, book, nodes, constants={"half": np.ones((3,), np.float32)})
    assert "no constant of one element" in reason(wide)


def test_a_missing_fact_is_traced_to_the_rule_that_could_say_it(tmp_path: Path) -> None:
    book = rules(
        "(relation gate (Tensor Tensor))",
        '(rule ((= g (Sigmoid s)) (= s (Mul x c)) (near c 1.702)) ((gate g x)) :ruleset facts :name "gate-sigmoid")',
        '(rewrite (Mul x g) (MsQuickGelu x 1.702) :when ((gate g x)) :ruleset opt :name "mine")',
    )
    nodes = [N("Mul", ["x", "c"], ["s"]), N("Sigmoid", ["s"], ["g"]), N("Mul", ["x", "g"], ["y"], name="out")]
    found = asked(tmp_path, book, nodes, constants={"c": np.array(1.5, np.float32)}, node="out")
    assert found.places[0].missing == (
        "nothing says (gate g x) where g is `g`, x is `x`",
        "  gate-sigmoid would, but `c` is 1.5, the rule wants 1.702",
    )


def test_the_place_may_be_named(tmp_path: Path) -> None:
    nodes = [N("Relu", ["x"], ["a"], name="one"), N("Relu", ["a"], ["b"], name="two"), N("Neg", ["b"], ["y"])]
    book = mine("(Relu (Relu x))", "(Relu x)")
    assert asked(tmp_path, book, nodes).matches == ("`two` (Relu)",)
    assert reason(asked(tmp_path, book, nodes, node="one")) == "`x` is an input of the model; the rule wants a Relu"
    assert asked(tmp_path, book, nodes, node="b").matches == ("`two` (Relu)",)
    with pytest.raises(UsageError, match="no node or value `three`"):
        asked(tmp_path, book, nodes, node="three")


def test_other_rules_may_come_first(tmp_path: Path) -> None:
    book = rules(
        '(rewrite (Neg (Neg x)) x :ruleset opt :name "neg-neg")',
        '(rewrite (Relu (Relu x)) (Relu x) :ruleset opt :name "mine")',
    )
    nodes = [N("Relu", ["x"], ["a"]), N("Neg", ["a"], ["b"]), N("Neg", ["b"], ["c"]), N("Relu", ["c"], ["y"])]
    assert not asked(tmp_path, book, nodes).matches
    assert asked(tmp_path, book, nodes, after=["neg-neg"]).matches == ("`y` (Relu)",)


def test_an_operator_that_the_opset_lacks_is_an_obstacle(tmp_path: Path) -> None:
    found = asked(tmp_path, mine("(Relu x)", '(Gelu x "none")'), [N("Relu", ["x"], ["y"])])
    assert found.obstacle == "it makes Gelu, which opset 18 does not have"
    assert found.matches


def test_a_constant_of_integers_is_known(tmp_path: Path) -> None:
    nodes = [N("Mul", ["x", "c"], ["y"])]
    found = asked(
        tmp_path,
        mine("(Mul x c)", "x", "(= (scalar c) s) (> s 3.0)"),
        nodes,
        inputs=[value("x", (2,), INT64)],
        constants={"c": np.array(2, np.int64)},
    )
    assert reason(found) == "(> s 3.0) does not hold: s is 2"


def test_the_search_finds_what_egglog_finds(tmp_path: Path) -> None:
    """Every rule that offers a candidate on a whole transformer block fits there, and no other rule does."""
    graph = read(save(transformer_block(), tmp_path))
    book = load_rules()
    session = Session(graph, book)
    offering = {session.rule_of(candidate).rule.name for candidate in session.candidates()}
    tables, signatures = Tables(session), signatures_of(book)
    fitting = set()
    for gated in session.program.gated:
        places = closest(demands(gated.rule.body, signatures), tables, max_places=1)
        if places and not places[0].num_unmet:
            fitting.add(gated.rule.name)
    idle = fitting - offering
    assert offering <= fitting
    assert offering
    assert all(book.rule(name).kind is RuleKind.OPT for name in idle)
    assert len(idle) <= len(offering), f"these fit and are not offered: {sorted(idle)}"
