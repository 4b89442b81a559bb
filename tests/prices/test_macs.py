"""Multiply-accumulates of whole models, against numbers counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from eqsat.prices.macs import model_macs
from eqsat.verify.sizes import default_sizes
from ir.reader import read
from tests.pipeline import models


@pytest.mark.parametrize(
    ("nodes", "inputs", "constants", "output", "macs"),
    [
        (["MatMul x w y"], {"x": (5, 2, 3)}, {"w": (3, 4)}, (5, 2, 4), 5 * 2 * 3 * 4),
        (
            ["MatMul x w h", "Relu h r", "MatMul r v y"],
            {"x": (2, 3)},
            {"w": (3, 4), "v": (4, 7)},
            (2, 7),
            2 * 3 * 4 + 2 * 4 * 7,
        ),
        (["Conv x w y"], {"x": (1, 3, 8, 8)}, {"w": (6, 3, 3, 3)}, (1, 6, 6, 6), 6 * 6 * 6 * 3 * 3 * 3),
        (["Add x x y"], {"x": (9, 9)}, {}, (9, 9), 0),
    ],
)
def test_products_are_counted_and_nothing_else(
    nodes: list[str],
    inputs: dict[str, tuple[int, ...]],
    constants: dict[str, tuple[int, ...]],
    output: tuple[int, ...],
    macs: int,
    tmp_path: Path,
) -> None:
    made = [models.node(operator, " ".join(names), result) for operator, *names, result in map(str.split, nodes)]
    weights = {name: models.weights(*shape) for name, shape in constants.items()}
    given = [(name, list(shape)) for name, shape in inputs.items()]
    graph = read(models.save(tmp_path / "m.onnx", models.make(made, given, [("y", list(output))], weights)))
    assert model_macs(graph, {}) == macs


def test_symbols_count_at_their_sizes(tmp_path: Path) -> None:
    made = [models.node("MatMul", "x w", "y")]
    model = models.make(made, [("x", ["batch", 3])], [("y", ["batch", 4])], {"w": models.weights(3, 4)})
    graph = read(models.save(tmp_path / "m.onnx", model))
    assert model_macs(graph, {}) is None
    assert model_macs(graph, default_sizes(graph, {"x": (6, 3)})) == 6 * 3 * 4
