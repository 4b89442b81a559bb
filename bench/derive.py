"""Which of TASO's substitutions the rules derive: ``python -m bench.derive [--rules FILE] [--budget-s N] [--json FILE]``.

For each substitution the source is loaded as a model whose inputs are arbitrary tensors (nothing is constant), all rules
are applied until nothing is left or the budget ends, and the target is looked up in the e-graph. It is derived where
each of its outputs is found in the e-class of the output of the source that it stands for. Both sides are also
evaluated in float64, at several sizes: where they differ, the substitution is unsound as published.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from bench.agreement import relative_error
from bench.sizes import Shape, Sizes, draw_sizes
from bench.substitutions import Application, NotExpressibleError, Operation, Port, Substitution, parse
from eqsat.egraph.enode import ABSENT, CONS, INPUT, NIL, OUT, ENode
from eqsat.egraph.session import Session
from eqsat.rules.book import RuleBook, load_rules
from eqsat.search.interface import Arena, SearchBudget
from eqsat.search.saturation import Saturate
from ir.availability import available_operators
from ir.operators import OPERATORS
from ir.reader import read

if TYPE_CHECKING:
    from eqsat.cost.problem import PricedProblem
    from ir.graph import Graph, Node

OPSET: Final = 18
PUBLISHED: Final = Path(__file__).parents[2] / "shared" / "data" / "taso" / "graph_subst.json"
TOLERANCE: Final = 1e-9
"""Largest relative difference of two float64 results that count as one."""

ONNX_OPERATORS: Final[Mapping[Operation, str]] = {
    Operation.MATMUL: "MatMul",
    Operation.CONCAT: "Concat",
    Operation.SPLIT: "Split",
    Operation.ADD: "Add",
    Operation.MUL: "Mul",
    Operation.CONV: "Conv",
    Operation.RELU: "Relu",
}


class Verdict(StrEnum):
    """What became of a substitution."""

    DERIVED = "derived"
    NOT_DERIVED = "not derived"
    UNSOUND = "unsound"
    NOT_EXPRESSIBLE = "not expressible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one substitution may use."""

    seconds: float
    max_enodes: int
    max_rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One line of the score.

    Attributes:
        number: Place of the substitution in the file, from 0.
        verdict: What became of it.
        num_rounds: Rounds in which everything on offer was applied.
        num_enodes: Size of the e-graph at the end.
        seconds: Time that loading and saturation took.
        note: Sizes at which the two sides differ, the node of the target that is missing, or why there is no verdict.
    """

    number: int
    verdict: Verdict
    num_rounds: int = 0
    num_enodes: int = 0
    seconds: float = 0.0
    note: str = ""


def side_model(
    applications: Sequence[Application], shapes: Mapping[Port, Shape], free: Mapping[Port, Shape], outputs: Iterable[Port]
) -> onnx.ModelProto:
    """Return one side of a substitution as a model of float64 tensors, every free input an input.

    Args:
        applications: The side.
        shapes: Shape of each of its tensors that is not free.
        free: Shape of each free input of the substitution.
        outputs: What the model returns.
    """
    known = {**free, **shapes}
    nodes = []
    for index, application in enumerate(applications):
        inputs = [str(port) for port in application.inputs]
        names = [str(Port(index, output)) for output in range(application.num_outputs)]
        results = [f"{name}.before_relu" for name in names] if application.has_relu else names
        attributes: dict[str, object] = {}
        match application.operation:
            case Operation.CONCAT:
                attributes["axis"] = application.axis
            case Operation.SPLIT:
                sizes = [known[Port(index, output)][application.axis] for output in range(application.num_outputs)]
                inputs.append(f"sizes{index}")
                nodes.append(helper.make_node("Constant", [], [inputs[-1]], value_ints=sizes))
                attributes["axis"] = application.axis
            case Operation.CONV:
                image, weight = (known[port] for port in application.inputs)
                attributes["pads"] = [size // 2 for size in application.kernel] * 2
                attributes["group"] = image[1] // weight[1]
        nodes.append(helper.make_node(ONNX_OPERATORS[application.operation], inputs, results, **attributes))
        if application.has_relu:
            nodes.append(helper.make_node("Relu", results, names))
    graph = helper.make_graph(
        nodes,
        "side",
        [helper.make_tensor_value_info(str(port), TensorProto.DOUBLE, shape) for port, shape in sorted(free.items())],
        [helper.make_tensor_value_info(str(port), TensorProto.DOUBLE, known[port]) for port in dict.fromkeys(outputs)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
