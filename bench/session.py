"""How long one step of a search takes: ``python -m bench.session [--nodes N] [--steps N] [--json FILE]``.

A step is what an agent does again and again: list the candidates, apply one, bring facts, matches and the view up to
date. The graph is a random one of matrix products, sums, activations and transpositions, with the rules that ship.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bench.documents import write_results
from eqsat.egraph.session import Session
from eqsat.rules.book import load_rules
from ir.availability import available_operators
from ir.reader import read

SIZE = 8
WINDOW = 8
OPSET = 18


def random_model(num_nodes: int, seed: int) -> onnx.ModelProto:
    """Return a model of ``num_nodes`` nodes, each of which uses one or two of the last few values."""
    rng = random.Random(seed)
    weights = np.random.default_rng(seed)
    nodes, initializers, values = [], [], ["x"]
    for index in range(num_nodes):
        first, second, output = rng.choice(values[-WINDOW:]), rng.choice(values[-WINDOW:]), f"v{index}"
        match rng.choices(("MatMul", "Add", "Relu", "Transpose"), (3, 3, 2, 2))[0]:
            case "MatMul":
                array = weights.standard_normal((SIZE, SIZE)).astype(np.float32)
                initializers.append(numpy_helper.from_array(array, f"w{index}"))
                nodes.append(helper.make_node("MatMul", [first, f"w{index}"], [output]))
            case "Add":
                nodes.append(helper.make_node("Add", [first, second], [output]))
            case "Relu":
                nodes.append(helper.make_node("Relu", [first], [output]))
            case _:
                nodes.append(helper.make_node("Transpose", [first], [output], perm=[1, 0]))
        values.append(output)
    shape = [SIZE, SIZE]
    graph = helper.make_graph(
        nodes,
        "random",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, shape) for value in values[-WINDOW:]],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def measure(num_nodes: int, num_steps: int, seed: int) -> dict[str, object]:
    """Return sizes and the time of each step in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.onnx"
        onnx.save(random_model(num_nodes, seed), path)
        graph = read(path)
    rules = load_rules().select(available_operators=available_operators(OPSET, has_provider_operators=True))
    began = time.perf_counter()
    session = Session(graph, rules)
    load_ms = 1e3 * (time.perf_counter() - began)
    rng = random.Random(seed)
    steps_ms = []
    for _ in range(num_steps):
        began = time.perf_counter()
        candidates = session.candidates()
        session.apply([rng.choice(candidates)])
        steps_ms.append(1e3 * (time.perf_counter() - began))
    size = session.size()
    return {
        "num_enodes": size.num_enodes,
        "num_eclasses": size.num_eclasses,
        "num_candidates": len(session.candidates()),
        "num_rules": len(rules.rules),
        "load_ms": load_ms,
        "step_ms_median": statistics.median(steps_ms),
        "step_ms_quartiles": statistics.quantiles(steps_ms, n=4),
        "steps_ms": steps_ms,
    }


def main() -> None:
    """Measure, print a line, write JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=7600)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = measure(arguments.nodes, arguments.steps, arguments.seed)
    print(
        f"{result['num_enodes']} e-nodes, {result['num_candidates']} candidates, {result['num_rules']} rules: "
        f"median step {result['step_ms_median']:.1f} ms, load {result['load_ms']:.0f} ms"
    )
    write_results(arguments.json, result, "egglog")


if __name__ == "__main__":
    main()
