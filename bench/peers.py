"""The optimisers that this one is measured against, each run in a process of its own with a time-out."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import final

from bench.documents import ROOT
from bench.models import copy_export
from bench.peer_child import RUNNERS
from eqsat.runtime import OptimizationLevel

DEFAULT_TIMEOUT_S = 600.0


class Outcome(StrEnum):
    """How a peer's attempt at a model ended."""

    WRITTEN = "written"
    NOT_INSTALLED = "not installed"
    NOT_SUPPORTED = "not supported"
    FAILED = "failed"
    TIMED_OUT = "timed out"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerResult:
    """What a peer made of a model.

    Attributes:
        outcome: How it ended; the output exists only where it is ``WRITTEN``.
        message: One line about a failure; empty where there was none.
        seconds: Wall-clock time of the peer's process, its start included.
    """

    outcome: Outcome
    message: str = ""
    seconds: float = 0.0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One optimiser.

    Attributes:
        name: What it is called in tables.
        package: The distribution it comes in.
        level: The level of ONNX Runtime that its result is run at.
        needs_type: True where it must be told the type of the model, and supports no others.
        has_runner: True where it rewrites the model; False where it is a setting of ONNX Runtime alone.
    """

    name: str
    package: str
    level: OptimizationLevel = OptimizationLevel.ALL
    needs_type: bool = False
    has_runner: bool = True

    def version(self) -> str:
        """Return the version installed; empty where there is none."""
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return ""

    def optimize(
        self,
        source: Path,
        target: Path,
        *,
        model_type: str = "",
        timeout_s: float = DEFAULT_TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> PeerResult:
        """Write to ``target`` what the peer makes of the model ``source``.

        Args:
            source: The model.
            target: Where the result goes, in an existing folder.
            model_type: The type under which ``onnxruntime.transformers`` knows the model; empty for none.
            timeout_s: Seconds after which the peer is killed.
            clock: Seconds on a clock that only goes forward.

        Returns:
            How it ended; a failure of the peer is a result, never an exception.
        """
        refusal = self.refusal(model_type)
        if refusal is not None:
            return refusal
        if not self.has_runner:
            copy_export(source, target)
            return PeerResult(outcome=Outcome.WRITTEN)
        command = [sys.executable, "-m", "bench.peer_child", self.name, *map(str, (source.resolve(), target.resolve()))]
        start_s = clock()
        ended = run_command([*command, model_type], timeout_s=timeout_s)
        seconds = clock() - start_s
        if ended.is_timed_out:
            return PeerResult(outcome=Outcome.TIMED_OUT, message=f"killed after {timeout_s:g} s", seconds=seconds)
        if ended.exit_code != 0:
            return PeerResult(outcome=Outcome.FAILED, message=ended.message, seconds=seconds)
        if not target.exists():
            return PeerResult(outcome=Outcome.FAILED, message="ended well but wrote nothing", seconds=seconds)
        return PeerResult(outcome=Outcome.WRITTEN, seconds=seconds)

    def refusal(self, model_type: str) -> PeerResult | None:
        """Return why the peer is not even started, None where it is."""
        if not self.version():
            return PeerResult(outcome=Outcome.NOT_INSTALLED, message=f"pip install {self.package}")
        if self.needs_type and not model_type:
            return PeerResult(outcome=Outcome.NOT_SUPPORTED, message="no model type of that tool fits")
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended.

    Attributes:
        exit_code: Zero where all went well, negative where a signal ended it.
        is_timed_out: True where it was killed for its time.
        message: The last line of its error output, or the name of the signal.
    """

    exit_code: int
    is_timed_out: bool
    message: str


def run_command(command: list[str], *, timeout_s: float) -> Ended:
    """Run a command in the repository's folder, its output kept off the terminal, until it ends or the time is over."""
    with tempfile.TemporaryFile() as errors:
        try:
            ended = subprocess.run(
                command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            return Ended(exit_code=1, is_timed_out=True, message="")
        errors.seek(0)
        text = errors.read().decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    code = ended.returncode
    message = f"died of {signal.Signals(-code).name}" if code < 0 else (lines[-1] if lines else f"exit code {code}")
    return Ended(exit_code=code, is_timed_out=False, message=message[:300])


ORT = "onnxruntime-gpu"

PEERS: tuple[Peer, ...] = (
    Peer(name="ort", package=ORT, has_runner=False),
    Peer(name="ort-basic", package=ORT, has_runner=False, level=OptimizationLevel.BASIC),
    Peer(name="ort-disabled", package=ORT, has_runner=False, level=OptimizationLevel.DISABLED),
    Peer(name="onnxsim", package="onnxsim"),
    Peer(name="onnxslim", package="onnxslim"),
    Peer(name="onnxscript", package="onnxscript"),
    Peer(name="ort-fusions", package="onnxscript"),
    Peer(name="ort-transformers", package=ORT, needs_type=True),
)
"""Every peer. The first is the input itself at ONNX Runtime's default level: measured against itself, it shows the
noise. The two other levels show what a user gets from a session option alone."""

assert {peer.name for peer in PEERS if peer.has_runner} == set(RUNNERS)
