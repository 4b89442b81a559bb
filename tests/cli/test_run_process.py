"""The command line as a process of its own: signals, streams and what is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import pytest

from tests.cli import fake_cli

TIMEOUT_S = 300.0

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """A process that a shell started in the background ignores SIGINT, and so would those that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@contextmanager
def start(mode: str, model_path: Path, scratch_home: Path) -> Iterator[subprocess.Popen[str]]:
    scratch_home.mkdir(exist_ok=True)
    root = Path(fake_cli.__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, fake_cli.__file__, mode, str(model_path), "-v"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "TMPDIR": str(scratch_home), "PYTHONPATH": str(root)},
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def worker_pid(process: subprocess.Popen[str]) -> int:
    """Return the worker's process id once it hangs."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("measure: pid "):
            return int(line.split()[2])
    raise AssertionError("the worker never hung")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int, is_alive: Callable[[int], bool] = is_running) -> None:
    for _ in range(600):
        if not is_alive(pid):
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} lives on")


@linux_only
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGALRM])
def test_a_signal_keeps_the_best(model_path: Path, tmp_path: Path, number: signal.Signals) -> None:
    before = model_path.read_bytes()
    with start("best+hang", model_path, tmp_path / "scratch") as process:
        pid = worker_pid(process)
        process.send_signal(number)
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert "warning: this is the best result of a run that was cut short: interrupted" in err
    assert "Traceback" not in out + err
    assert onnx.load_model(model_path.with_name("model.opt.onnx")).producer_name == "fake"
    assert model_path.read_bytes() == before
    wait_until_gone(pid)
    assert not list((tmp_path / "scratch").iterdir())


@linux_only
def test_more_signals_change_nothing(model_path: Path, tmp_path: Path) -> None:
    with start("best+hang", model_path, tmp_path / "scratch") as process:
        worker_pid(process)
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.01)
        _, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert onnx.load_model(model_path.with_name("model.opt.onnx")).producer_name == "fake"
    assert not list((tmp_path / "scratch").iterdir())


@linux_only
@pytest.mark.parametrize("module", ["eqsat", "eqsat.run"])
def test_a_signal_in_the_first_moments_is_one_line(tmp_path: Path, module: str) -> None:
    (tmp_path / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n")
    root = Path(fake_cli.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", module, "--version"],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(root)))},
        cwd=tmp_path,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "eqsat: error: interrupted\n")


@linux_only
def test_a_signal_before_any_result_is_one_line(model_path: Path, tmp_path: Path) -> None:
    with start("hang", model_path, tmp_path / "scratch") as process:
        worker_pid(process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert (out, err) == ("", "eqsat: error: interrupted before there was any result; nothing was written\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "scratch"]


@linux_only
def test_the_worker_dies_with_its_supervisor_and_the_next_run_clears_up(model_path: Path, tmp_path: Path) -> None:
    with (
        start("best+hang", model_path, tmp_path / "scratch") as living,
        start("best+litter+hang", model_path, tmp_path / "scratch") as killed,
    ):
        worker_pid(living)
        pid = worker_pid(killed)
        assert len(list((tmp_path / "scratch").iterdir())) == 2
        assert is_running(pid)
        killed.kill()
        wait_until_gone(pid)
        with start("best", model_path, tmp_path / "scratch") as process:
            process.communicate(timeout=TIMEOUT_S)
        (folder,) = (tmp_path / "scratch").iterdir()
        assert (folder / "best.json").exists(), "what a living process owns stays"
        living.send_signal(signal.SIGTERM)
        assert living.wait(timeout=TIMEOUT_S) == 130
    assert not list((tmp_path / "scratch").iterdir())


def test_an_unwatched_run_prints_plain_lines(model_path: Path, tmp_path: Path) -> None:
    with start("best", model_path, tmp_path / "scratch") as process:
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    assert err.splitlines()[:2] == ["load: fake model", "search: left a best  (best so far 1.20x)"]
    assert "\x1b" not in out + err


def shell(script: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash, in which ``"$@"`` is the command."""
    root = Path(fake_cli.__file__).parents[2]
    return subprocess.run(
        [
            "/bin/bash",
            "-c",
            f"set -o pipefail; {script}",
            "bash",
            sys.executable,
            fake_cli.__file__,
            *map(str, arguments),
        ],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(root), **environment},
        timeout=TIMEOUT_S,
        check=False,
    )


@linux_only
@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [
        ('"$@" <&- >&- 2>&-', 0, ""),
        ('"$@" 2>/dev/full', 0, ""),
        ('"$@" >/dev/full', 8, "stdout cannot be written: No space left on device"),
        ('"$@" --json - | true', 0, ""),
        ('"$@" --json - >&-', 8, "the report could not be written: stdout: it is closed; "),
    ],
)
def test_streams_that_cannot_be_written_do_not_lose_the_result(
    model_path: Path, redirection: str, code: int, said: str
) -> None:
    if "/dev/full" in redirection and not Path("/dev/full").is_char_device():
        pytest.skip("/dev/full is no device here")
    done = shell(redirection, "best", model_path, "-v")
    errors = [line for line in done.stderr.splitlines() if "error" in line]
    assert done.returncode == code, done.stderr
    assert len(errors) == bool(said)
    assert said in "".join(errors)
    assert "Exception" not in done.stderr + done.stdout
    assert onnx.load_model(model_path.with_name("model.opt.onnx")).producer_name == "fake"


@linux_only
def test_what_the_terminal_cannot_show_is_escaped(model_path: Path) -> None:
    odd = model_path.rename(model_path.with_name("größe-模型.onnx"))
    done = shell('"$@"', "best", odd, PYTHONIOENCODING="ascii")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert "gr\\xf6\\xdfe-\\u6a21\\u578b.opt.onnx" in done.stdout
    assert odd.with_name("größe-模型.opt.onnx").exists()
