"""Tiny models, rules over them, and the session of both."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from eqsat.egraph.session import Session
from eqsat.rules.book import RuleBook, read_rules
from ir.reader import read

FLOAT = onnx.TensorProto.FLOAT

HEADER = "; SOURCE algebra\n; FLOATS reassociates\n"

Value = tuple[str, Sequence[int | str]]


def node(op_type: str, inputs: str, outputs: str, domain: str = "", **attributes: Any) -> onnx.NodeProto:
    return onnx.helper.make_node(op_type, inputs.split(), outputs.split(), domain=domain, **attributes)


def make(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    constants: Mapping[str, np.ndarray] | None = None,
    opset: int = 18,
) -> onnx.ModelProto:
    graph = onnx.helper.make_graph(
        list(nodes),
        "tiny",
        [onnx.helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs],
        [onnx.helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    opsets = [onnx.helper.make_opsetid("", opset), onnx.helper.make_opsetid("com.microsoft", 1)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9)


def save(path: Path, model: onnx.ModelProto) -> Path:
    onnx.save_model(model, path)
    return path


def weights(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def rules(*forms: str) -> RuleBook:
    """Rules under a header that says as little as may be."""
    return read_rules([("\n".join(HEADER + form for form in forms), "test.egg")])


def rewrite(left: str, right: str, name: str, when: str = "") -> str:
    condition = f" :when ({when})" if when else ""
    return f'(rewrite {left} {right}{condition} :ruleset opt :name "{name}")'


def session(folder: Path, model: onnx.ModelProto, book: RuleBook) -> Session:
    return Session(read(save(folder / "model.onnx", model)), book)


def operators(path: Path) -> list[str]:
    return [each.op_type for each in onnx.load_model(path).graph.node]


def chain(length: int = 3, operator: str = "Neg") -> onnx.ModelProto:
    """``y = operator(...(operator(x)))``."""
    names = ["x", *(f"h{index}" for index in range(1, length)), "y"]
    nodes = [node(operator, names[index], names[index + 1]) for index in range(length)]
    return make(nodes, [("x", [2, 3])], [("y", [2, 3])])


def rng(seed: int = 0) -> random.Random:
    return random.Random(seed)
