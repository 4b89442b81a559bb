"""Runs a job in a worker process, holds its budgets, and puts what came of it in its place.

::

    supervisor (the user's process)          worker (a process group of its own)
        checks the paths, starts it   ---->      reads the job
        shows events                  <----      lines on stdout
        reads its memory                         leaves its best result in the scratch folder, again and again
        kills it at a limit           ---->      (or ends by itself: a report or a failure is its last line)
        writes the output, removes the scratch folder

Whatever ends the worker, the best result it has left is used. Where it has left none, nothing is written and the error
says which limit to raise. To a user who ends the run, a copy of the input is no result. A fault of the worker is never
silent: with a result, the report says it, and without one it is the error.
"""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import IO, Final, assert_never

from eqsat.api.worker import run_job
from eqsat.errors import INTERNAL, BudgetError, EqsatError
from eqsat.isolation import processes
from eqsat.isolation.temporary import TemporaryFolder, keep_log
from eqsat.pipeline import output
from eqsat.pipeline.events import Event, Failure, Message, MessageError, Stage, from_line
from eqsat.pipeline.job import Budget, Job
from eqsat.pipeline.provenance import Provenance
from eqsat.pipeline.report import Report
from eqsat.pipeline.report_parts import Ending, Status
from eqsat.pipeline.scratch import Best, read_best

_POLL_S: Final = 0.2
_EXIT_S: Final = 5.0
_START_S: Final = 60.0
"""Seconds in which a worker must have imported what it needs."""

_GRACE_S: Final = 3.0
_GRACE_SHARE: Final = 0.1
"""Seconds, or the share of the time budget, that a worker may take beyond it, whichever is more: one question to ONNX
Runtime cannot be broken off."""

_GIB: Final = 1024**3
WORKER_LOG: Final = "worker.log"
WORKER_COMMAND: Final = (sys.executable, "-m", "eqsat.api.worker")


class Isolation(StrEnum):
    """Where the optimiser runs."""

    PROCESS = "process"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """How the worker ended.

    Attributes:
        ending: What ended it.
        last: The report or failure it sent; None where it sent none.
        exit_code: As :class:`subprocess.Popen` says; below zero is a signal.
        peak_rss_bytes: Largest resident memory seen.
    """

    ending: Ending
    last: Report | Failure | None
    exit_code: int = 0
    peak_rss_bytes: int = 0


def ignore(event: Event) -> None:
    """Do nothing with an event."""


def never() -> bool:
    """Return False."""
    return False


