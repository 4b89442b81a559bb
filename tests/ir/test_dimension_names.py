"""Names that stand for any unknown size are no equalities; what is written keeps the model's own names."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from ir.assembly import assemble
from ir.dimension_names import is_filler
from ir.onnx_file import write_model
from ir.reader import read
from tests.verify.models import FLOAT, Value, node, save


@pytest.mark.parametrize(
    "name", ["?", "??", "unk", "unk__77", "None", "NONE_3", "dynamic", "dim", "-1", "", "?+2", "3*unk__1"]
)
def test_fillers(name: str) -> None:
    assert is_filler(name)


@pytest.mark.parametrize(
    "name", ["batch", "n", "seq", "s0", "dim_0", "batch-1", "past + seq", "unknown_words", "annual"]
)
def test_names(name: str) -> None:
    assert not is_filler(name)


def two_inputs(folder: Path, name: str) -> Path:
    inputs: list[Value] = [("x", FLOAT, (name, 3, name)), ("z", FLOAT, ("rows", 3, name))]
    nodes = [node("Relu", "x", "y"), node("Relu", "z", "w")]
    return save(folder / "m.onnx", nodes, inputs, [("y", FLOAT, (name, 3, name)), ("w", FLOAT, ("rows", 3, name))])


@pytest.mark.parametrize(("name", "is_equal"), [("?", False), ("unk__5", False), ("columns", True)])
def test_only_names_that_mean_something_are_equalities(tmp_path: Path, name: str, is_equal: bool) -> None:
    graph = read(two_inputs(tmp_path, name))
    first, _, last = graph.types["x"].shape
    rows, _, other = graph.types["z"].shape
    assert len({first, last, other}) == (1 if is_equal else 3)
    assert graph.types["y"].shape[2] not in {rows, first} or is_equal
    assert graph.symbols.name(rows) == "rows"


def test_a_name_can_be_said_to_be_no_equality(tmp_path: Path) -> None:
    graph = read(two_inputs(tmp_path, "columns"), {"columns"})
    assert len(set(graph.types["x"].shape) | set(graph.types["z"].shape)) == 5


def test_the_written_model_has_its_own_names(tmp_path: Path) -> None:
    graph = read(two_inputs(tmp_path, "?"))
    write_model(assemble(graph, graph.nodes, graph.constants, graph.types), tmp_path / "again.onnx")
    for before, after in zip(
        *(onnx.load(tmp_path / name).graph.input for name in ("m.onnx", "again.onnx")), strict=True
    ):
        assert before == after
    dims = onnx.load(tmp_path / "again.onnx").graph.output[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["?", 3, "?"]
