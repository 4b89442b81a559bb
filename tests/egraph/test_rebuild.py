"""From a choice of e-nodes to a model: the same when nothing was applied, another form of it when something was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, helper

from eqsat.egraph.enode import ENode
from eqsat.egraph.rebuild import rebuild
from eqsat.egraph.session import Session
from tests.egraph.sessions import first_choice, rules, session_of, written
from tests.ir.graphs import BOOL, assert_same_results, make_model, operators, read_proto, value

N = helper.make_node
ONES = np.ones((2, 3), dtype=np.float32)


def _made_by_rules(session: Session) -> dict[int, ENode]:
    """A choice that takes what rules made wherever there is something."""
    made = session.mirror.origins
    return {
        handle: next((enode for enode in members if enode in made), members[0])
        for handle, members in session.eclasses()
    }


def test_nothing_applied_is_the_same_model(tmp_path: Path) -> None:
    nodes = [
        N("Add", ["x", "w"], ["a"], name="first"),
        N("Split", ["a"], ["s", "t"], axis=1),
        N("Concat", ["t", "s"], ["c"], axis=1),
        N("Relu", ["c"], ["y"], name="last"),
    ]
    constants = {"w": np.ones((2, 4), dtype=np.float32)}
    inputs, outputs = [value("x", (2, 4))], [value("y", (2, 4))]
    nodes[1].attribute.append(helper.make_attribute("num_outputs", 2))
    session = session_of(tmp_path, nodes, inputs=inputs, outputs=outputs, constants=constants)
    proto = written(session, first_choice(session), tmp_path)
    assert operators(proto) == ["Add", "Split", "Concat", "Relu"]
    assert [node.name for node in proto.graph.node if node.op_type != "Split"][0::2] == ["first", "last"]
    assert [tensor.name for tensor in proto.graph.initializer if tensor.name == "w"] == ["w"]
    assert_same_results(make_model(nodes, inputs, outputs, constants), proto, {"x": constants["w"]})


def test_what_a_rule_made_stands_under_the_old_name(tmp_path: Path) -> None:
    nodes = [N("Relu", ["x"], ["a"]), N("Neg", ["a"], ["b"]), N("Neg", ["b"], ["y"])]
    session = session_of(
        tmp_path, nodes, '(rewrite (Relu x) (Max (Cons x (Cons (Sub x x) (Nil)))) :ruleset opt :name "relu-max")'
    )
    session.apply(session.candidates())
    choice = _made_by_rules(session)
    proto = written(session, choice, tmp_path)
    assert operators(proto) == ["Sub", "Max", "Neg", "Neg"]
    assert proto.graph.node[1].output[0] == "a"
    assert rebuild(session, choice).origins == {"relu-max": 1}
    assert_same_results(make_model(nodes, [value("x")], [value("y")]), proto, {"x": -ONES})


def test_values_that_do_not_depend_on_the_inputs_are_known(tmp_path: Path) -> None:
    nodes = [N("Exp", ["w"], ["e"]), N("Add", ["x", "e"], ["y"])]
    session = session_of(tmp_path, nodes, constants={"w": ONES})
    assert rebuild(session, first_choice(session)).constant_values == {"w", "e"}


def test_two_outputs_of_one_e_class_keep_both_names(tmp_path: Path) -> None:
    nodes = [N("Relu", ["x"], ["a"]), N("Relu", ["x"], ["b"])]
    outputs = [value("a"), value("b")]
    session = session_of(tmp_path, nodes, outputs=outputs)
    proto = written(session, first_choice(session), tmp_path)
    assert operators(proto) == ["Relu", "Identity"]
    assert_same_results(make_model(nodes, [value("x")], outputs), proto, {"x": ONES})


def _captured(capture: str) -> list[NodeProto]:
    branches = {
        f"{name}_branch": helper.make_graph([N("Add", [capture, "x"], [name])], name, [], [value(name)])
        for name in ("then", "else")
    }
    return [N("Relu", ["x"], ["a"]), N("Relu", ["x"], ["b"]), N("If", ["c"], ["y"], **branches)]


@pytest.mark.parametrize("capture", ["a", "b", "w", "v", "x"])
def test_captured_values_exist_before_the_subgraph(capture: str, tmp_path: Path) -> None:
    """``a`` and ``b`` are one e-class, and so are ``w`` and ``v``; the subgraph knows one of the names."""
    nodes = _captured(capture)
    nodes.append(N("Add", ["w", "y"], ["z"]))
    inputs, outputs = [value("c", (), BOOL), value("x")], [value("a"), value("z"), value("w")]
    constants = {"w": ONES, "v": ONES}
    session = session_of(tmp_path, nodes, inputs=inputs, outputs=outputs, constants=constants)
    proto = written(session, first_choice(session), tmp_path)
    feeds = {"c": np.array(True), "x": ONES}
    assert_same_results(make_model(nodes, inputs, outputs, constants), proto, feeds)


def test_new_names_are_not_those_of_subgraphs(tmp_path: Path) -> None:
    """Whatever name a new value would get: a subgraph that has it already makes it another one."""
    form = '(rewrite (Relu x) (Max (Cons x (Cons (Sub x x) (Nil)))) :ruleset opt :name "relu-max")'
    inputs = [value("c", (), BOOL), value("x")]
    nodes = _captured("a")
    new = ""
    for _ in range(2):
        for attribute in nodes[2].attribute:
            attribute.g.node[0].output[0] = attribute.g.output[0].name = new or attribute.g.name
        session = session_of(tmp_path, nodes, form, inputs=inputs)
        session.apply(session.candidates())
        proto = written(session, _made_by_rules(session), tmp_path)
        assert operators(proto) == ["Sub", "Max", "If"]
        assert proto.graph.node[0].output[0] != new
        new = proto.graph.node[0].output[0]


def test_opaque_nodes_keep_the_outputs_nobody_uses(tmp_path: Path) -> None:
    node = N("Thing", ["x"], ["a", "", "y"], domain="org.example")
    model = make_model([node], [value("x")], [value("y")], domains=["org.example"])
    session = Session(read_proto(model, tmp_path), rules())
    proto = written(session, first_choice(session), tmp_path)
    assert list(proto.graph.node[0].output) == ["a", "", "y"]


def test_dead_twins_of_living_nodes_do_no_harm(tmp_path: Path) -> None:
    nodes = [N("Relu", ["x"], ["dead"]), N("Relu", ["x"], ["h"]), N("Neg", ["h"], ["y"])]
    proto = written(session := session_of(tmp_path, nodes), first_choice(session), tmp_path)
    assert operators(proto) == ["Relu", "Neg"]
    assert all(name for node in proto.graph.node for name in node.output)


def test_outputs_of_one_recurrent_network_find_their_places(tmp_path: Path) -> None:
    weights = {"w": np.ones((1, 16, 3), dtype=np.float32), "r": np.ones((1, 16, 4), dtype=np.float32)}
    nodes = [
        N("LSTM", ["x", "w", "r"], ["all"], hidden_size=4),
        N("LSTM", ["x", "w", "r"], ["", "", "cell"], hidden_size=4),
    ]
    inputs = [value("x", (5, 2, 3))]
    outputs = [value("all", (5, 1, 2, 4)), value("cell", (1, 2, 4))]
    session = session_of(tmp_path, nodes, inputs=inputs, outputs=outputs, constants=weights)
    proto = written(session, first_choice(session), tmp_path)
    assert operators(proto) == ["LSTM"]
    feeds = {"x": np.ones((5, 2, 3), dtype=np.float32)}
    assert_same_results(make_model(nodes, inputs, outputs, weights), proto, feeds)
