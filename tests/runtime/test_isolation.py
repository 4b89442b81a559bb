"""A child that crashes, hangs, eats memory or is left alone never takes its parent along."""

from __future__ import annotations

import itertools
import os
import select
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eqsat.errors import ProviderError
from eqsat.runtime import (
    ChildCrashedError,
    RequestTimeoutError,
    Runtime,
    SessionFailedError,
    SessionSettings,
    UnsupportedValueError,
    require_providers,
)
from eqsat.runtime.settings import CUSTOM_OPS_FAILED, REFUSED
from tests.runtime import models

ROOT = Path(__file__).parents[2]
ONE = {"x": np.ones(1, dtype=np.float32)}


def save(folder: Path, model: bytes) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model)
    return path


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )


def test_importing_the_runtime_imports_no_onnxruntime() -> None:
    code = "import sys, eqsat.runtime.drop_in; print({'onnxruntime', 'onnx'} & set(sys.modules))"
    assert python(code).stdout == "set()\n"


def test_a_native_crash_is_an_error_and_the_next_question_is_answered(
    runtime: Runtime, settings: SessionSettings, tmp_path: Path
) -> None:
    crashing = save(tmp_path, models.crashing())
    feeds = {"x": np.ones((1, 4, 2, 2), dtype=np.float32)}
    with pytest.raises(ChildCrashedError, match="SIG"):
        runtime.outputs(crashing, feeds, settings)
    assert runtime.price(models.matmul(), models.matmul_feeds(), settings).kernel_us > 0


def kill_the_child(runtime: Runtime) -> None:
    child = runtime._child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)


def test_a_child_that_is_killed_is_asked_about_the_machine_again(settings: SessionSettings) -> None:
    with Runtime(timeout_s=60.0) as runtime:
        runtime.require_providers(["CPUExecutionProvider"])
        for ask in (
            lambda: runtime.require_providers(["CPUExecutionProvider"]),
            lambda: runtime.device("CPUExecutionProvider"),
            runtime.available_providers,
        ):
            kill_the_child(runtime)
            ask()
        kill_the_child(runtime)
        with pytest.raises(ChildCrashedError, match="SIGKILL"):
            runtime.optimized_fingerprint(models.matmul(), settings)


