"""The worker process, ``python -m eqsat.api.worker JOB.json``: runs a job and tells its supervisor by lines.

Its stderr is the run's log: native libraries write there, and so does the traceback of an internal error.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import select
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TextIO

from eqsat.errors import INTERNAL, BudgetError, EqsatError, ModelError, StorageError
from eqsat.isolation.parent import die_with_parent
from eqsat.pipeline.events import Event, Failure, Message, to_line
from eqsat.pipeline.job import Job
from eqsat.pipeline.report import Report
from ir.errors import InvalidModelError


def run_job(job: Job, emit: Callable[[Event], None]) -> Report:
    """Run ``job`` here, in this process.

    Raises:
        EqsatError: The run ended without a result.
    """
    from eqsat.egglog.commands import drop_egraphs
    from eqsat.pipeline.optimizer import optimize
    from rl.searches import SEARCHES, check_installed

    check_installed(job.search, is_trained=job.budget.training_s > 0)
    try:
        return optimize(job, emit, searches=SEARCHES)
    except InvalidModelError as error:
        raise ModelError(str(error)) from error
    finally:
        gc.collect()
        drop_egraphs()


def main(arguments: Sequence[str]) -> int:
    """Run the job in the file that the only argument names, and return the exit code."""
    (job_path,) = arguments
    die_with_parent()
    _end_without_reader()
    channel = _take_stdout()
    faulthandler.enable()

    def send(message: Message) -> None:
        channel.write(to_line(message) + "\n")
        channel.flush()

    def report_crash(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        sys.__excepthook__(kind, error, traceback)
        said = str(error).partition("\n")[0]
        send(Failure(kind="EqsatError", message=f"{INTERNAL}{kind.__name__}: {said}"))

    sys.excepthook = report_crash
    job = Job.from_json(Path(job_path).read_text(encoding="utf-8"))
    try:
        send(run_job(job, send))
    except MemoryError:
        said = "there was no more memory (--max-enodes keeps the search smaller)"
        send(Failure(kind=BudgetError.__name__, message=said))
        return BudgetError.exit_code
    except EqsatError as error:
        send(Failure.of(error))
        return error.exit_code
    except OSError as error:
        full = StorageError.of(error)
        if full is None:
            raise
        send(Failure.of(full))
        return full.exit_code
    return 0


def _take_stdout() -> TextIO:
    """Return the real stdout as a private stream and send everything else that is printed to stderr.

    Neither a library that prints nor a child process can then write between the messages, or hold the pipe open.
    """
    private = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(private, "w", encoding="utf-8")


def _end_without_reader() -> None:
    """End this process where its parent has ended before it could be tied to it: nobody reads what it would say."""
    reader = select.poll()
    reader.register(1, 0)
    if any(event & select.POLLERR for _, event in reader.poll(0)):
        sys.exit("the process that started this one has ended")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
