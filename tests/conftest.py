"""What tests of every part use: a small model, a folder for temporary files.

Tests run beside each other: a network of a test gets one thread, so that workers do not wait for each other.
"""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import onnx.helper
import pytest

from eqsat.runtime.telemetry import switch_off

os.environ.setdefault("OMP_NUM_THREADS", "1")
switch_off()


def make_model() -> onnx.ModelProto:
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"]), onnx.helper.make_node("Relu", ["y"], ["z"])],
        "two-relus",
        [value("x", onnx.TensorProto.FLOAT, [2, 3])],
        [value("z", onnx.TensorProto.FLOAT, [2, 3])],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save_model(make_model(), path)
    return path


@pytest.fixture
def temp_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary files go to: what is in it at the end was left behind."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder
