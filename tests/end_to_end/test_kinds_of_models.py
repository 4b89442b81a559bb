"""Dynamic shapes, control flow, old opsets, targets: the road is the same, with times by table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from eqsat.errors import ModelError, UsageError
from eqsat.pipeline.job import Job, Target
from eqsat.pipeline.optimizer import optimize
from eqsat.pipeline.reasons import Why, told
from eqsat.pipeline.report import Report
from eqsat.pipeline.report_parts import Status
from eqsat.pipeline.scratch import read_best
from eqsat.runtime import SessionFailedError, SessionSettings
from eqsat.runtime.settings import CUSTOM_OPS_FAILED, REFUSED
from tests.end_to_end import blocks
from tests.pipeline import models
from tests.pipeline.fake_runtime import FakeRuntime

TWICE = models.HEADER + models.rewrite("(Neg (Neg x))", "x", "neg-twice")
GELU = """
; SOURCE gelu(x) = x (1 + erf(x / sqrt 2)) / 2
; FLOATS reassociates
(rewrite (Mul (Mul x (Add (Erf (Div x r)) one)) half) (MsGelu x)
  :when ((near r 1.4142135623730951) (near one 1.0) (near half 0.5)) :ruleset opt :name "gelu-provider")
; SOURCE gelu(x) = x (1 + erf(x / sqrt 2)) / 2
; FLOATS reassociates
(rewrite (Mul (Mul x (Add (Erf (Div x r)) one)) half) (Gelu x "none")
  :when ((near r 1.4142135623730951) (near one 1.0) (near half 0.5)) :ruleset opt :name "gelu-standard")
"""
FINITE = "; SOURCE x - x = 0 for finite x\n; FLOATS finite\n" + models.rewrite("(Neg (Neg x))", "x", "neg-twice")

Run = Callable[..., tuple[Report, Path]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Optimises a model with some rules and no others; gives the report and the path of what was kept."""
    rules_path = tmp_path / "rules.egg"
    monkeypatch.setattr("eqsat.rules.book.shipped_rules_path", lambda: rules_path)

    def go(model: onnx.ModelProto, rules: str, **options: object) -> tuple[Report, Path]:
        rules_path.write_text(rules)
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        path = models.save(tmp_path / "model.onnx", model)
        job = Job(
            input_path=str(path),
            scratch_dir=str(scratch),
            cost_db=str(tmp_path / "prices.sqlite"),
            search="saturate",
            threads=1,
        )
        report = optimize(
            replace(job, **options),  # type: ignore[arg-type]
            lambda _: None,
            runtime=FakeRuntime({"Gelu": 1.0}).as_runtime(),
            clock=lambda: 0.0,
        )
        best = read_best(scratch)
        assert best is not None
        return report, best.model_path or path

    return go


def outputs(path: Path, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return FakeRuntime().outputs(path, feeds, SessionSettings())


def check_equal(tmp_path: Path, found: Path, shape: tuple[int, ...]) -> None:
    for seed in range(3):
        feeds = {"x": np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)}
        expected = outputs(tmp_path / "model.onnx", feeds)["y"]
        np.testing.assert_allclose(outputs(found, feeds)["y"], expected, rtol=1e-4, atol=1e-5)


def subgraph_nodes(node: onnx.NodeProto) -> list[tuple[str, list[str], list[str]]]:
    inner = [each for attribute in node.attribute for each in attribute.g.node]
    return [(each.op_type, list(each.input), list(each.output)) for each in inner]


def gelu_chain(opset: int) -> onnx.ModelProto:
    constants = {"root": blocks.scalar(2**0.5), "one": blocks.scalar(1), "half": blocks.scalar(0.5)}
    nodes = [
        models.node("Div", "x root", "a"),
        models.node("Erf", "a", "b"),
        models.node("Add", "b one", "c"),
        models.node("Mul", "x c", "d"),
        models.node("Mul", "d half", "y"),
    ]
    return models.make(nodes, [("x", [2, 8])], [("y", [2, 8])], constants, opset=opset)


