"""The documentation says what is so."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import onnx
import pytest

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
