"""The metadata of a model file, without the model."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from ir.errors import InvalidModelError
from ir.metadata import add_metadata, read_metadata


def _saved(path: Path, **metadata: str) -> Path:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    model = helper.make_model(helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "g", [value], [result]))
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


def test_what_was_there_and_what_was_added(tmp_path: Path) -> None:
    path = _saved(tmp_path / "m.onnx", author="me")
    graph = onnx.load(path).graph
    add_metadata(path, {"eqsat.speedup": "1.31", "grüße": "日本"})
    assert read_metadata(path) == {"author": "me", "eqsat.speedup": "1.31", "grüße": "日本"}
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert model.graph == graph
    assert {entry.key: entry.value for entry in model.metadata_props} == read_metadata(path)


def test_a_model_without_metadata(tmp_path: Path) -> None:
    assert read_metadata(_saved(tmp_path / "m.onnx")) == {}


@pytest.mark.parametrize("data", [b"", b"\xff" * 40, b"\x72\x7fabc"])
def test_what_is_no_model(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(InvalidModelError, match=r"m\.onnx"):
        read_metadata(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="No such file"):
        read_metadata(tmp_path / "m.onnx")