@pytest.mark.parametrize("batch", [2, "batch"])
def test_a_transformer_block(run: Run, tmp_path: Path, batch: int | str) -> None:
    report, found = run(blocks.transformer_block(batch), GELU)
    assert report.status is Status.OPTIMIZED
    assert "Gelu" in models.operators(found)
    assert "Erf" not in models.operators(found)
    check_equal(tmp_path, found, (2, 16, 32))
    dim = onnx.load_model(found).graph.output[0].type.tensor_type.shape.dim[0]
    if batch == "batch":
        assert dim.dim_param == "batch"
        check_equal(tmp_path, found, (5, 16, 32))
    else:
        assert dim.dim_value == 2


@pytest.mark.parametrize(("make", "operator"), [(blocks.conditional, "If"), (blocks.loop, "Loop")])
def test_control_flow_stays_as_it_is(
    run: Run, tmp_path: Path, make: Callable[[], onnx.ModelProto], operator: str
) -> None:
    report, found = run(make(), TWICE)
    assert report.status is Status.OPTIMIZED
    assert models.operators(found).count(operator) == 1
    assert "Neg" not in models.operators(found)
    check_equal(tmp_path, found, (2, 3))
    before, after = (
        next(node for node in onnx.load_model(path).graph.node if node.op_type == operator)
        for path in (tmp_path / "model.onnx", found)
    )
    assert subgraph_nodes(before) == subgraph_nodes(after)


@pytest.mark.parametrize(
    ("opset", "target", "domains"),
    [
        pytest.param(18, Target.PROVIDER, {"com.microsoft"}, id="the provider's own"),
        pytest.param(20, Target.PORTABLE, {""}, id="standard"),
    ],
)
def test_the_target_decides_which_operators_come_in(
    run: Run, tmp_path: Path, opset: int, target: Target, domains: set[str]
) -> None:
    report, found = run(gelu_chain(opset), GELU, target=target)
    assert report.status is Status.OPTIMIZED
    graph = onnx.load_model(found).graph
    assert [node.op_type for node in graph.node] == ["Gelu"]
    assert {node.domain for node in graph.node} == domains
    check_equal(tmp_path, found, (2, 8))


def test_an_opset_without_the_operator_drops_the_rule(run: Run) -> None:
    report, _ = run(gelu_chain(18), GELU, target=Target.PORTABLE)
    assert (report.status, report.reason) == (Status.UNCHANGED, told(Why.NO_RULE))


@pytest.mark.parametrize(("is_strict", "status"), [(False, Status.OPTIMIZED), (True, Status.UNCHANGED)])
def test_strict_runs_assume_nothing_about_values(run: Run, is_strict: bool, status: Status) -> None:
    report, _ = run(models.chain(2), FINITE, is_strict=is_strict)
    assert report.status is status


@pytest.mark.parametrize("name", ["neg-twice", "opt"])
def test_rules_can_be_left_out(run: Run, name: str) -> None:
    report, _ = run(models.chain(2), TWICE, skip_rules=(name,))
    assert report.reason == told(Why.NO_RULE)


@pytest.mark.parametrize("search", ["saturate", "greedy"])  # greedy finds the other rule only without the wrong one
def test_a_rule_that_makes_every_graph_wrong_is_found_and_left_out(run: Run, tmp_path: Path, search: str) -> None:
    nodes = [models.node("Neg", "x", "a"), models.node("Neg", "a", "b"), models.node("Tanh", "b", "y")]
    model = models.make(nodes, [("x", [2, 3])], [("y", [2, 3])])
    rules = f"{TWICE}\n{models.HEADER}{models.rewrite('(Tanh (Neg (Neg x)))', 'x', 'all-away')}"
    report, found = run(model, rules, search=search)
    assert report.status is Status.OPTIMIZED
    assert [warning for warning in report.warnings if warning.startswith("rule all-away was left out: ")]
    assert report.operators.after == {"Tanh": 1}
    check_equal(tmp_path, found, (2, 3))


