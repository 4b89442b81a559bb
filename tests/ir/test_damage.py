"""Damaged files: refused in one line, or kept, or read and written back as what they are; nothing else ever happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from eqsat.runtime import BrokenModelError, MeasurementError, Runtime, SessionSettings
from eqsat.runtime.settings import OptimizationLevel
from ir.errors import InvalidModelError, UnsupportedModelError
from ir.onnx_file import open_model
from ir.reader import read
from tests.ir.damage import MODELS, damaged
from tests.ir.graphs import write_back

PLAIN = SessionSettings(level=OptimizationLevel.DISABLED)
NUM_FILES = 300


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    with Runtime() as made:
        yield made


def test_every_model_runs_before_it_is_damaged(runtime: Runtime, tmp_path: Path) -> None:
    for model in MODELS:
        path = tmp_path / "m.onnx"
        path.write_bytes(model.SerializeToString())
        assert runtime.optimized_fingerprint(path, PLAIN)
        write_back(read(path), tmp_path / "n.onnx")
        assert runtime.optimized_fingerprint(tmp_path / "n.onnx", PLAIN)


def test_damaged_files_are_refused_kept_or_written_back(runtime: Runtime, tmp_path: Path) -> None:
    rng = np.random.default_rng(14)
    path = tmp_path / "m.onnx"
    said: dict[str, list[str]] = {"unsafe": [], "broken": [], "kept": [], "read": []}
    for place in range(NUM_FILES):
        path.write_bytes(damaged(MODELS[place % len(MODELS)], rng))
        kind, message = _end(path, runtime)
        said[kind].append(message)
    assert {kind: len(messages) > NUM_FILES // 10 for kind, messages in said.items()} == {
        **dict.fromkeys(("unsafe", "broken", "read"), True),
        "kept": False,
    }
    for message in (each for messages in said.values() for each in messages):
        assert "\n" not in message
        assert "please" not in message.lower()
    assert all(message.startswith("not a valid ONNX model (") for message in said["broken"])


def _end(path: Path, runtime: Runtime) -> tuple[str, str]:
    """What becomes of a file on the way that a run takes, and what is said about it."""
    try:
        file = open_model(path)
    except InvalidModelError as error:
        return "unsafe", str(error)
    try:
        runtime.optimized_fingerprint(path, PLAIN)
        graph = read(file)
    except BrokenModelError as error:
        return "broken", str(error)
    except (MeasurementError, UnsupportedModelError) as error:
        return "kept", str(error)
    written = path.with_name("written.onnx")
    after, before = write_back(graph, written), onnx.load(path)
    assert [each.name for each in after.graph.output] == [each.name for each in before.graph.output]
    runtime.optimized_fingerprint(written, PLAIN)
    return "read", ""
