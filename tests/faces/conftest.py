"""A small model, and a supervisor that starts the fake worker."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnx
import onnx.helper
import pytest

from eqsat.report import Report
from eqsat.supervisor import supervise
from tests.faces import fake_worker

FakeSupervise = Callable[..., Report]


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


@pytest.fixture
def supervise_fake() -> Callable[[str], FakeSupervise]:
    """A supervisor, by what its worker does."""

    def make(mode: str) -> FakeSupervise:
        return partial(supervise, worker_command=(sys.executable, fake_worker.__file__, mode))

    return make


@pytest.fixture
def install_fake(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts the stand-in for the optimiser into this process, by what it does."""

    def install(mode: str) -> None:
        monkeypatch.setitem(sys.modules, "eqsat.optimizer", fake_worker.install(mode))

    return install
