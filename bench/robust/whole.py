"""A run as its user makes it: a process of its own, with places of its own for all it writes, and what it left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import numpy as np

from bench.documents import ROOT
from eqsat.runtime import MeasurementError, Runtime, SessionSettings

MARK: Final = "EQSAT_ROBUSTNESS"
"""Variable of the environment by which the processes of a run are found again."""

DEFAULT_BUDGET_S: Final = 20.0
LINGER_S = 3.0
"""Seconds that the processes of a run get to end after the run itself."""

GRACE_S: Final = 120.0
"""Seconds on top of the budget after which a run counts as hanging."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a run ended.

    Attributes:
        exit_code: Zero where all went well, negative where a signal ended it; None where it hung.
        said: Its error output, line by line.
        seconds: How long it took.
        left_files: What it left in its temporary folder and beside its output.
        left_processes: Processes that outlived it.
    """

    exit_code: int | None
    said: tuple[str, ...]
    seconds: float
    left_files: tuple[str, ...] = ()
    left_processes: tuple[int, ...] = ()

    @property
    def fault(self) -> str:
        """What is wrong with it whatever was asked of it, in words; empty where nothing is."""
        if self.exit_code is None:
            return "it hung"
        if any("Traceback" in line for line in self.said):
            return "a traceback"
        if self.left_processes:
            return f"{len(self.left_processes)} processes left"
        if self.left_files:
            return f"left {', '.join(self.left_files)[:200]}"
        return ""

    @property
    def errors(self) -> tuple[str, ...]:
        """The lines that are errors."""
        return tuple(line for line in self.said if line.startswith("eqsat: error: "))


@dataclass(slots=True, kw_only=True)
class Place:
    """Where runs are made: a folder for files, one for temporary files, one for the user's cache.

    Attributes:
        root: An existing folder of its own.
        environment: Variables in place of this process's own.
    """

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the folders."""
        for folder in (self.work, self.temporary, self.home):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def work(self) -> Path:
        """Current folder of the runs."""
        return self.root / "work"

    @property
    def temporary(self) -> Path:
        """TMPDIR of the runs."""
        return self.root / "tmp"

    @property
    def home(self) -> Path:
        """The user's home and cache."""
        return self.root / "home"

    def clear(self) -> None:
        """Remove what earlier runs left, but for the cache."""
        for folder in (self.work, self.temporary):
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def command(self, *arguments: str, budget_s: float = DEFAULT_BUDGET_S) -> list[str]:
        """Return the command line of a run."""
        limits = ["--time-budget", f"{budget_s:g}s", "--threads", "1"]
        return [sys.executable, "-m", "eqsat.run", *arguments, *limits]

    def run(
        self,
        command: Sequence[str],
        *,
        allowed: Sequence[str] = (),
        budget_s: float = DEFAULT_BUDGET_S,
        while_it_runs: Callable[[subprocess.Popen[bytes]], None] | None = None,
        before: Callable[[], None] | None = None,
    ) -> End:
        """Run a command to its end and look at what it left.

        Args:
            command: The command.
            allowed: Names in the work folder that may be there afterwards.
            budget_s: Seconds that the run was given.
            while_it_runs: Is called once it has started.
            before: Is called in the new process before the command.
        """
        mark = f"{os.getpid()}-{time.monotonic_ns()}"
        there = frozenset(path.name for path in self.temporary.iterdir())
        start_s = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=self.work,
            env=self._environment(mark),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=before,  # noqa: PLW1509  # what it calls takes no lock
            start_new_session=True,
        )
        said: list[bytes] = []
        reader = threading.Thread(target=_read, args=(process.stderr, said), daemon=True)
        reader.start()
        if while_it_runs is not None:
            while_it_runs(process)
        try:
            exit_code: int | None = process.wait(timeout=budget_s + GRACE_S)
        except subprocess.TimeoutExpired:
            exit_code = None
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        seconds = time.monotonic() - start_s
        left = survivors(mark)
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        reader.join(timeout=5.0)
        lines = b"".join(said).decode(errors="replace").splitlines()
        return End(
            exit_code=exit_code,
            said=tuple(line for line in lines if line.strip()),
            seconds=seconds,
            left_files=self._left(allowed, there),
            left_processes=left,
        )

    def _environment(self, mark: str) -> dict[str, str]:
        environment = {
            **os.environ,
            MARK: mark,
            "TMPDIR": str(self.temporary),
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH", "")])]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return environment | self.environment

    def _left(self, allowed: Sequence[str], there: frozenset[str]) -> tuple[str, ...]:
        """What is new in the temporary folder, and what lies in the work folder beside what may be there."""
        logs = sorted(path.name for path in self.temporary.iterdir() if path.name not in there)
        others = sorted(path.name for path in self.work.iterdir() if path.name not in allowed)
        return (*(f"TMPDIR/{name}" for name in logs), *others)


def _read(stream: IO[bytes], said: list[bytes]) -> None:
    with stream:
        said.extend(stream)


def survivors(mark: str) -> tuple[int, ...]:
    """Return the processes that still carry a mark in their environment, after a moment to end by themselves."""
    deadline_s = time.monotonic() + LINGER_S
    while True:
        found = tuple(pid for pid in _pids() if f"{MARK}={mark}".encode() in _environment_of(pid))
        if not found or time.monotonic() > deadline_s:
            return found
        time.sleep(0.1)


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if int(path.name) != os.getpid()]


def _environment_of(pid: int) -> list[bytes]:
    with suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
        if state != "Z":
            return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return []


def runs(runtime: Runtime, model: Path) -> str:
    """Return why ONNX Runtime does not open a model; empty where it does.

    A session is made, and run where it needs no inputs.
    """
    settings = SessionSettings(threads=1)
    try:
        runtime.optimized_fingerprint(model, settings)
    except MeasurementError as error:
        return str(error)
    return ""


def same_outputs(runtime: Runtime, one: Path, two: Path, feeds: dict[str, np.ndarray]) -> bool:
    """Return whether two models compute the same, but for rounding."""
    settings = SessionSettings(threads=1)
    first, second = (runtime.outputs(model, feeds, settings) for model in (one, two))
    return first.keys() == second.keys() and all(
        np.allclose(first[name], second[name], rtol=1e-3, atol=1e-4, equal_nan=True) for name in first
    )