def test_an_end_without_gain_names_the_rules_that_were_wrong(run: Run) -> None:
    nodes = [models.node("Neg", "x", "a"), models.node("Neg", "a", "b"), models.node("Tanh", "b", "y")]
    model = models.make(nodes, [("x", [2, 3])], [("y", [2, 3])])
    rules = f"{models.HEADER}{models.rewrite('(Tanh x)', 'x', 'tanh-away')}\n{models.HEADER}"
    report, _ = run(model, rules + models.rewrite("(Neg (Neg x))", "(Abs (Abs x))", "abs-twice"))
    assert report.status is Status.UNCHANGED
    assert report.reason.startswith("wrong on this model, and left out: ")
    assert "tanh-away" in report.reason


SIMPLE = '; SOURCE elsewhere\n; FLOATS finite\n(rewrite (Cos (Neg x)) (Cos x) :ruleset simp :name "elsewhere")\n'


@pytest.mark.parametrize(("floats", "status"), [("exact", Status.UNCHANGED), ("finite", Status.OPTIMIZED)])
def test_rules_that_did_not_match_loosen_nothing(run: Run, floats: str, status: Status) -> None:
    nodes = [models.node("Exp", "x", "e"), models.node("Div", "e e", "q"), models.node("Neg", "q", "n")]
    nodes += [models.node("Neg", "n", "y")]
    model = models.make(nodes, [("x", [8, 8])], [("y", [8, 8])])
    quotient = models.rewrite("(Neg (Neg (Div (Exp x) (Exp x))))", "(Cos (Sub x x))", "quotient")
    report, _ = run(model, f"{SIMPLE}; SOURCE e / e = 1\n; FLOATS {floats}\n{quotient}")
    assert report.status is status


def test_a_rule_of_ones_own_that_takes_no_part_is_named(run: Run, tmp_path: Path) -> None:
    own = tmp_path / "own.egg"
    own.write_text("; SOURCE none\n; FLOATS approximates\n" + models.rewrite("(Tanh x)", "x", "tanh-away"))
    report, _ = run(models.chain(2), TWICE, rule_files=(str(own),))
    assert report.warnings == (
        "your rule tanh-away takes no part: it approximates, so it is off by default: --enable-rules tanh-away",
    )


def test_the_shapes_of_the_user_are_measured_at(run: Run, tmp_path: Path) -> None:
    nodes = [models.node("Neg", "x", "a"), models.node("Neg", "a", "y")]
    model = models.make(nodes, [("x", ["n", 3])], [("y", ["n", 3])])
    report, found = run(model, TWICE, input_shapes={"x": (11, 3)})
    assert report.status is Status.OPTIMIZED
    check_equal(tmp_path, found, (11, 3))
    assert report.operators.after == {"Identity": 1}


def negations(dims: list[int | str]) -> onnx.ModelProto:
    nodes = [models.node("Neg", "x", "a"), models.node("Neg", "a", "y")]
    return models.make(nodes, [("x", dims)], [("y", dims)])


