"""What runs without the packages that only learning needs, and what says that they are missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from eqsat.errors import UsageError
from eqsat.search.registry import make_search
from eqsat.text.extras import MissingExtraError, learning
from rl.searches import SEARCHES, check_installed

ROOT = Path(__file__).parents[2]
LEARNING = ("torch", "torch_geometric", "gymnasium", "safetensors", "plotly")


@pytest.mark.parametrize("search", ["ppo", "world-model"])
def test_a_search_that_learns_says_what_it_needs(search: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("rl.search.options", "rl.world.planning"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(MissingExtraError, match=rf'--search {search} needs torch: pip install "eqsat\[learn\]"'):
        make_search(search, {}, SEARCHES)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--search", "ppo"), "--search ppo"),
        (("--search", "world-model"), "--search world-model"),
        (("--train-budget", "5s"), "--search auto with --train-budget"),
    ],
)
def test_a_run_that_must_learn_ends_before_any_work(model_path: Path, options: tuple[str, ...], what: str) -> None:
    blocker = model_path.with_name("sitecustomize.py")
    blocker.write_text("import sys\nsys.modules['gymnasium'] = None\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(blocker.parent), str(ROOT)))}
    command = [sys.executable, "-m", "eqsat.run", str(model_path), *options]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert done.stderr == f'eqsat: error: {what} needs gymnasium: pip install "eqsat[learn]"\n', "no stage had begun"
    assert not model_path.with_name("model.opt.onnx").exists()


def test_the_other_searches_need_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for search in ("auto", "saturate", "one-of-a-package"):
        check_installed(search, is_trained=False)
    check_installed("saturate", is_trained=True)
    with pytest.raises(UsageError, match="not for 'world-model'"):
        check_installed("world-model", is_trained=True)
    with pytest.raises(MissingExtraError):
        check_installed("auto", is_trained=True)


def test_a_package_that_is_broken_is_told_as_it_is() -> None:
    with pytest.raises(MissingExtraError, match=r"it needs what is broken here \(libx\.so: none\)"), learning("it"):
        raise ImportError("libx.so: none")
    with pytest.raises(ImportError, match="ours"), learning("it"):
        raise ImportError("ours", name="rl.agent.network")


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("Linux", "x86_64", "onnxruntime-gpu"),
        ("Linux", "aarch64", "onnxruntime"),
        ("Darwin", "arm64", "onnxruntime"),
        ("Darwin", "x86_64", "onnxruntime"),
    ],
)
def test_every_machine_has_one_onnxruntime(system: str, machine: str, name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    here = {"platform_system": system, "platform_machine": machine}
    found = [Requirement(text) for text in project["dependencies"] if text.startswith("onnxruntime")]
    assert [each.name for each in found if each.marker is None or each.marker.evaluate(here)] == [name]


def test_another_package_is_a_fault_of_ours() -> None:
    with pytest.raises(ModuleNotFoundError), learning("this test"):
        import no_such_package  # type: ignore[import-not-found]  # noqa: F401


def test_all_but_learning_runs_without_them(model_path: Path, tmp_path: Path) -> None:
    script = f"""
import sys
sys.modules.update(dict.fromkeys({LEARNING!r}))
import eqsat.cli.console, eqsat.cli.rules, eqsat.cli.train, eqsat.pipeline.optimizer
from eqsat.cli.run import app
from eqsat.cli.face import call
from eqsat.api.supervisor import Isolation, supervise
from eqsat.pipeline.job import Budget, Job
report = supervise(
    Job(input_path={str(model_path)!r}, budget=Budget(time_s=60.0), cost_db={str(tmp_path / "db.sqlite")!r}, threads=1),
    isolation=Isolation.NONE,
)
print(report.egraph.plan)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "saturation: the e-graph is complete" in done.stdout


def test_the_page_names_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[<>=;\[ ]", each)[0] for each in project["dependencies"]} - {"onnxruntime", "onnxruntime-gpu"}
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    (line,) = [line for line in page.splitlines() if line.startswith('pip install "egglog')]
    assert {re.split(r"[<>=;\[ ]", each.strip('"'))[0] for each in line.split()[2:]} == needed
    for extra in project["optional-dependencies"]:
        assert f"| `{extra}` |" in page
    learn = {re.split(r"[<>=;]", each)[0].replace("-", "_") for each in project["optional-dependencies"]["learn"]}
    assert learn == set(LEARNING)