def supervise(
    job: Job,
    *,
    isolation: Isolation = Isolation.PROCESS,
    on_event: Callable[[Event], None] = ignore,
    is_interrupted: Callable[[], bool] = never,
    worker_command: Sequence[str] = WORKER_COMMAND,
    grace_s: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Run ``job`` and write its output.

    Args:
        job: What to do; its scratch folder is made here.
        isolation: ``NONE`` runs the optimiser in this process: the memory limit and a hard end of the time do not hold.
        on_event: Is called with every event, in this thread.
        is_interrupted: Says whether the user has asked for the end, which a KeyboardInterrupt says too; it is asked
            several times a second while the worker runs.
        worker_command: Starts a worker when the path of a job file is added.
        grace_s: Seconds after the time budget at which the worker is killed; it ends by itself before that. The budget
            begins when the worker has imported what it needs.
        clock: Monotonic seconds.

    Returns:
        The report on the result that was written.

    Raises:
        EqsatError: There is no result; nothing was written.
        KeyboardInterrupt: The run was interrupted before there was any result; nothing was written.
    """
    started_s = clock()
    input_path = Path(job.input_path)
    output.check_input(input_path)
    if job.output_path:
        output.check_output(input_path, Path(job.output_path), is_forced=job.is_forced)
        output.check_settings(job)
    with TemporaryFolder() as folder:
        job = replace(job, scratch_dir=str(folder.path))
        match isolation:
            case Isolation.PROCESS:
                watch = _Watch(
                    budget=job.budget, on_event=on_event, is_interrupted=is_interrupted, clock=clock, grace_s=grace_s
                )
                outcome = watch.run(job, worker_command, folder)
            case Isolation.NONE:
                outcome = _run_inline(job, on_event)
            case _:
                assert_never(isolation)
        result = _result(outcome, job, elapsed_s=clock() - started_s)
        earlier = None
        if job.output_path:
            on_event(Event(stage=Stage.WRITE, message=job.output_path))
            earlier = _write(result, job)
        return replace(
            result.report,
            ending=Ending.INTERRUPTED if is_interrupted() else result.report.ending,
            output=job.output_path,
            kept=earlier is not None,
            seconds={**result.report.seconds, "total": round(clock() - started_s, 3)},
            peak_rss_bytes=max(outcome.peak_rss_bytes, result.report.peak_rss_bytes),
        )


def _run_inline(job: Job, on_event: Callable[[Event], None]) -> _Outcome:
    try:
        return _Outcome(ending=Ending.COMPLETED, last=run_job(job, on_event))
    except KeyboardInterrupt:
        return _Outcome(ending=Ending.INTERRUPTED, last=None)
    except EqsatError as error:
        return _Outcome(ending=Ending.COMPLETED, last=Failure.of(error))


class _Watch:
    """Starts one worker and watches it until it ends or has to be ended."""

    def __init__(
        self,
        *,
        budget: Budget,
        on_event: Callable[[Event], None],
        is_interrupted: Callable[[], bool],
        clock: Callable[[], float],
        grace_s: float | None,
    ) -> None:
        self._budget = budget
        self._on_event = on_event
        self._is_interrupted = is_interrupted
        self._clock = clock
        self._grace_s = max(_GRACE_S, _GRACE_SHARE * budget.time_s) if grace_s is None else grace_s
        self._peak_rss_bytes = 0
        self._last: Report | Failure | None = None

    def run(self, job: Job, worker_command: Sequence[str], folder: TemporaryFolder) -> _Outcome:
        """Run ``job`` to its end; no process of the worker's is left behind, and no file outside ``folder``."""
        scratch = Path(job.scratch_dir)
        job_path = scratch / "job.json"
        job_path.write_text(job.to_json(), encoding="utf-8")
        with (scratch / WORKER_LOG).open("wb") as log:
            process = subprocess.Popen(
                [*worker_command, str(job_path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
                env=folder.environment(),
                pass_fds=() if folder.lock is None else (folder.lock,),
                start_new_session=True,
            )
        try:
            ending = self._watch(process)
        except KeyboardInterrupt:
            ending = Ending.INTERRUPTED
        finally:
            processes.kill_tree(process.pid)
            exit_code = process.wait()
        return _Outcome(ending=ending, last=self._last, exit_code=exit_code, peak_rss_bytes=self._peak_rss_bytes)

    def _watch(self, process: subprocess.Popen[str]) -> Ending:
        """Pass events on until the worker has said its last word, or is silent for good, or reaches a limit."""
        assert process.stdout is not None  # noqa: S101 -- Popen was asked for a pipe
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=_pump, args=(process.stdout, lines), daemon=True).start()
        allowed_s = self._budget.total_s + self._grace_s
        deadline_s = self._clock() + allowed_s + _START_S
        has_begun = False
        next_poll_s = self._clock()
        while True:
            try:
                line = lines.get(timeout=_POLL_S)
            except queue.Empty:
                pass
            else:
                if line is None:
                    _await_exit(process)
                    return Ending.WORKER_DIED
                self._take(line)
                if not has_begun:
                    has_begun, deadline_s = True, self._clock() + allowed_s
                if self._last is not None:
                    return Ending.COMPLETED
            if self._is_interrupted():
                return Ending.INTERRUPTED
            if self._clock() >= deadline_s:
                return Ending.TIME_BUDGET
            if self._clock() >= next_poll_s:
                next_poll_s = self._clock() + _POLL_S
                rss_bytes = processes.resident_bytes(process.pid)
                self._peak_rss_bytes = max(self._peak_rss_bytes, rss_bytes)
                if rss_bytes > self._budget.memory_bytes:
                    return Ending.MEMORY_LIMIT

    def _take(self, line: str) -> None:
        message: Message
        try:
            message = from_line(line)
        except MessageError:
            return  # a line that is cut off: the worker died while it wrote, which its end will tell
        match message:
            case Event():
                self._on_event(message)
            case Report() | Failure():
                self._last = message
            case _:
                assert_never(message)


def _await_exit(process: subprocess.Popen[str]) -> None:
    """Give a worker that has closed its pipe the time to leave an exit code."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_EXIT_S)


def _pump(lines: IO[str], into: queue.SimpleQueue[str | None]) -> None:
    with lines:
        for line in lines:
            into.put(line)
    into.put(None)


def _result(outcome: _Outcome, job: Job, *, elapsed_s: float) -> Best:
    """Return the result to write.

    Raises:
        EqsatError: There is none.
        KeyboardInterrupt: There is none, and the user ended the run.
    """
    best = read_best(job.scratch_dir)
    last = outcome.last
    if isinstance(last, Report) and outcome.ending is Ending.COMPLETED:
        if last.status is Status.UNCHANGED:
            return Best(report=last, model_path=None)
        if best is None or best.model_path is None:
            raise _internal("the worker reported an optimised model and left none")
        return Best(report=last, model_path=best.model_path)
    ending = outcome.ending
    if isinstance(last, Failure):
        error = last.to_error()
        is_limit, is_fault = isinstance(error, BudgetError), type(error) is EqsatError
        if best is None or not (is_limit or is_fault):
            raise _with_log(error, job) if is_fault else error
        ending = Ending.MEMORY_LIMIT if is_limit else Ending.WORKER_DIED
    if ending is Ending.INTERRUPTED and (best is None or best.model_path is None):
        raise KeyboardInterrupt
    happened = _what_happened(outcome, job, elapsed_s)
    if best is not None:
        if ending is Ending.WORKER_DIED:
            report = replace(best.report, ending=ending, fault=str(_with_log(_internal(happened), job)))
        else:
            warning = f"this is the best result of a run that was cut short: {happened}"
            report = replace(best.report, ending=ending, warnings=(*best.report.warnings, warning))
        return Best(report=report, model_path=best.model_path)
    match ending:
        case Ending.TIME_BUDGET | Ending.MEMORY_LIMIT:
            raise BudgetError(f"{happened}, before there was any result")
        case _:
            raise _with_log(_internal(happened), job)


def _what_happened(outcome: _Outcome, job: Job, elapsed_s: float) -> str:
    budget = job.budget
    if isinstance(outcome.last, Failure):
        return outcome.last.message
    match outcome.ending:
        case Ending.TIME_BUDGET:
            return f"the time budget of {budget.total_s:g} s ended (--time-budget)"
        case Ending.MEMORY_LIMIT:
            limit_gib = budget.memory_bytes / _GIB
            return f"the memory limit of {limit_gib:.3g} GiB was reached after {elapsed_s:.0f} s (--memory-limit)"
        case Ending.INTERRUPTED:
            return f"interrupted after {elapsed_s:.0f} s"
        case Ending.WORKER_DIED | Ending.COMPLETED:
            if outcome.exit_code < 0:
                return f"the worker was killed by {signal.Signals(-outcome.exit_code).name}"
            return f"the worker ended with exit code {outcome.exit_code} and no report"
        case _:
            assert_never(outcome.ending)


def _internal(message: str) -> EqsatError:
    return EqsatError(message if message.startswith(INTERNAL) else f"{INTERNAL}{message}")


def _with_log(error: EqsatError, job: Job) -> EqsatError:
    """Return an internal error that names a copy of the worker's log."""
    log = Path(job.scratch_dir) / WORKER_LOG
    if not log.exists():
        return error
    with log.open("rb") as written:
        return EqsatError(f"{error}{keep_log(written)}")


def _write(result: Best, job: Job) -> Provenance | None:
    """Write the result; where that is a copy of the input, a faster model of the same input stays, and is returned.

    A job that is forced writes in any case.
    """
    input_path, output_path = Path(job.input_path), Path(job.output_path)
    if result.model_path is not None:
        output.write_result(result.model_path, output_path, input_path=input_path)
        return None
    earlier = None if job.is_forced else output.faster_before(input_path, output_path)
    if earlier is None:
        output.write_input_copy(input_path, output_path)
    return earlier
