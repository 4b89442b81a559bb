"""The scripts in ``examples`` run as they stand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def run(tmp_path: Path, script: str, *arguments: object) -> str:
    """Run an example and return what it printed."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script), *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_is_a_test_for_each() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{script.name}"' in tested for script in EXAMPLES.glob("*.py"))


def test_a_torch_export(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    said = run(tmp_path, "optimise_torch_export.py", "--seconds", 5)
    assert "largest difference: " in said


def test_a_rule(tmp_path: Path) -> None:
    said = run(tmp_path, "own_rule.py", "--seconds", 5)
    assert said.startswith("1 rule: 1 ")
    assert "operators" in said


def test_training_on_a_model(tmp_path: Path, model_path: Path) -> None:
    said = run(tmp_path, "train_on_your_model.py", model_path, "--train", 1, "--seconds", 3)
    assert "unchanged: " in said or "faster: " in said
