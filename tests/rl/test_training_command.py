"""The command lines of a training: the same settings, the same results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eqsat.cli.console import app
from eqsat.errors import UsageError
from rl.agent.checkpoint import load
from rl.env.device import Device
from rl.env.prices import MeasuredPrices, TablePrices
from rl.train import main
from rl.training.config import TaskConfig
from rl.training.curves import read_curves
from rl.training.tasks import source_of
from tests.pipeline import models

SETTINGS = """
num_updates = 1
num_workers = 0
episodes_per_task = 2
device = "cpu"
[network]
hidden = 16
embedding = 8
num_rounds = 1
[episodes]
max_steps = 2
[tasks]
is_tabulated = true
"""


@pytest.fixture
def given(tmp_path: Path) -> list[str]:
    (tmp_path / "config.toml").write_text(SETTINGS)
    model = models.save(tmp_path / "chain.onnx", models.chain(3))
    return ["--config", str(tmp_path / "config.toml"), "--model", str(model)]


def test_both_train_the_same(tmp_path: Path, given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*given, "--output", str(tmp_path / "one")]) == 0
    assert "chain" in capsys.readouterr().out.splitlines()[-2]
    result = CliRunner().invoke(app, ["train", *given, "--output", str(tmp_path / "two")])
    assert result.exit_code == 0
    assert "chain" in result.output.splitlines()[-2]
    one, two = (load(tmp_path / name / "best") for name in ("one", "two"))
    assert all(each.equal(two.weights[name]) for name, each in one.weights.items())


def test_models_have_prices_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = str(models.save(tmp_path / "chain.onnx", models.chain(3)))
    for is_tabulated, kind in ((False, MeasuredPrices), (True, TablePrices)):
        split = source_of(TaskConfig(models=(path,), is_tabulated=is_tabulated))()
        assert [type(task.prices) for task in split.training] == [kind]
    assert (tmp_path / "eqsat" / "prices.sqlite").exists()


def test_models_are_read_as_a_run_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = models.make([models.node("Neg", "x", "y")], [("x", ["batch", 3])], [("y", ["batch", 3])])
    path = str(models.save(tmp_path / "m.onnx", model))
    rules = tmp_path / "own.egg"
    rules.write_text(
        "; SOURCE x\n; FLOATS exact\n" + models.rewrite("(Neg (Abs x))", "(Abs (Neg (Abs x)))", "own-rule")
    )
    config = TaskConfig(models=(path,), rules=(str(rules),), threads=3, input_shapes=("batch=5",), is_tabulated=True)
    (task,) = source_of(config)().training
    assert list(task.sizes.values()) == [5]
    assert any(rule.name == "own-rule" for rule in task.rules.rules)
    seen: list[tuple[str, int]] = []

    def device(provider: str, threads: int) -> Device:
        seen.append((provider, threads))
        return Device(None, provider=provider, threads=threads)

    monkeypatch.setattr("rl.training.tasks._device", device)
    source_of(replace(config, is_tabulated=False))()
    assert seen == [("CPUExecutionProvider", 3)]


@pytest.mark.parametrize("flags", [["--threads", "2"], ["--input-shape", "batch=4"], ["--provider", "cuda"]])
def test_flags_of_models_need_one(tmp_path: Path, flags: list[str]) -> None:
    result = CliRunner().invoke(app, ["train", "--output", str(tmp_path / "out"), *flags])
    assert isinstance(result.exception, UsageError)
    assert "are for --model" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_it_goes_on(tmp_path: Path, given: list[str]) -> None:
    assert main([*given, "--output", str(tmp_path / "out"), "--time-limit", "0"]) == 0
    assert read_curves(tmp_path / "out") == []
    assert main([*given, "--output", str(tmp_path / "out"), "--resume"]) == 0
    assert len(read_curves(tmp_path / "out")) == 1
    start = ["--start", str(tmp_path / "out" / "best")]
    assert main([*given, *start, "--output", str(tmp_path / "more"), "--time-limit", "0"]) == 0
    assert load(tmp_path / "more" / "best").statistics == load(tmp_path / "out" / "best").statistics


def test_a_mistake_is_one_line(tmp_path: Path, given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*given, "--output", str(tmp_path / "out"), "--resume"]) == UsageError.exit_code
    assert capsys.readouterr().err.count("\n") == 1
