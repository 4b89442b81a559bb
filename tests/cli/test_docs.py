"""The documentation says what is so."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import onnx
import pytest

from tests.conftest import make_model

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_check", ROOT / "docs" / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_have_no_faults(checker: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert checker.main() == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a](nowhere.md)", "nowhere.md leads nowhere"),
        ("```python\nx = = 1\n```\n", "does not compile"),
        ("```sh\nmake coffee\n```\n", "no target coffee"),
    ],
)
def test_a_fault_on_a_page_is_found(checker: ModuleType, text: str, said: str) -> None:
    (fault,) = checker.check_page(ROOT / "docs" / "page.md", text)
    assert said in fault


def test_a_flag_too_many_or_too_few_is_found(checker: ModuleType) -> None:
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert list(checker.check_flags(page + " `--nonsense`")) == ["there is no flag --nonsense"]
    assert list(checker.check_flags(page.replace("--strict", ""))) == ["the flag --strict is not described"]


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert example is not None
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    exec(compile(example[1], "docs/api.md", "exec"), {})  # noqa: S102 -- the example of the documentation
    assert capsys.readouterr().out
    onnx.checker.check_model(onnx.load_model(tmp_path / "model.opt.onnx"))


def test_the_running_example_gives_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,), (shown,) = _fences("docs/how-it-works.md", "python"), _fences("docs/how-it-works.md", "text")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/how-it-works.md", "exec"), {})  # noqa: S102 -- the example of the documentation
    assert capsys.readouterr().out == shown


def _fences(page: str, *languages: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [code for language, code in found if language in languages]


def _commands(page: str) -> list[list[str]]:
    lines = [line for code in _fences(page, "sh") for line in code.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.fixture
def newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model where the pages say that there is one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "path" / "to").mkdir(parents=True)
    for path in (tmp_path / "model.onnx", tmp_path / "path" / "to" / "model.onnx"):
        onnx.save_model(make_model(), path)
    return tmp_path


@pytest.mark.parametrize("page", ["README.md", "docs/install.md"])
def test_every_command_runs_as_it_is_written(page: str, newcomer: Path) -> None:
    """What installs something is looked at by make and by pip itself, which change nothing then."""
    assert _commands(page)
    for words in _commands(page):
        match words:
            case ["make", *rest]:
                command = ["make", "--dry-run", "--directory", str(ROOT), *rest]
            case ["pip", "install", *_]:
                continue  # tests/text/test_extras.py compares these lines with the project's own
            case ["eqsat", *rest]:
                command = [sys.executable, "-m", "eqsat", *rest]
            case ["python", *rest]:
                command = [sys.executable, *rest]
            case _:
                pytest.fail(f"nobody knows how to run {words}")
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"
    if page == "README.md":
        onnx.checker.check_model(str(newcomer / "model.opt.onnx"))
        onnx.checker.check_model(str(newcomer / "path" / "to" / "model.opt.onnx"))


def test_the_python_of_the_readme_runs(newcomer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = _fences("README.md", "python")
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102 -- the example of the page
    assert capsys.readouterr().out
    onnx.checker.check_model(str(newcomer / "model.opt.onnx"))
