"""Inputs that a model runs on, found by what it does with them and by what ONNX Runtime says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.helper
import pytest

from eqsat.runtime import SessionSettings
from eqsat.verify import InputPlan, OriginalFailedError, Role, find_plan, input_plan, prepare
from eqsat.verify.sizes import contradicted_names
from ir.reader import read
from tests.verify.models import BOOL, FLOAT, INT64, InProcessRunner, Value, node, save, weights

SETTINGS = SessionSettings()


def plan_of(path: Path, shapes: dict[str, tuple[int, ...]] | None = None) -> tuple[InputPlan, InProcessRunner]:
    runner = InProcessRunner()
    return find_plan(read(path), path, runner, settings=SETTINGS, input_shapes=shapes or {}), runner


def branch(rate: int, other: int | None) -> onnx.GraphProto:
    """A branch that works for one sampling rate; any other leads to the branch for ``other``, or to an error."""
    if other is None:
        nodes = [node("Reshape", "x wrong", "z")]
        constants = [onnx.numpy_helper.from_array(np.array([rate]), "wrong")]
    else:
        outputs = [onnx.helper.make_tensor_value_info("z", FLOAT, None)]
        good = onnx.helper.make_graph([node("Neg", "x", "z")], "good", [], outputs)
        constants = [onnx.numpy_helper.from_array(np.array(other), "other")]
        nodes = [
            node("Equal", "rate other", "is_other"),
            node("If", "is_other", "z", then_branch=good, else_branch=branch(rate, None)),
        ]
    return onnx.helper.make_graph(nodes, "g", [], [onnx.helper.make_tensor_value_info("z", FLOAT, None)], constants)


def test_a_number_is_one_that_the_model_compares_it_with(tmp_path: Path) -> None:
    then = onnx.helper.make_graph(
        [node("Relu", "x", "z")], "then", [], [onnx.helper.make_tensor_value_info("z", FLOAT, None)]
    )
    nodes = [
        node("Equal", "rate first", "is_first"),
        node("If", "is_first", "y", then_branch=then, else_branch=branch(7, 11025)),
    ]
    inputs: list[Value] = [("x", FLOAT, (1, 30)), ("rate", INT64, ())]
    path = save(tmp_path / "m.onnx", nodes, inputs, [("y", FLOAT, None)], {"first": np.array(22050)})
    plan, runner = plan_of(path)
    spec = plan.specs[1]
    assert (spec.content.role, spec.content.values) == (Role.CHOICE, (22050, 11025))
    assert plan.assumptions == ("rate is one of 22050, 11025",)
    trials = prepare(path, runner, settings=SETTINGS, plan=plan, num_checks=8, seed=0)
    assert {int(trial.feeds["rate"]) for trial in trials.trials} == {22050, 11025}
    assert not trials.skipped


def test_the_edges_of_a_graph_join_its_nodes(tmp_path: Path) -> None:
    nodes = [
        node("Shape", "x", "n", end=1),
        node("Concat", "n width", "to", axis=0),
        node("ConstantOfShape", "to", "zeros"),
        node("Gather", "edges first", "source", axis=0),
        node("Gather", "edges second", "target", axis=0),
        node("Gather", "x source", "messages"),
        node("Unsqueeze", "target axes", "column"),
        node("Expand", "column spread", "places"),
        node("ScatterElements", "zeros places messages", "y", axis=0, reduction="add"),
    ]
    constants = {
        "width": np.array([3]),
        "first": np.array(0),
        "second": np.array(1),
        "axes": np.array([1]),
        "spread": np.array([1, 3]),
    }
    inputs: list[Value] = [("x", FLOAT, ("nodes", 3)), ("edges", INT64, (2, "edges"))]
    plan, _ = plan_of(save(tmp_path / "m.onnx", nodes, inputs, [("y", FLOAT, None)], constants))
    assert plan.assumptions == ("edges holds indices from 0 to 63",)


def test_a_bound_is_taken_from_the_error(tmp_path: Path) -> None:
    nodes = [node("Relu", "i", "j", domain="own"), node("Gather", "table j", "y")]
    path = save(tmp_path / "m.onnx", nodes, [("i", INT64, (50,))], [("y", FLOAT, None)], {"table": weights(5, 2)})
    model = onnx.load(path)
    body = [node("Identity", "a", "b")]
    opsets = [onnx.helper.make_opsetid("", 18)]
    model.functions.append(onnx.helper.make_function("own", "Relu", ["a"], ["b"], body, opsets))
    model.opset_import.append(onnx.helper.make_opsetid("own", 1))
    onnx.save_model(model, path)
    plan, runner = plan_of(path)
    assert plan.assumptions == ("i holds indices from 0 to 4",)
    assert len(runner.seen) == 2


@pytest.mark.parametrize("side", [320, 640])
def test_an_image_is_as_large_as_the_model_takes_it(tmp_path: Path, side: int) -> None:
    nodes = [node("AveragePool", "image", "p", kernel_shape=[16, 16], strides=[16, 16]), node("Flatten", "p", "f")]
    nodes += [node("Gemm", "f w", "y")]
    constants = {"w": weights(3 * (side // 16) ** 2, 2)}
    inputs: list[Value] = [("image", FLOAT, ("batch", 3, "?", "?"))]
    path = save(tmp_path / "m.onnx", nodes, inputs, [("y", FLOAT, None)], constants)
    plan, _ = plan_of(path)
    assert plan.feeds(np.random.default_rng(0))["image"].shape == (1, 3, side, side)


def test_sizes_are_those_that_users_have(tmp_path: Path) -> None:
    inputs: list[Value] = [
        ("image", FLOAT, ("N", 3, None, None)),
        ("ids", INT64, ("N", "S")),
        ("scan", FLOAT, (1, "p", "q")),
    ]
    nodes = [node("Identity", name, f"y_{name}") for name, _, _ in inputs]
    outputs: list[Value] = [(f"y_{name}", dtype, None) for name, dtype, _ in inputs]
    plan, _ = plan_of(save(tmp_path / "m.onnx", nodes, inputs, outputs))
    shapes = {name: array.shape for name, array in plan.feeds(np.random.default_rng(0)).items()}
    assert shapes == {"image": (1, 3, 224, 224), "ids": (1, 128), "scan": (1, 224, 224)}


def test_an_input_follows_the_shape_given_for_another(tmp_path: Path) -> None:
    inputs: list[Value] = [("x", FLOAT, ("?", 3, "?", "?")), ("z", FLOAT, ("?", 3, "?", "?"))]
    path = save(tmp_path / "m.onnx", [node("Add", "x z", "y")], inputs, [("y", FLOAT, None)])
    plan, _ = plan_of(path, {"x": (1, 3, 40, 56)})
    assert plan.feeds(np.random.default_rng(0))["z"].shape == (1, 3, 40, 56)


def test_a_name_that_the_shapes_contradict_is_no_equality(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", [node("Relu", "x", "y")], [("x", FLOAT, ("n", "n", "m"))], [("y", FLOAT, None)])
    graph = read(path)
    assert contradicted_names(graph, {"x": (3, 3, 4)}) == frozenset()
    assert contradicted_names(graph, {"x": (3, 5, 5)}) == {"n"}
    again = read(path, contradicted_names(graph, {"x": (3, 5, 5)}))
    assert input_plan(again, {"x": (3, 5, 5)}).assignments[0] == dict(
        zip(again.types["x"].shape, (3, 5, 5), strict=True)
    )


def test_a_model_that_runs_on_nothing_says_what_the_runtime_says(tmp_path: Path) -> None:
    nodes = [node("Reshape", "x five", "y")]
    path = save(tmp_path / "m.onnx", nodes, [("x", FLOAT, ("batch", 7))], [("y", FLOAT, None)], {"five": np.array([5])})
    with pytest.raises(OriginalFailedError, match="cannot be reshaped"):
        plan_of(path)
    runner = InProcessRunner()
    with pytest.raises(OriginalFailedError):
        find_plan(read(path), path, runner, settings=SETTINGS, input_shapes={}, is_late=lambda: True)
    assert len(runner.seen) == 1, "the time for trying is over"


def test_the_users_own_inputs_come_first_and_random_ones_are_like_them(tmp_path: Path) -> None:
    inputs: list[Value] = [("x", FLOAT, ("n",)), ("k", INT64, ()), ("b", BOOL, ("n",))]
    nodes = [node("Where", "b x x", "w"), node("Cast", "k", "f", to=FLOAT), node("Mul", "w f", "y")]
    path = save(tmp_path / "m.onnx", nodes, inputs, [("y", FLOAT, None)])
    samples = [
        {"x": np.full((n,), n, np.float32), "k": np.array(k), "b": np.ones((n,), bool)} for n, k in ((6, 300), (9, 500))
    ]
    graph, runner = read(path), InProcessRunner()
    plan = find_plan(graph, path, runner, settings=SETTINGS, input_shapes={}, samples=samples)
    assert plan.feeds(np.random.default_rng(0)) is samples[0]
    assert set(plan.sizes().values()) == {6}
    trials = prepare(path, runner, settings=SETTINGS, plan=plan, num_checks=1, seed=0)
    assert [trial.feeds["x"].shape for trial in trials.trials[:3]] == [(6,), (9,), (6,)]
    assert {int(trial.feeds["k"]) for trial in trials.trials} == {300, 500}
