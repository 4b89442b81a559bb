"""The picture of a terminal in the documentation: what it shows is typed there, and the terminal ends up clean."""

from __future__ import annotations

import importlib.util
import os
import re
from html import unescape
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def record() -> ModuleType:
    spec = importlib.util.spec_from_file_location("record", ROOT / "docs" / "record.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_shows_the_commands(record: ModuleType) -> None:
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", record.PICTURE.read_text(encoding="utf-8"))
    shown = " ".join(unescape(text).replace("\xa0", " ").strip() for text in texts)
    squeezed = re.sub(r"\s+", " ", shown)
    places = [squeezed.find(f"$ {command}") for command in record.COMMANDS]
    assert -1 not in places
    assert places == sorted(places)
    assert re.sub(r"\s+", " ", record.WRONG).strip() in squeezed
    assert not re.search(r"/(tmp|home|root|work)/", squeezed)


@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals")
def test_a_line_of_progress_is_gone_before_a_fault_is_printed(record: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "wrong.egg").write_text(record.WRONG, encoding="utf-8")
    lines = record.shown(record.printed("eqsat rules check wrong.egg", tmp_path)).splitlines()
    plain = [re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", line) for line in lines]
    assert next(line[:27] for line in plain if "relu-of-sum" in line) == "wrong.egg:4:1: relu-of-sum:"
    assert not any("judg" in line for line in plain)
