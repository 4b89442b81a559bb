"""Equal candidates of a model that repeats itself form one group."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import NodeProto, helper

from eqsat.egraph.groups import group
from eqsat.egraph.session import Session
from tests.egraph.sessions import session_of
from tests.ir.graphs import value

NUM_LAYERS = 12
RULES = (
    '(rewrite (Relu x) (Max (Cons x (Cons x (Nil)))) :ruleset opt :name "relu-max")',
    '(rewrite (Add x y) (Sum (Cons x (Cons y (Nil)))) :ruleset opt :name "add-sum")',
    '(rewrite (MatMul x w) (Identity (MatMul x w)) :when ((constant w)) :ruleset opt :name "matmul-identity")',
)


def _layers(folder: Path) -> Session:
    rng = np.random.default_rng(0)
    nodes: list[NodeProto] = []
    constants: dict[str, np.ndarray] = {}
    source = "x"
    for layer in range(NUM_LAYERS):
        constants[f"w{layer}"] = rng.standard_normal((3, 3)).astype(np.float32)
        constants[f"b{layer}"] = rng.standard_normal(3).astype(np.float32)
        result = "y" if layer == NUM_LAYERS - 1 else f"out{layer}"
        nodes += [
            helper.make_node("MatMul", [source, f"w{layer}"], [f"m{layer}"]),
            helper.make_node("Add", [f"m{layer}", f"b{layer}"], [f"a{layer}"]),
            helper.make_node("Relu", [f"a{layer}"], [f"r{layer}"]),
            helper.make_node("Sigmoid", [f"r{layer}"], [result]),
        ]
        source = result
    return session_of(folder, nodes, *RULES, constants=constants)


def test_every_candidate_is_in_one_group(tmp_path: Path) -> None:
    session = _layers(tmp_path)
    groups = group(session, session.candidates())
    members = [candidate for each in groups for candidate in each.candidates]
    assert len(members) == len(set(members)) == len(session.candidates())
    assert set(members) == set(session.candidates())


def test_layers_in_the_middle_are_equal(tmp_path: Path) -> None:
    session = _layers(tmp_path)
    groups = group(session, session.candidates())
    biggest: dict[str, int] = {}
    for each in groups:
        biggest[each.rule] = max(biggest.get(each.rule, 0), len(each.candidates))
    assert set(biggest) == {"relu-max", "add-sum", "matmul-identity"}
    assert all(size >= NUM_LAYERS - 2 for size in biggest.values())


def test_groups_are_applied_as_one(tmp_path: Path) -> None:
    session = _layers(tmp_path)
    first = max(group(session, session.candidates()), key=lambda each: len(each.candidates))
    assert session.apply(first.candidates) == len(first.candidates)
    assert not set(first.candidates) & set(session.candidates())


def test_other_types_are_other_groups(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Relu", ["z"], ["v"])]
    session = session_of(
        tmp_path,
        nodes,
        RULES[0],
        inputs=[value("x"), value("z", (4, 3))],
        outputs=[value("y"), value("v", (4, 3))],
    )
    assert len(group(session, session.candidates())) == 2
