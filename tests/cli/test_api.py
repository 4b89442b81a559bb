"""The Python interface."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import eqsat
import eqsat.api.supervisor
from eqsat.pipeline.job import Job
from eqsat.pipeline.report import Report
from eqsat.pipeline.report_parts import Ending, Status
from tests.conftest import make_model

InstallFake = Callable[[str], None]


def test_a_path_goes_in_and_a_model_comes_out(install_fake: InstallFake, model_path: Path, temp_folder: Path) -> None:
    install_fake("best")
    events: list[eqsat.Event] = []
    result = eqsat.optimize(model_path, isolation="none", progress=events.append)
    assert result.report.status is Status.OPTIMIZED
    assert result.report.output == ""
    assert result.model.producer_name == "fake"
    assert events
    saved = result.save(model_path.with_name("saved.onnx"))
    assert onnx.load_model(saved).producer_name == "fake"
    del result
    gc.collect()
    assert not list(temp_folder.iterdir())


def test_a_model_in_memory_goes_in_and_is_not_changed(install_fake: InstallFake, tmp_path: Path) -> None:
    install_fake("unchanged")
    model = make_model()
    before = model.SerializeToString()
    result = eqsat.optimize(model, isolation="none")
    assert model.SerializeToString() == before
    assert result.report.status is Status.UNCHANGED
    assert [node.op_type for node in result.model.graph.node] == ["Relu", "Relu"]
    assert onnx.load_model(result.save(tmp_path / "saved.onnx")) == result.model


@pytest.mark.parametrize("is_function", [False, True])
def test_arrays_are_written_for_the_worker(
    install_fake: InstallFake, model_path: Path, temp_folder: Path, monkeypatch: pytest.MonkeyPatch, is_function: bool
) -> None:
    install_fake("unchanged")
    seen: list[list[str]] = []
    real = eqsat.api.supervisor.supervise

    def watched(job: Job, **options: Any) -> Report:
        seen.append(sorted(path.name for path in Path(job.inputs).iterdir()))
        return real(job, **options)

    monkeypatch.setattr("eqsat.api.interface.supervise", watched)
    feeds = {"x": np.ones((2, 3), np.float32)}
    result = eqsat.optimize(model_path, inputs=(lambda: [feeds, feeds]) if is_function else feeds, isolation="none")
    assert seen == [["0000.npz", "0001.npz"] if is_function else ["0000.npz"]]
    del result
    gc.collect()
    assert not list(temp_folder.iterdir())


def test_wrong_inputs_and_libraries_are_refused(model_path: Path, temp_folder: Path) -> None:
    with pytest.raises(eqsat.UsageError, match="set 1 is a int"):
        eqsat.optimize(model_path, inputs=[3])  # type: ignore[list-item]
    with pytest.raises(eqsat.UsageError, match=r"nowhere\.so is no file"):
        eqsat.optimize(model_path, custom_ops=["nowhere.so"])
    assert not list(temp_folder.iterdir())


def test_saving_over_the_result_itself_is_refused(install_fake: InstallFake, model_path: Path) -> None:
    install_fake("unchanged")
    result = eqsat.optimize(model_path, isolation="none")
    with pytest.raises(eqsat.UsageError):
        result.save(result.path)


def test_saving_over_the_input_is_refused(install_fake: InstallFake, model_path: Path) -> None:
    before = model_path.read_bytes()
    install_fake("best")
    result = eqsat.optimize(model_path, isolation="none")
    with pytest.raises(eqsat.UsageError, match="is the input, which is never overwritten"):
        result.save(model_path)
    assert model_path.read_bytes() == before


def test_an_interrupt_is_raised_with_the_best_until_then(install_fake: InstallFake, model_path: Path) -> None:
    install_fake("best+interrupt")
    with pytest.raises(KeyboardInterrupt) as caught:
        eqsat.optimize(model_path, isolation="none")
    assert isinstance(caught.value, eqsat.InterruptedRun)
    result = caught.value.result
    assert result is not None
    assert (result.report.status, result.report.ending) == (Status.OPTIMIZED, Ending.INTERRUPTED)
    assert result.model.producer_name == "fake"


def test_an_interrupt_without_a_result_has_none(install_fake: InstallFake, model_path: Path, temp_folder: Path) -> None:
    install_fake("kept-input+interrupt")
    with pytest.raises(eqsat.InterruptedRun) as caught:
        eqsat.optimize(model_path, isolation="none")
    assert caught.value.result is None
    assert not list(temp_folder.iterdir())


def test_errors_are_exceptions(install_fake: InstallFake, model_path: Path, temp_folder: Path) -> None:
    install_fake("model-error")
    with pytest.raises(eqsat.ModelError, match=r"not an ONNX model"):
        eqsat.optimize(model_path, isolation="none")
    with pytest.raises(eqsat.ModelError, match="does not exist"):
        eqsat.optimize("nowhere.onnx")
    assert not list(temp_folder.iterdir())


def test_unknown_words_are_refused(model_path: Path) -> None:
    with pytest.raises(eqsat.UsageError, match="'moon'; it can be provider, portable"):
        eqsat.optimize(model_path, target="moon")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threads": -1}, "threads is -1; it can be a whole number from 0 on"),
        ({"threads": True}, "threads is True"),
        ({"checks": 0}, "checks is 0; it can be a whole number from 1 on"),
        ({"seed": 2.5}, "seed is 2.5; it can be a whole number"),
        ({"provider": ()}, "provider is \\(\\); it can be 'cpu'"),
        ({"provider": " ,"}, "provider is ' ,'; it can be 'cpu'"),
        ({"input_shapes": (4, 5)}, "input_shapes is \\(4, 5\\); it can be a mapping"),
        ({"search": None}, "search is None; it can be a text"),
        ({"strict": "no"}, "strict is 'no'; it can be True or False"),
        ({"cost_db": 7}, "cost_db is 7; it can be a text or path"),
        ({"progress": "bar"}, "progress is 'bar'; it can be a function"),
        ({"seed": "one"}, "seed is 'one'"),
        ({"skip_rules": 3}, "skip_rules is 3; it can be a text or path, or several of them"),
        ({"rules": {"a": 1}}, "rules is"),
        ({"custom_ops": b"x"}, "custom_ops is"),
        ({"provider": [1]}, r"provider is \[1\]"),
        ({"search_options": "width=3"}, "search_options is"),
        ({"budget": 60}, "it can be an eqsat.Budget"),
        ({"target": "protable"}, "did you mean 'portable'"),
        ({"input_shapes": {"x": "1,2"}}, r"input_shapes\['x'\]"),
    ],
)
def test_arguments_are_checked_as_the_commands_are(model_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(eqsat.UsageError, match=said):
        eqsat.optimize(model_path, **options)


def test_a_model_is_a_path_or_a_model() -> None:
    with pytest.raises(eqsat.UsageError, match=r"model is 3; it can be a path or an onnx\.ModelProto"):
        eqsat.optimize(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("limits", [{"time_s": 0}, {"memory_bytes": -1}, {"max_enodes": 0}, {"training_s": -0.5}])
def test_limits_are_above_zero(limits: dict[str, Any]) -> None:
    with pytest.raises(eqsat.UsageError, match=f"{next(iter(limits))} is"):
        eqsat.Budget(**limits)


def test_one_name_is_one_name(install_fake: InstallFake, model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_fake("unchanged")
    seen: list[Job] = []
    real = eqsat.api.supervisor.supervise

    def watched(job: Job, **options: Any) -> Report:
        seen.append(job)
        return real(job, **options)

    monkeypatch.setattr("eqsat.api.interface.supervise", watched)
    eqsat.optimize(model_path, skip_rules="relu-relu,conv", rules=Path("own.egg"), isolation="none")
    assert (seen[0].skip_rules, seen[0].rule_files) == (("relu-relu", "conv"), ("own.egg",))


def test_what_is_shown_of_a_result_is_the_table(install_fake: InstallFake, model_path: Path) -> None:
    install_fake("best")
    text = repr(eqsat.optimize(model_path, isolation="none"))
    assert "1.200 ms" in text
    assert text.endswith("1.20x faster: 2 nodes became 1")
    assert "\x1b" not in text


def test_every_public_name_is_there() -> None:
    assert set(eqsat.__all__) <= set(dir(eqsat))
    for name in eqsat.__all__:
        assert getattr(eqsat, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        getattr(eqsat, "nonsense")  # noqa: B009 -- mypy knows that it is missing


def test_importing_eqsat_imports_nothing_heavy() -> None:
    heavy = {"torch", "onnx", "onnx_ir", "onnxruntime", "numpy", "egglog", "ortools", "rich", "typer"}
    code = f"import sys, eqsat; sys.exit(str({heavy} & sys.modules.keys()) if {heavy} & sys.modules.keys() else 0)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_using_the_interface_does_not_import_torch() -> None:
    code = "import sys, eqsat; eqsat.optimize, eqsat.load; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["run", "cli.console", "api.interface", "api.supervisor", "api.worker"])
def test_modules_import_on_their_own(name: str) -> None:
    assert importlib.import_module(f"eqsat.{name}").__doc__
