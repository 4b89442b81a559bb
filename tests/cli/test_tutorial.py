"""The tutorial is run from top to bottom: its files are written, its commands started, its outputs compared."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

import eqsat.cli.console
from eqsat.cli.face import call

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "tutorial-rules.md"

_FENCE: Final = re.compile(r"^```(?P<language>\w+)(?: (?P<file>\S+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_EXIT_CODE: Final = "# exit code "


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of the page."""

    language: str
    file: str
    text: str


def blocks() -> Iterator[Block]:
    for match in _FENCE.finditer(PAGE.read_text(encoding="utf-8")):
        yield Block(match["language"], match["file"] or "", match["text"])


def start(line: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run a command; return its exit code and what it printed on stdout and on stderr."""
    program, *arguments = shlex.split(line)
    capfd.readouterr()
    if program == "eqsat":
        code = call(eqsat.cli.console.app, arguments)
        found = capfd.readouterr()
        return code, found.out, found.err
    assert program == "python"
    finished = subprocess.run([sys.executable, *arguments], capture_output=True, check=False, text=True)
    return finished.returncode, finished.stdout, finished.stderr


def fits(expected: str, printed: str) -> bool:
    """Tell whether an output is as the page says: ``...`` stands for anything, also for any number of lines."""
    squeezed = [" ".join(text.split()) for text in (expected, printed)]
    pattern = ".*".join(re.escape(part) for part in squeezed[0].split("..."))
    return re.fullmatch(pattern, squeezed[1], re.DOTALL) is not None


def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    printed = ""
    for block in blocks():
        if block.language == "python":
            exec(compile(block.text, str(PAGE), "exec"), {})  # noqa: S102 -- the example of the documentation
        elif block.file:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "sh":
            commands = block.text.splitlines()
            wanted = [int(line.removeprefix(_EXIT_CODE)) for line in commands if line.startswith(_EXIT_CODE)]
            for line in commands:
                if not line.startswith("#"):
                    code, printed, errors = start(line, capfd)
                    assert code == (wanted or [0])[0], f"{line}\n{printed}{errors}"
        else:
            assert block.language == "text"
            assert fits(block.text, printed), f"the page says\n{block.text}\nand this is printed\n{printed}"


def test_the_output_of_a_command_is_compared() -> None:
    assert fits("a ... c\n", "a b b c\n")
    assert fits("...\nc\n", "a\nb\nc\n")
    assert not fits("a ... c\n", "a b\n")
    assert not fits("a\n", "a b\n")