def test_a_runtime_that_never_starts_is_a_provider_that_is_not_there(
    settings: SessionSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with Runtime() as runtime:
        with pytest.raises(ProviderError, match=r"does not run on this machine: .*exit code 1"):
            runtime.require_providers(["CPUExecutionProvider"])
        with pytest.raises(ChildCrashedError):
            runtime.optimized_fingerprint(models.matmul(), settings)


def test_telemetry_writes_nothing(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("home", "tmp", "cache")}
    for folder in folders.values():
        folder.mkdir()
    path = save(tmp_path, models.matmul())
    victim = folders["tmp"] / "victim"
    victim.write_text("mine")
    (folders["tmp"] / ".ses").symlink_to(victim)
    code = (
        "import pathlib\nfrom eqsat.runtime import Runtime, SessionSettings\nimport eqsat\n"
        f"path = pathlib.Path({str(path)!r})\n"
        "with Runtime() as runtime: runtime.optimized_fingerprint(path, SessionSettings())\n"
        "eqsat.load(path, ['CPUExecutionProvider'])\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(folders["home"]), "TMPDIR": str(folders["tmp"]), "PYTHONPATH": str(ROOT)}
    environment["XDG_CACHE_HOME"] = str(folders["cache"])
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, timeout=300)
    assert victim.read_text() == "mine"
    written = {path.name for folder in folders.values() for path in folder.rglob("*")}
    assert written == {"victim", ".ses"}


def test_a_model_without_end_is_timed_out(settings: SessionSettings, tmp_path: Path) -> None:
    endless = save(tmp_path, models.endless())
    with Runtime(timeout_s=5.0) as runtime:
        with pytest.raises(RequestTimeoutError, match="5 s"):
            runtime.outputs(endless, ONE, settings)
        assert runtime.device("CPUExecutionProvider").name


@pytest.mark.parametrize("content", [b"", b"garbage", models.matmul()[:-100]], ids=["empty", "garbage", "truncated"])
def test_a_file_that_is_no_model_is_refused_in_one_line(
    content: bytes, runtime: Runtime, settings: SessionSettings, tmp_path: Path
) -> None:
    with pytest.raises(SessionFailedError) as refusal:
        runtime.outputs(save(tmp_path, content), models.matmul_feeds(), settings)
    assert "\n" not in str(refusal.value)


def test_a_library_of_custom_operators_that_is_none_is_named(
    runtime: Runtime, settings: SessionSettings, tmp_path: Path
) -> None:
    (tmp_path / "own_ops.so").write_text("no library")
    broken = replace(settings, custom_ops=(str(tmp_path / "own_ops.so"),))
    with pytest.raises(SessionFailedError, match=rf"^{REFUSED}: {CUSTOM_OPS_FAILED} .*own_ops\.so cannot be loaded: "):
        runtime.outputs(save(tmp_path, models.matmul()), models.matmul_feeds(), broken)


def test_a_missing_file_and_a_missing_input_are_refused(
    runtime: Runtime, settings: SessionSettings, tmp_path: Path
) -> None:
    with pytest.raises(SessionFailedError, match=r"nowhere\.onnx"):
        runtime.outputs(tmp_path / "nowhere.onnx", {}, settings)
    with pytest.raises(SessionFailedError, match="'x' was given no value"):
        runtime.outputs(save(tmp_path, models.matmul()), {}, settings)


def test_an_array_that_cannot_travel_leaves_the_child_alive(
    runtime: Runtime, settings: SessionSettings, tmp_path: Path
) -> None:
    path = save(tmp_path, models.matmul())
    with pytest.raises(UnsupportedValueError, match="complex64"):
        runtime.outputs(path, {"x": np.ones((8, 32), dtype=np.complex64)}, settings)
    assert runtime.outputs(path, models.matmul_feeds(), settings)["y"].shape == (8, 32)


def test_an_interrupted_question_leaves_no_answer_for_the_next() -> None:
    ticks = itertools.count()

    def clock() -> float:
        if next(ticks) == 1:
            raise KeyboardInterrupt
        return 0.0

    with Runtime(clock=clock) as runtime:
        with pytest.raises(KeyboardInterrupt):
            runtime.available_providers()
        assert runtime.device("CPUExecutionProvider").name


def test_a_provider_that_is_not_there_is_named_with_those_that_are(runtime: Runtime) -> None:
    with pytest.raises(ProviderError, match=r"no NoSuchProvider; it has: .*CPUExecutionProvider"):
        runtime.require_providers(["NoSuchProvider"])
    with pytest.raises(ProviderError, match=r"no cudda; .*; of these start here: .*; did you mean 'cuda'"):
        runtime.require_providers(["cudda"])


def test_an_onnxruntime_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eqsat.runtime.runtime.find_spec", lambda name: None)
    with Runtime() as runtime, pytest.raises(ProviderError, match="is not installed: pip install onnxruntime-gpu"):
        runtime.device("CPUExecutionProvider")


def test_a_provider_that_falls_back_silently_is_an_error(runtime: Runtime) -> None:
    if "CUDAExecutionProvider" in runtime.available_providers():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(ProviderError, match="CUDAExecutionProvider"):
        require_providers(["CUDAExecutionProvider"])


def test_the_cpu_is_always_there(runtime: Runtime) -> None:
    require_providers(["CPUExecutionProvider"])
    assert "CPUExecutionProvider" in runtime.available_providers()
    assert runtime.device("CPUExecutionProvider").ort_version.count(".") == 2


def test_temporary_files_go_away_with_the_runtime(settings: SessionSettings, tmp_path: Path) -> None:
    with Runtime(scratch_dir=tmp_path) as runtime:
        runtime.price(models.matmul(), models.matmul_feeds(), settings)
        runtime.optimized_fingerprint(models.matmul(), settings)
        (folder,) = tmp_path.iterdir()
        assert [path.name for path in folder.iterdir()] == ["stderr.txt"]
    assert list(tmp_path.iterdir()) == []


def test_files_in_the_working_folder_do_not_shadow_modules(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(3)")
    code = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r}); from eqsat.runtime import Runtime\n"
        f"os.chdir({str(tmp_path)!r})\n"
        "with Runtime() as runtime: print(runtime.device('CPUExecutionProvider').provider)"
    )
    assert python(code).stdout == "CPUExecutionProvider\n"


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_the_child_dies_with_a_killed_parent_even_in_the_middle_of_work(tmp_path: Path) -> None:
    endless = save(tmp_path, models.endless())
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    code = (
        "import pathlib, numpy, os\n"
        "from eqsat.runtime import Runtime, SessionSettings\n"
        f"runtime = Runtime(scratch_dir=pathlib.Path({str(scratch)!r}))\n"
        "runtime.device('CPUExecutionProvider')\n"
        "print(pathlib.Path(f'/proc/self/task/{os.getpid()}/children').read_text(), flush=True)\n"
        f"runtime.outputs(pathlib.Path({str(endless)!r}), {{'x': numpy.ones(1, numpy.float32)}}, SessionSettings())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert is_gone_soon(child)
    assert list(scratch.iterdir()) == []


def is_gone_soon(pid: int) -> bool:
    """Wait until a process of another parent has ended; its new parent may not have collected it."""
    handle = os.pidfd_open(pid) if Path(f"/proc/{pid}").exists() else -1
    if handle < 0:
        return True
    ready, _, _ = select.select([handle], [], [], 20.0)
    os.close(handle)
    return bool(ready)
