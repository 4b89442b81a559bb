"""What the e-graph knows of a model once it is loaded, as rules see it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from eqsat.egraph.enode import CONST, OPAQUE, OUT
from eqsat.egraph.session import Session
from tests.egraph.sessions import matches, rules, session_of
from tests.ir.graphs import INT64, make_model, read_proto, value

N = helper.make_node


def _array(*numbers: float, dtype: type = np.float32) -> np.ndarray:
    return np.array(numbers, dtype=dtype)


CONSTANTS = {
    "half": np.array(0.5, dtype=np.float32),
    "rounded": _array(0.70710677),
    "vector": _array(1, 2, 3),
    "endless": _array(1, float("inf"), 3),
}

PROBE = '(rewrite (Add x c) (Sub x c) :when ({fact}) :ruleset opt :name "probe")'


def _probe(fact: str, folder: Path) -> list[str]:
    """The values of which a fact holds: each is added to ``x``."""
    nodes = [N("Add", ["x", name], [f"sum-{name}"]) for name in CONSTANTS]
    nodes += [N("Add", ["x", "x"], ["double"]), N("Exp", ["vector"], ["exp"]), N("Add", ["x", "exp"], ["sum-exp"])]
    outputs = [value(name) for node in nodes for name in node.output if name != "exp"]
    session = session_of(folder, nodes, PROBE.format(fact=fact), constants=CONSTANTS, outputs=outputs)
    variables = session.program.gated[0].variables
    return sorted({str(match[variables.index("c")]) for match in matches(session, "probe")})


@pytest.mark.parametrize(
    ("fact", "values"),
    [
        ("(constant c)", ["endless", "exp", "half", "rounded", "vector"]),
        ("(finite c)", ["half", "rounded", "vector"]),
        ("(near c 0.5)", ["half"]),
        ("(near c 0.7071067811865476)", ["rounded"]),
        ("(near c 0.6)", []),
        ("(= (scalar c) 0.5)", ["half"]),
        ("(= (rank c) 1)", ["endless", "exp", "rounded", "vector"]),
        ("(= (shape c) (S1 3))", ["endless", "exp", "vector"]),
        ("(= (shape c) (S0))", ["half"]),
        ("(= (last c) 3)", ["endless", "exp", "vector", "x"]),
        ("(= (dtype c) 1)", ["endless", "exp", "half", "rounded", "vector", "x"]),
        ("(= (dtype c) 7)", []),
        ("(>= (rank c) 0)", ["endless", "exp", "half", "rounded", "vector", "x"]),
        ("(root c)", []),
    ],
)
def test_facts_hold_where_there_is_evidence(fact: str, values: list[str], tmp_path: Path) -> None:
    assert _probe(fact, tmp_path) == values


def test_outputs_are_roots(tmp_path: Path) -> None:
    session = session_of(
        tmp_path,
        [N("Relu", ["x"], ["h"]), N("Relu", ["h"], ["y"])],
        '(rule ((root y) (= y (Relu x))) ((union y (Abs x))) :ruleset opt :name "probe")',
    )
    assert [set(match) for match in matches(session, "probe")] == [{"y", "h"}]


def test_a_whole_number_that_no_float_holds_is_no_scalar(tmp_path: Path) -> None:
    constants = {"big": np.array(2**53 + 1), "small": np.array(3)}
    nodes = [N("Add", ["x", name], [f"sum-{name}"]) for name in constants]
    session = session_of(
        tmp_path,
        nodes,
        '(rewrite (Add x c) (Sub x c) :when ((= (scalar c) s)) :ruleset opt :name "probe")',
        inputs=[value("x", dtype=INT64)],
        outputs=[value(f"sum-{name}", dtype=INT64) for name in constants],
        constants=constants,
    )
    variables = session.program.gated[0].variables
    assert {match[variables.index("c")] for match in matches(session, "probe")} == {"small"}


def test_equal_constants_are_one_e_class(tmp_path: Path) -> None:
    constants = {
        "a": _array(1, 2, 3),
        "b": _array(1, 2, 3),
        "row": _array(1, 2, 3).reshape(1, 3),
        "other": _array(1, 2, 4),
        "double": _array(1, 2, 3, dtype=np.float64),
    }
    nodes = [N("Identity", [name], [f"{name}-out"]) for name in constants]
    outputs = [value(f"{name}-out", array.shape, 11 if name == "double" else 1) for name, array in constants.items()]
    values = session_of(tmp_path, nodes, outputs=outputs, constants=constants).encoding.values
    assert values["a"] == values["b"]
    assert len({values[name] for name in ("a", "row", "other", "double")}) == 4


def test_equal_nodes_are_one_e_class_and_opaque_ones_are_not(tmp_path: Path) -> None:
    nodes = [N("Relu", ["x"], ["a"]), N("Relu", ["x"], ["b"]), N("RandomNormalLike", ["x"], ["c"])]
    nodes += [N("RandomNormalLike", ["x"], ["d"])]
    session = session_of(tmp_path, nodes, outputs=[value(name) for name in "abcd"])
    values = session.encoding.values
    assert values["a"] == values["b"]
    assert values["c"] != values["d"]
    assert [enode.operator for enode in session.mirror.enodes if enode.operator in {OPAQUE, OUT}].count(OPAQUE) == 2


def test_nodes_nobody_uses_are_left_out(tmp_path: Path) -> None:
    session = session_of(tmp_path, [N("Relu", ["x"], ["dead"]), N("Relu", ["x"], ["y"]), N("Abs", ["x"], ["gone"])])
    assert "" not in session.encoding.values
    assert not any(enode.operator == "Abs" for enode in session.mirror.enodes)


def test_matrices_that_share_an_input_are_siblings(tmp_path: Path) -> None:
    weights = {name: np.full((3, 4), number, dtype=np.float32) for number, name in enumerate("uvw")}
    nodes = [N("MatMul", ["x", name], [f"y-{name}"]) for name in weights]
    session = session_of(
        tmp_path,
        nodes,
        "(rule ((sibling x y w i n) (= y (MatMul x w)))"
        " ((union y (MatMul (Slice x (SliceA (vec-of i) (vec-of n) (vec-of 0) (vec-of 1))) w)))"
        ' :ruleset opt :name "probe")',
        outputs=[value(f"y-{name}", (2, 4)) for name in weights],
        constants=weights,
    )
    variables = session.program.gated[0].variables
    places = [variables.index(name) for name in ("x", "w", "i", "n")]
    found = sorted(tuple(match[place] for place in places) for match in matches(session, "probe"))
    assert found == [("x", "u", 0, 3), ("x", "v", 1, 3), ("x", "w", 2, 3)]


def test_values_without_a_type_are_matched_by_no_rule_that_asks(tmp_path: Path) -> None:
    nodes = [N("Thing", ["x"], ["h"], domain="org.example"), N("Relu", ["h"], ["y"])]
    model_rules = (
        '(rewrite (Relu x) (Abs x) :when ((= (rank x) r)) :ruleset opt :name "typed")',
        '(rewrite (Relu x) (Neg x) :ruleset opt :name "untyped")',
    )
    model = make_model(nodes, [value("x")], [value("y")], domains=["org.example"])
    session = Session(read_proto(model, tmp_path), rules(*model_rules))
    assert not matches(session, "typed")
    session.apply(session.candidates())
    assert not any(enode.operator == "Neg" for enode in session.mirror.enodes)


def test_constants_keep_their_numbers(tmp_path: Path) -> None:
    session = session_of(tmp_path, [N("Add", ["x", "vector"], ["y"])], constants=CONSTANTS)
    ((number,),) = [enode.attributes for enode in session.mirror.enodes if enode.operator == CONST]
    assert isinstance(number, int)
    assert session.encoding.constants[number].name == "vector"
