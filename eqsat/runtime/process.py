"""Starts the process that runs ONNX Runtime, asks it, and survives its death."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import IO, final

from eqsat.runtime.errors import ChildCrashedError, RequestTimeoutError
from eqsat.runtime.telemetry import SWITCH
from eqsat.runtime.wire import Frame, read_frame, write_frame


@final
class ChildProcess:
    """One child process. After an error it is dead and a new one must be made."""

    def __init__(self, scratch_dir: Path | None, clock: Callable[[], float]) -> None:
        """Start the child.

        Args:
            scratch_dir: Where its temporary folder is made; the system's place where it is left out.
            clock: Seconds on a clock that only goes forward.
        """
        self._clock = clock
        self._scratch = Path(tempfile.mkdtemp(prefix="eqsat-runtime-", dir=scratch_dir))
        self._stderr_path = self._scratch / "stderr.txt"
        command = [sys.executable, "-P", "-m", "eqsat.runtime.child", str(self._scratch)]
        environment = {**os.environ, **SWITCH, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        with self._stderr_path.open("wb") as stderr:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=environment
            )
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("a process started with pipes has them")
        self._requests = self._process.stdin
        self._answers: queue.SimpleQueue[Frame | EOFError] = queue.SimpleQueue()
        reader = threading.Thread(target=_read_answers, args=(self._process.stdout, self._answers), daemon=True)
        reader.start()
        self._finalizer = weakref.finalize(self, _clean_up, os.getpid(), self._process, self._scratch, reader)

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def ask(self, request: Frame, timeout_s: float) -> Frame:
        """Send a request and return the answer.

        Raises:
            UnsupportedValueError: A tensor cannot travel; the child is alive.
            RequestTimeoutError: No answer in time; the child is dead.
            ChildCrashedError: It died by itself.
        """
        deadline = self._clock() + timeout_s
        try:
            write_frame(self._requests, request)
        except OSError as error:
            raise self._crashed() from error
        try:
            answer = self._answers.get(timeout=max(0.0, deadline - self._clock()))
        except queue.Empty:
            self.close()
            raise RequestTimeoutError(f"ONNX Runtime gave no answer within {timeout_s:.3g} s and was stopped") from None
        if isinstance(answer, EOFError):
            raise self._crashed() from answer
        return answer

    def close(self) -> None:
        """End the child and remove its files; a second call does nothing."""
        self._finalizer()

    def _crashed(self) -> ChildCrashedError:
        """Return what there is to say of a child that ended by itself, and clean up after it."""
        code = self._wait()
        lines = self._stderr_path.read_text(errors="replace").splitlines() if self._stderr_path.exists() else []
        said = next((f": {line.strip()[:200]}" for line in reversed(lines) if line.strip()), "")
        self.close()
        how = signal.Signals(-code).name if -code in set(signal.Signals) else f"exit code {code}"
        return ChildCrashedError(f"ONNX Runtime crashed ({how}){said}")

    def _wait(self) -> int:
        """Return the exit code of a child whose pipe has ended."""
        try:
            return self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def _read_answers(stream: IO[bytes], answers: queue.SimpleQueue[Frame | EOFError]) -> None:
    try:
        while True:
            answers.put(read_frame(stream))
    except EOFError as error:
        answers.put(error)
    except (OSError, ValueError) as error:
        answers.put(EOFError(str(error)))


def _clean_up(owner: int, process: subprocess.Popen[bytes], scratch: Path, reader: threading.Thread) -> None:
    if os.getpid() != owner:
        return  # a fork of the owner has a copy of this, but the child is not its own
    process.kill()
    process.wait()
    reader.join()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except OSError:
                continue
    shutil.rmtree(scratch, ignore_errors=True)