def test_the_users_own_inputs_are_measured_and_verified_with(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    for n in (4, 6):
        np.savez(tmp_path / "sets" / f"{n}.npz", x=np.full((n, 3), n, np.float32))
    report, _ = run(negations(["n", 3]), TWICE, inputs=str(tmp_path / "sets"))
    assert report.status is Status.OPTIMIZED
    assert report.inputs is not None
    assert (report.inputs.source, report.inputs.shapes) == ("given", {"x": (4, 3)})
    assert report.inputs.verified_at[:2] == ({"x": (4, 3)}, {"x": (6, 3)})
    assert report.inputs.draws["given"] == 2
    assert report.inputs.draws["ordinary"] >= 3


def test_inputs_say_the_shapes_themselves(run: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "feeds.npz", x=np.ones((4, 3), np.float32))
    with pytest.raises(UsageError, match="leave out --input-shape"):
        run(negations(["n", 3]), TWICE, inputs=str(tmp_path / "feeds.npz"), input_shapes={"x": (4, 3)})


def test_inputs_that_the_model_does_not_take_are_a_usage_error(run: Run, tmp_path: Path) -> None:
    nodes = [models.node("Neg", "x", "a"), models.node("Gather", "a i", "y")]
    model = models.make(nodes, [("x", [4]), ("i", [2])], [("y", [2])])
    model.graph.input[1].type.tensor_type.elem_type = onnx.TensorProto.INT64
    np.savez(tmp_path / "feeds.npz", x=np.ones(4, np.float32), i=np.array([1, 9]))
    with pytest.raises(UsageError, match=r"does not run on set 1 of the inputs given: .*idx=9"):
        run(model, TWICE, inputs=str(tmp_path / "feeds.npz"))


@pytest.mark.parametrize(
    ("dims", "what"),
    [
        (["N", 21], r"x:1,21: .*; give other sizes, as --input-shape x:1,21, or inputs that it takes with --inputs$"),
        ([4, 21], r"x:4,21: .*[^,]; give inputs that it takes with --inputs$"),
    ],
)
def test_a_model_that_does_not_run_is_no_result(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dims: list[int | str], what: str
) -> None:
    def fail(*arguments: object) -> dict[str, np.ndarray]:
        raise SessionFailedError("ONNX Runtime failed to run the model: 21 elements do not make rows of 2")

    monkeypatch.setattr(FakeRuntime, "outputs", fail)
    with pytest.raises(ModelError, match=rf"model\.onnx: it does not run on {what}"):
        run(negations(dims), TWICE)
    assert read_best(tmp_path / "scratch") is None


@pytest.mark.parametrize(("dims", "is_told"), [(["n", "n"], True), (["?", "?"], False), (["n", "m"], False)])
def test_sizes_that_contradict_a_name_are_followed(
    run: Run, tmp_path: Path, dims: list[int | str], is_told: bool
) -> None:
    report, found = run(negations(dims), TWICE, input_shapes={"x": (5, 7)})
    assert report.status is Status.OPTIMIZED
    assert report.warnings == ("the shapes given have several sizes for 'n'; they count as unrelated",) * is_told
    check_equal(tmp_path, found, (5, 7))
    value = onnx.load_model(found).graph.input[0]
    assert [dim.dim_param for dim in value.type.tensor_type.shape.dim] == dims, "the names are the model's own"


def test_an_operator_that_nobody_knows_is_named(run: Run) -> None:
    model = negations([2, 3])
    model.graph.node[0].op_type, model.graph.node[0].domain = "Twirl", "com.example"
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    report, _ = run(model, TWICE)
    assert report.status is Status.UNCHANGED
    assert report.reason == told(Why.UNKNOWN_OPERATOR, "the operator Twirl of the domain 'com.example'")


def test_a_library_that_cannot_be_loaded_is_a_usage_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> dict[str, np.ndarray]:
        raise SessionFailedError(f"{REFUSED}: {CUSTOM_OPS_FAILED} own.so cannot be loaded: it is no library")

    monkeypatch.setattr(FakeRuntime, "outputs", refuse)
    with pytest.raises(UsageError, match=r"own\.so cannot be loaded"):
        run(negations([2, 3]), TWICE, custom_ops=("own.so",))


def test_a_random_model_is_not_searched(run: Run) -> None:
    nodes = [models.node("Neg", "x", "a"), models.node("RandomUniformLike", "a", "b"), models.node("Neg", "b", "y")]
    report, _ = run(models.make(nodes, [("x", [2, 3])], [("y", [2, 3])]), TWICE)
    assert report.reason == told(Why.RANDOM, "the model is random by itself (RandomUniformLike)")
    assert report.egraph is None
