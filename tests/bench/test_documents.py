"""The files of results say what they were made with, and nothing of this machine's folders."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from bench.documents import ROOT, write_document, write_results


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (f"{ROOT}/.cache/wild/a.onnx: it does not run", ".cache/wild/a.onnx: it does not run"),
        (str(Path(tempfile.gettempdir()) / "tmpx" / "eqsat.onnx"), ".../tmpx/eqsat.onnx"),
        (str(Path.home() / "models" / "a.onnx"), ".../models/a.onnx"),
        ("a/b.onnx", "a/b.onnx"),
    ],
)
def test_folders_of_this_machine_are_not_written(tmp_path: Path, text: str, written: str) -> None:
    path = tmp_path / "new" / "found.json"
    write_document(path, {"rows": [{"said": text}]})
    assert json.loads(path.read_text()) == {"rows": [{"said": written}]}


def test_results_stand_beside_what_they_were_made_with(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    write_results(path, {"ratio": 1.5}, "onnx", "no-such-library")
    found = json.loads(path.read_text())
    assert found["ratio"] == 1.5
    assert set(found["machine"]) == {"processor", "instruction_set", "num_cores"}
    assert set(found["versions"]) == {"python", "onnx"}


def test_nothing_is_written_without_a_name(tmp_path: Path) -> None:
    write_results(None, {})
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_number_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_document(tmp_path / "found.json", {"ratio": float("nan")})
