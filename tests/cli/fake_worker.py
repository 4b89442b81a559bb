"""A worker with a stand-in for the optimiser: ``fake_worker.py MODE JOB.json``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import onnx

from eqsat.errors import ModelError
from eqsat.pipeline.events import Event, Stage
from eqsat.pipeline.job import Job
from eqsat.pipeline.report import Report
from eqsat.pipeline.report_parts import Latency, OperatorCounts, RuleUse, SizeBytes, Status
from eqsat.pipeline.scratch import keep_best

HANG_S = 60.0

OPTIMIZED = Report(
    status=Status.OPTIMIZED,
    reason="2 nodes became 1",
    verified=True,
    max_abs_error=1e-6,
    latency=Latency(
        provider="CPUExecutionProvider",
        threads=2,
        original_us=1200.0,
        optimized_us=1000.0,
        speedup=1.2,
        speedup_low=1.15,
        speedup_high=1.25,
        pairs=5,
        rounds=40,
    ),
    rules=(RuleUse(name="relu-relu", applied=1),),
    operators=OperatorCounts(before={"Relu": 2}, after={"Relu": 1}),
    size_bytes=SizeBytes(before=200, after=100),
    seconds={"search": 0.5},
)
UNCHANGED = Report(status=Status.UNCHANGED, reason="nothing faster was found")


def leave_best(job: Job) -> None:
    def write(path: Path) -> None:
        model = onnx.load_model(job.input_path)
        model.producer_name = "fake"
        onnx.save_model(model, path)

    name = Path(job.output_path or "model.onnx").name
    keep_best(job.scratch_dir, OPTIMIZED, model_name=name, write_model=write)


def stand_in(mode: str) -> Callable[[Job, Callable[[Event], None]], Report]:
    """Return an optimiser that behaves as ``mode`` says, parts joined by ``+`` in order."""

    def optimize(job: Job, emit: Callable[[Event], None], **_: object) -> Report:
        emit(Event(stage=Stage.LOAD, message="fake model"))
        report = UNCHANGED
        for part in mode.split("+"):
            if part == "best":
                leave_best(job)
                report = OPTIMIZED
                emit(Event(stage=Stage.SEARCH, message="left a best", best_speedup=1.2))
            elif part == "kept-input":
                keep_best(job.scratch_dir, UNCHANGED, model_name="model.onnx", write_model=None)
            else:
                _end(part, emit)
        return report

    return optimize


def _end(part: str, emit: Callable[[Event], None]) -> None:
    match part:
        case "unchanged":
            pass
        case "chatter":
            os.write(1, b"a native library prints on stdout\n{\n")
        case "model-error":
            raise ModelError("model.onnx: not an ONNX model")
        case "bug":
            raise ZeroDivisionError("a bug\nwith a second line")
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "memory":
            raise MemoryError
        case "litter":
            Path(tempfile.mkdtemp(prefix="left-behind-"), "file").touch()
        case "exit":
            os._exit(3)
        case "hang":
            emit(Event(stage=Stage.MEASURE, message=f"pid {os.getpid()}"))
            time.sleep(HANG_S)
        case "child-eats-memory":
            eat = f"import time; kept = bytearray(400 * 2**20); time.sleep({HANG_S})"
            subprocess.run([sys.executable, "-c", eat], check=True)
        case "interrupt":
            raise KeyboardInterrupt
        case _:
            raise ValueError(part)


def install(mode: str) -> ModuleType:
    """Return a module to stand in for ``eqsat.pipeline.optimizer``."""
    module = ModuleType("eqsat.pipeline.optimizer")
    module.optimize = stand_in(mode)  # type: ignore[attr-defined]
    return module


if __name__ == "__main__":
    from eqsat.api.worker import main

    sys.modules["eqsat.pipeline.optimizer"] = install(sys.argv[1])
    sys.exit(main(sys.argv[2:]))
