"""Masks and tables that an export has computed already are known by what they hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from eqsat.egraph.session import Session
from eqsat.rules import load_rules
from tests.ir.graphs import make_model, read_proto, value

N = helper.make_node
LOWEST = float(np.finfo(np.float32).min)
HEADS, LENGTH, SIZE = 2, 6, 8


def offered(folder: Path, model: onnx.ModelProto) -> set[str]:
    session = Session(read_proto(model, folder), load_rules().select())
    return {session.rule_of(each).rule.name for each in session.candidates()}


def attention(mask: np.ndarray) -> onnx.ModelProto:
    shape = [1, HEADS, LENGTH, SIZE]
    nodes = [
        N("Transpose", ["k"], ["t"], perm=[0, 1, 3, 2]),
        N("MatMul", ["q", "t"], ["s"]),
        N("Mul", ["s", "scale"], ["c"]),
        N("Add", ["c", "mask"], ["a"]),
        N("Softmax", ["a"], ["p"], axis=-1),
        N("MatMul", ["p", "v"], ["y"]),
    ]
    inputs = [value(name, shape) for name in "qkv"]
    return make_model(nodes, inputs, [value("y", shape)], {"scale": np.array(0.35, np.float32), "mask": mask})


@pytest.mark.parametrize("masked", [LOWEST, -np.inf])
def test_causal_mask(tmp_path: Path, masked: float) -> None:
    mask = np.where(np.tri(LENGTH, dtype=np.bool_), 0.0, masked).astype(np.float32)
    assert "attention-causal" in offered(tmp_path, attention(mask[None, None]))
    mask[-1, 0] = masked
    assert "attention-causal" not in offered(tmp_path, attention(mask[None, None]))


def rotary(table: np.ndarray) -> onnx.ModelProto:
    shape = [1, HEADS, LENGTH, SIZE]
    nodes = [
        N("Mul", ["x", "cos"], ["u"]),
        N("Slice", ["x", "zero", "half", "last"], ["p"]),
        N("Slice", ["x", "half", "end", "last"], ["q"]),
        N("Neg", ["q"], ["n"]),
        N("Concat", ["n", "p"], ["r"], axis=-1),
        N("Mul", ["r", "sin"], ["w"]),
        N("Add", ["u", "w"], ["y"]),
    ]
    numbers = {"zero": 0, "half": SIZE // 2, "end": SIZE, "last": 3}
    constants = {name: np.array([number], np.int64) for name, number in numbers.items()}
    constants |= {"cos": np.cos(table), "sin": np.sin(table)}
    return make_model(nodes, [value("x", shape)], [value("y", shape)], constants)


def neighbours(table: np.ndarray, *, is_part: bool) -> onnx.ModelProto:
    """Neighbours turned, in whole heads or in their first halves, before or after heads come to the front."""
    size = 2 * SIZE if is_part else SIZE
    middle = [1, LENGTH, HEADS] if table.shape[1] == LENGTH else [1, HEADS, LENGTH]
    nodes = [
        N("Slice", ["x", "zero", "size", "last"], ["z"]),
        N("Slice", ["x", "size", "end", "last"], ["rest"]),
        N("Mul", ["z", "cos"], ["u"]),
        N("Slice", ["z", "zero", "size", "last", "two"], ["p"]),
        N("Slice", ["z", "one", "size", "last", "two"], ["q"]),
        N("Neg", ["q"], ["n"]),
        N("Unsqueeze", ["n", "four"], ["n5"]),
        N("Unsqueeze", ["p", "four"], ["p5"]),
        N("Concat", ["n5", "p5"], ["pairs"], axis=-1),
        N("Reshape", ["pairs", "shape"], ["r"]),
        N("Mul", ["r", "sin"], ["w"]),
        N("Add", ["u", "w"], ["turned"]),
        N("Concat", ["turned", "rest"] if is_part else ["turned"], ["y"], axis=-1),
    ]
    numbers = {"zero": 0, "one": 1, "two": 2, "last": 3, "four": 4, "size": SIZE, "end": size}
    constants = {name: np.array([number], np.int64) for name, number in numbers.items()}
    constants |= {"cos": np.cos(table), "sin": np.sin(table), "shape": np.array([*middle, SIZE], np.int64)}
    ends = [value("x", [*middle, size])], [value("y", [*middle, size])]
    return make_model([node for node in nodes if is_part or node.output != ["rest"]], *ends, constants)


@pytest.mark.parametrize(
    ("shape", "rule"),
    [
        ((1, 1, LENGTH, SIZE // 2), "rotary-embedding-neighbours"),
        ((1, LENGTH, 1, SIZE // 2), "rotary-embedding-places-first"),
    ],
)
@pytest.mark.parametrize("is_part", [False, True])
def test_rotary_embedding_of_neighbours(tmp_path: Path, shape: tuple[int, ...], rule: str, *, is_part: bool) -> None:
    half = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    model = neighbours(np.repeat(half, 2, axis=-1), is_part=is_part)
    assert rule in offered(tmp_path, model)
    assert rule not in offered(tmp_path, neighbours(np.concatenate([half, half], axis=-1), is_part=is_part))
    session = Session(read_proto(model, tmp_path), load_rules().select())
    for _ in range(4):
        session.apply(session.candidates())
    made = {origin.rule for origin in session.mirror.origins.values()}
    part = "rotary-embedding-part" if rule.endswith("neighbours") else "rotary-embedding-part-places-first"
    assert (part in made) == is_part


def test_rotary_embedding(tmp_path: Path) -> None:
    half = np.random.default_rng(0).standard_normal((1, 1, LENGTH, SIZE // 2)).astype(np.float32)
    assert "rotary-embedding" in offered(tmp_path, rotary(np.concatenate([half, half], axis=-1)))
    assert "rotary-embedding" not in offered(tmp_path, rotary(np.concatenate([half, -half[..., ::-1]], axis=-1)))
