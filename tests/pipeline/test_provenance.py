"""What an output says of where it comes from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import pytest

from eqsat.pipeline.job import Budget, Job
from eqsat.pipeline.provenance import content_sha256, provenance, read_provenance
from ir.metadata import add_metadata, metadata_bytes
from tests.cli.fake_worker import OPTIMIZED
from tests.conftest import make_model

JOB = Job(input_path="folder/net.onnx", output_path="folder/out.onnx", scratch_dir="scratch", cost_db="prices.sqlite")


def test_what_is_written_is_read(model_path: Path) -> None:
    found = provenance(JOB, OPTIMIZED.latency, {"x": (2, 3)}, content_sha256(model_path))
    size = model_path.stat().st_size
    add_metadata(model_path, found.entries())
    assert read_provenance(model_path) == found
    assert model_path.stat().st_size == size + metadata_bytes(found.entries())
    assert (found.input, found.shapes, found.speedup) == ("net.onnx", '{"x": [2, 3]}', 1.2)


def test_a_file_without_any_is_somebody_elses(model_path: Path) -> None:
    assert read_provenance(model_path) is None
    add_metadata(model_path, {"eqsat.version": "0.1.0", "eqsat.speedup": "fast"})
    assert read_provenance(model_path) is None


def test_settings_are_said_without_the_places_of_this_machine() -> None:
    job = replace(
        JOB,
        threads=4,
        rule_files=("home/me/own.egg",),
        inputs="home/me/feeds.npz",
        budget=Budget(memory_bytes=2**30),
        skip_rules=("relu-relu",),
    )
    options = json.loads(provenance(job, None, {}).options)
    assert options == {
        "threads": 4,
        "rule_files": ["own.egg"],
        "inputs": "feeds.npz",
        "budget": {"memory_bytes": 2**30},
        "skip_rules": ["relu-relu"],
    }
    assert json.loads(provenance(JOB, None, {}).options) == {}


@pytest.mark.parametrize("speedup", [1.0, 9.87654321, 123.4])
def test_what_is_not_measured_yet_takes_no_less_room(speedup: float) -> None:
    assert OPTIMIZED.latency is not None
    known = replace(OPTIMIZED.latency, speedup=speedup)
    before, after = (provenance(JOB, latency, {"x": (1,)}).entries() for latency in (None, known))
    assert metadata_bytes(before) >= metadata_bytes(after)


def test_the_hash_is_of_the_external_data_too(tmp_path: Path) -> None:
    model = make_model()
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.arange(64, dtype=np.float32), "w"))
    path = tmp_path / "m.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="m.data", size_threshold=0)
    before = content_sha256(path)
    assert content_sha256(path) == before
    data = bytearray((tmp_path / "m.data").read_bytes())
    data[8] ^= 1
    (tmp_path / "m.data").write_bytes(data)
    assert content_sha256(path) != before
