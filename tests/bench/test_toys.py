"""The toys are what the literature has, as ONNX files that run, and no rule but TASO's is used on them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from bench import toys
from bench.toys import MAX_ENODES, TOYS, toy_graph, toy_task
from eqsat.rules.rule import RuleKind
from ir.operators import OPERATORS
from rl.families.regimes import TASO_OPERATORS

SIZES = {
    "bert": {"MatMul": 8 * 6, "Transpose": 8 * 4, "Reshape": 8 * 4, "Relu": 1},
    "nasrnn": {"MatMul": 5 * 16, "Add": 5 * 11, "Tanh": 5 * 8, "Sigmoid": 5 * 5, "Relu": 5 * 2, "Mul": 5 * 4},
    "nasnet-a": {"Conv": 2 * 12 + 12, "AveragePool": 2 * 3 + 2, "MaxPool": 2, "Add": 3 * 5, "Concat": 3},
    "resnext": {"Conv": 10, "Relu": 10, "Add": 3},
    "squeezenet": {"Conv": 12, "Relu": 12, "Concat": 4, "MaxPool": 1},
    "inception": {"Conv": 21, "Relu": 21, "Concat": 3, "AveragePool": 3},
}


@pytest.mark.parametrize("name", TOYS)
def test_a_toy_has_the_operators_of_its_model(name: str) -> None:
    counts = Counter(node.operator for node in toy_graph(name).nodes)
    assert {operator: counts[operator] for operator in SIZES[name]} == SIZES[name]


@pytest.mark.parametrize("name", TOYS)
def test_a_toy_is_a_file_that_runs(name: str, tmp_path: Path) -> None:
    path = tmp_path / "toy.onnx"
    assert toys.main([name, "-o", str(path)]) == 0
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    feeds = {each.name: rng.standard_normal(each.shape, dtype=np.float32) for each in session.get_inputs()}
    results = session.run(None, feeds)
    assert len(results) == len(toy_graph(name).outputs)
    assert all(np.isfinite(result).all() and result.std() > 0 for result in results if result.size > 1)


def test_a_toy_is_read_back_from_its_file_with_the_rules_of_taso() -> None:
    task = toy_task("squeezenet")
    drawn = toy_graph("squeezenet")
    assert [node.operator for node in task.graph.nodes] == [node.operator for node in drawn.nodes]
    assert [node.attributes for node in task.graph.nodes] == [node.attributes for node in drawn.nodes]
    assert MAX_ENODES == 2_000
    rewrites = [rule for rule in task.rules.rules if rule.kind is not RuleKind.FACTS]
    assert {"wide", ""} == {rule.tier for rule in rewrites}
    assert all((rule.operators_matched | rule.operators_made) & OPERATORS.keys() <= TASO_OPERATORS for rule in rewrites)


def test_the_weights_of_a_toy_depend_on_its_seed_alone() -> None:
    one, two, other = (toy_graph("resnext", seed=seed).constants for seed in (0, 0, 1))
    assert all(np.array_equal(one[name].numpy(), two[name].numpy()) for name in one)
    assert not any(np.array_equal(one[name].numpy(), other[name].numpy()) for name in one)
