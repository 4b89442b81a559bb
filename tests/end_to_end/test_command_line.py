"""``python -m eqsat.run`` on a transformer block, for real: shipped rules, real times, its own process."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import eqsat
from eqsat.pipeline.provenance import content_sha256, read_provenance
from eqsat.pipeline.reasons import Why, told
from eqsat.pipeline.report import SCHEMA, Report
from eqsat.runtime import SessionSettings
from tests.end_to_end import blocks
from tests.pipeline import models
from tests.pipeline.fake_runtime import FakeRuntime

TIMEOUT_S = 600.0


def command_line(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    root = Path(eqsat.__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-m", "eqsat.run", *map(str, arguments), "--threads", "1", "-v"],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(root), "TMPDIR": str(folder), "XDG_CACHE_HOME": str(folder / "cache")},
        timeout=TIMEOUT_S,
        check=False,
    )


def report_of(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def rows(database: Path) -> list[Any]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT * FROM prices ORDER BY signature").fetchall()


def test_a_transformer_block(tmp_path: Path) -> None:
    model = models.save(tmp_path / "block.onnx", blocks.transformer_block("batch"))
    before = model.read_bytes()
    database, first, second = tmp_path / "prices.sqlite", tmp_path / "1.json", tmp_path / "2.json"
    options = ("--cost-db", database, "--input-shape", "x:2,16,32")
    done = command_line(tmp_path, model, tmp_path / "out.onnx", *options, "--time-budget", "40", "--json", first)
    assert done.returncode == 0, done.stderr
    assert model.read_bytes() == before
    report = Report.from_record(report_of(first))
    assert report_of(first)["schema"] == SCHEMA
    assert report.output == str(tmp_path / "out.onnx")
    assert report.egraph is not None
    assert report.original_us is not None
    assert report.inputs is not None
    assert not report.inputs.assumed_sizes
    assert None not in (report.parameters.before, report.parameters.after, report.macs.before, report.macs.after)
    assert report.extraction is not None
    assert report.peak_rss_bytes > 0
    assert {"load", "search", "price", "extract", "build", "measure", "total"} <= report.seconds.keys()
    if report.status == "unchanged":
        assert (tmp_path / "out.onnx").read_bytes() == before
    else:
        assert report.verified
        found = read_provenance(tmp_path / "out.onnx")
        assert found is not None
        assert (found.input, found.input_sha256) == ("block.onnx", content_sha256(model))
        options_said = {"threads": 1, "input_shapes": {"x": [2, 16, 32]}, "budget": {"time_s": 40.0}}
        assert json.loads(found.options) == options_said
        assert report.size_bytes.after == (tmp_path / "out.onnx").stat().st_size
        assert report.latency is not None
        assert report.latency.speedup_low > 1.0
        assert report.rules
    onnx.checker.check_model(str(tmp_path / "out.onnx"))
    runtime = FakeRuntime()
    for batch in (1, 3):
        feeds = {"x": models.weights(batch, 16, 32, seed=batch)}
        one, two = (runtime.outputs(path, feeds, SessionSettings()) for path in (model, tmp_path / "out.onnx"))
        np.testing.assert_allclose(one["y"], two["y"], rtol=1e-4, atol=1e-5)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("eqsat-")]

    prices = rows(database)
    assert prices
    done = command_line(tmp_path, model, "--dry-run", *options, "--time-budget", "20", "--json", second)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "block.opt.onnx").exists()
    assert report_of(second)["output"] == ""
    assert set(prices) <= set(rows(database)), "what is known is not measured again"


def test_where_no_rule_applies_the_file_is_copied(tmp_path: Path) -> None:
    model = models.save(tmp_path / "plain.onnx", models.chain(1, "Tanh"))
    done = command_line(tmp_path, model, "--json", tmp_path / "report.json")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "plain.opt.onnx").read_bytes() == model.read_bytes()
    report = report_of(tmp_path / "report.json")
    assert (report["status"], report["reason"]) == ("unchanged", told(Why.NO_RULE))
    assert report["original_us"] > 0.0
    assert report["verified"] is False


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        pytest.param("(rewrite (Relu x) (Relu x)", "broken.egg:1:1", id="cut off"),
        pytest.param(models.rewrite("(Relu x)", "(Abs x)", "relu-abs"), "has no `; SOURCE` comment", id="no source"),
    ],
)
def test_broken_rules_are_one_line(tmp_path: Path, rules: str, message: str) -> None:
    model = models.save(tmp_path / "plain.onnx", models.chain(1, "Tanh"))
    (tmp_path / "broken.egg").write_text(rules)
    done = command_line(tmp_path, model, "--rules", tmp_path / "broken.egg")
    assert done.returncode == 4
    last = done.stderr.splitlines()[-1]
    assert message in last
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "plain.opt.onnx").exists()


@pytest.mark.slow
def test_the_agent_leaves_nothing_where_temporary_files_go(tmp_path: Path) -> None:
    model = models.save(tmp_path / "block.onnx", blocks.transformer_block("batch"))
    folder = tmp_path / "temporary"
    folder.mkdir()
    options = ("--search", "ppo", "--time-budget", "30", "--cost-db", tmp_path / "prices.sqlite")
    done = command_line(folder, model, tmp_path / "out.onnx", *options)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.iterdir()} <= {"cache"}, "the cache of the user is there too"
