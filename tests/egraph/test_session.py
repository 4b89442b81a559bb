"""Steps of a search: what is offered, what a choice does, what is refused, what can be undone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from eqsat.egraph.enode import ENode
from eqsat.egraph.session import Session, UnsoundRulesError
from tests.egraph.sessions import matches, names, of_rule, rules, session_of
from tests.ir.graphs import BOOL, INT64, make_model, read_proto, value

N = helper.make_node

CHAIN = [N("Relu", ["x"], ["a"]), N("Neg", ["a"], ["b"]), N("Neg", ["b"], ["y"])]
NEG_NEG = '(rewrite (Neg (Neg x)) x :ruleset opt :name "neg-neg")'
RELU_MAX = '(rewrite (Relu x) (Max (Cons x (Cons x (Nil)))) :ruleset opt :name "relu-max")'


def _state(session: Session) -> tuple[object, ...]:
    return (
        session.size(),
        list(session.candidates()),
        dict(session.mirror.enodes),
        [(handle, list(members)) for handle, members in session.eclasses()],
        session.roots(),
        names(session),
        dict(session.mirror.origins),
        dict(session.applied),
    )


def test_a_choice_joins_two_e_classes_and_is_offered_no_more(tmp_path: Path) -> None:
    session = session_of(tmp_path, CHAIN, NEG_NEG)
    (candidate,) = session.candidates()
    assert session.apply([candidate]) == 1
    assert not session.candidates()
    values = session.encoding.values
    assert session.mirror.canonical[values["y"]] == session.mirror.canonical[values["a"]]
    assert session.applied == {"neg-neg": 1}


def test_outputs_of_a_constant_are_constant(tmp_path: Path) -> None:
    nodes = [
        N("Split", ["c"], ["a", "b"], axis=0, num_outputs=2),
        N("Add", ["x", "a"], ["d"]),
        N("Mul", ["d", "b"], ["m"]),
        N("Split", ["m"], ["e", "f"], axis=0, num_outputs=2),
        N("Concat", ["f", "e"], ["y"], axis=0),
    ]
    session = session_of(tmp_path, nodes, NEG_NEG, constants={"c": np.ones((4, 3), np.float32)})
    values, canonical = session.encoding.values, session.mirror.canonical
    constant = {name for name in "abcdefm" if canonical[values[name]] in session.constants()}
    assert constant == {"a", "b", "c"}


def test_no_further_candidate_is_taken_at_a_limit(tmp_path: Path) -> None:
    nodes = [N("Relu", ["x"], ["a"]), N("Relu", ["a"], ["b"]), N("Relu", ["b"], ["y"])]
    session = session_of(tmp_path, nodes, RELU_MAX)
    candidates = iter(session.candidates())
    assert session.apply(candidates, max_enodes=session.size().num_enodes + 1) == 1
    assert len(session.candidates()) == 2
    assert session.apply(candidates, max_enodes=0) == 1, "one at least"
    assert session.apply(candidates) == 1
    assert session.apply(candidates) == 0
    assert not session.candidates()


def test_numbers_stay_good_after_unions(tmp_path: Path) -> None:
    session = session_of(tmp_path, CHAIN, NEG_NEG, RELU_MAX)
    before = dict(session.encoding.values)
    waiting = of_rule(session, "relu-max")
    session.apply(of_rule(session, "neg-neg"))
    assert session.encoding.values == before
    assert session.apply(waiting) == 1
    made = ENode("Max", session.members(before["y"])[0].children)
    operators = {enode.operator for enode in session.members(before["y"])}
    assert {"Relu", "Max", "Neg"} <= operators
    assert made.operator == "Max"
    assert all(session.mirror.canonical[handle] == handle for handle, _ in session.eclasses())


def test_what_is_there_already_is_no_candidate(tmp_path: Path) -> None:
    nodes = [N("Relu", ["x"], ["a"]), N("Max", ["x", "x"], ["m"]), N("Add", ["a", "m"], ["y"])]
    session = session_of(tmp_path, nodes, RELU_MAX)
    assert session.apply(session.candidates()) == 1  # Max exists, but is not known to be equal
    assert not session.candidates()


def test_commutative_operators_match_both_ways_once(tmp_path: Path) -> None:
    nodes = [N("Relu", ["x"], ["a"]), N("Add", ["x", "a"], ["y"])]
    session = session_of(tmp_path, nodes, '(rewrite (Add (Relu x) x) (Relu x) :ruleset opt :name "probe")')
    assert len(matches(session, "probe")) == 1


@pytest.mark.parametrize("steps", [("relu-max",), ("neg-neg",), ("relu-max", "neg-neg"), ("neg-neg", "relu-max")])
def test_undo_brings_everything_back(steps: tuple[str, ...], tmp_path: Path) -> None:
    session = session_of(tmp_path, CHAIN, NEG_NEG, RELU_MAX)
    states = [_state(session)]
    for step in steps:
        session.checkpoint()
        assert session.apply(of_rule(session, step)) == 1
        states.append(_state(session))
    assert len({str(state) for state in states}) == len(states)
    for state in reversed(states[:-1]):
        session.undo()
        assert _state(session) == state
    for step, state in zip(steps, states[1:], strict=True):
        session.apply(of_rule(session, step))
        assert _state(session) == state
    with pytest.raises(IndexError):
        session.undo()


@pytest.mark.parametrize(
    "form",
    [
        '(rewrite (Relu x) (Transpose x (vec-of 1 0)) :ruleset opt :name "wrong")',
        '(rewrite (Relu x) (Cast x 7) :ruleset opt :name "wrong")',
        '(rewrite (Relu x) (Concat (Cons x (Cons x (Nil))) 0) :ruleset opt :name "wrong")',
    ],
)
def test_a_rule_that_changes_a_type_is_refused_and_named(form: str, tmp_path: Path) -> None:
    session = session_of(tmp_path, CHAIN, form, NEG_NEG)
    before = session.size()
    assert session.apply(of_rule(session, "wrong")) == 0
    assert list(session.refused) == ["wrong"]
    assert not of_rule(session, "wrong")
    assert session.size() == before
    assert session.apply(session.candidates()) == 1


@pytest.mark.parametrize(
    "form",
    [
        '(rewrite (Relu x) (MatMul x x) :ruleset opt :name "impossible")',
        '(rewrite (Relu x) (Transpose x (vec-of 0 5)) :ruleset opt :name "impossible")',
        '(rewrite (Relu x) (Reshape x (S2 (/ 6 0) 3)) :ruleset opt :name "impossible")',
        '(rewrite (Relu x) (Add x (Not x)) :ruleset opt :name "impossible")',
    ],
)
def test_a_right_side_that_cannot_exist_is_passed_over(form: str, tmp_path: Path) -> None:
    session = session_of(tmp_path, CHAIN, form, NEG_NEG)
    before = session.size()
    assert session.apply(of_rule(session, "impossible")) == 0
    assert not session.refused
    assert not of_rule(session, "impossible")
    assert session.size() == before


@pytest.mark.parametrize("target", ["(Transpose x (vec-of 1 0))", "(Cast x 9)"])
def test_an_ungated_rule_that_changes_a_type_is_an_error(target: str, tmp_path: Path) -> None:
    nodes = [N("Relu", ["x"], ["y"]), N("Transpose", ["x"], ["t"]), N("Cast", ["x"], ["c"], to=BOOL)]
    outputs = [value("y"), value("t", (3, 2)), value("c", (2, 3), BOOL)]
    form = f'(rule ((= y (Relu x)) (= z {target})) ((union y z)) :ruleset simp :name "wrong")'
    with pytest.raises(UnsoundRulesError):
        session_of(tmp_path, nodes, form, outputs=outputs)


def test_ungated_rules_run_before_anything_is_offered(tmp_path: Path) -> None:
    session = session_of(tmp_path, CHAIN, NEG_NEG.replace("opt", "simp"))
    values = session.encoding.values
    assert session.mirror.canonical[values["y"]] == session.mirror.canonical[values["a"]]
    assert not session.candidates()


def test_unions_of_a_symbol_and_a_number_stand(tmp_path: Path) -> None:
    nodes = [N("Relu", ["x"], ["a"]), N("Thing", ["x"], ["t"], domain="org.example"), N("Gather", ["x", "t"], ["y"])]
    outputs = [value("a"), value("y", ("n", 3)), value("t", ("n",), INT64)]
    model = make_model(nodes, [value("x")], outputs, domains=["org.example"])
    form = '(rule ((= a (Relu x)) (= y (Gather x t 0))) ((union a y)) :ruleset simp :name "join")'
    session = Session(read_proto(model, tmp_path), rules(form))
    values = session.encoding.values
    assert session.mirror.canonical[values["y"]] == session.mirror.canonical[values["a"]]


def _grow(session: Session) -> list[object]:
    history: list[object] = []
    for _ in range(3):
        history.append((list(session.candidates()), list(session.mirror.enodes), session.size()))
        session.apply(session.candidates())
    return history


def test_two_sessions_grow_alike(tmp_path: Path) -> None:
    weights = {name: np.full((3, 3), number, dtype=np.float32) for number, name in enumerate("uvw")}
    nodes = [N("MatMul", ["x", "u"], ["a"]), N("MatMul", ["a", "v"], ["b"]), N("MatMul", ["b", "w"], ["c"])]
    nodes.append(N("Add", ["c", "x"], ["y"]))
    forms = (
        '(rewrite (MatMul (MatMul a b) c) (MatMul a (MatMul b c)) :ruleset opt :name "associate")',
        '(rewrite (Add x y) (Sum (Cons x (Cons y (Nil)))) :ruleset opt :name "sum")',
        RELU_MAX,
    )
    make: Callable[[], Session] = lambda: session_of(tmp_path, nodes, *forms, constants=weights)  # noqa: E731
    one, two = make(), make()
    assert _grow(one) == _grow(two)
    assert one.size().num_enodes > 10


def test_an_origin_is_known_by_the_name_of_its_rule(tmp_path: Path) -> None:
    session = session_of(tmp_path, CHAIN, RELU_MAX, NEG_NEG)
    session.apply(session.candidates())
    assert {enode.operator: origin.rule for enode, origin in session.mirror.origins.items() if enode.is_operator} == {
        "Max": "relu-max"
    }
