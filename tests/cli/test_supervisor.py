"""What comes of a run, however its worker ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from eqsat.api.supervisor import Isolation, supervise
from eqsat.errors import BudgetError, EqsatError, ModelError, UsageError
from eqsat.pipeline.events import Event, Stage
from eqsat.pipeline.job import Budget, Job, Target
from eqsat.pipeline.provenance import content_sha256, provenance
from eqsat.pipeline.report import Report
from eqsat.pipeline.report_parts import Ending, Status
from ir.metadata import add_metadata
from tests.cli import fake_worker

SuperviseFake = Callable[[str], Callable[..., Report]]

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def job(model_path: Path) -> Job:
    return Job(input_path=str(model_path), output_path=str(model_path.with_name("model.opt.onnx")))


def is_optimized_output(job: Job) -> bool:
    return onnx.load_model(job.output_path).producer_name == "fake"


def test_a_result_is_written_and_reported(supervise_fake: SuperviseFake, job: Job, temp_folder: Path) -> None:
    before = Path(job.input_path).read_bytes()
    events: list[Event] = []
    report = supervise_fake("best")(job, on_event=events.append)
    assert (report.status, report.ending, report.output) == (Status.OPTIMIZED, Ending.COMPLETED, job.output_path)
    assert report.seconds.keys() == {"search", "total"}
    assert [event.stage for event in events] == [Stage.LOAD, Stage.SEARCH, Stage.WRITE]
    assert is_optimized_output(job)
    assert Path(job.input_path).read_bytes() == before
    assert not list(temp_folder.iterdir())


@linux_only
def test_the_memory_of_the_worker_is_reported(supervise_fake: SuperviseFake, job: Job) -> None:
    assert supervise_fake("unchanged")(job).peak_rss_bytes > 2**20


def test_no_gain_gives_a_copy_of_the_input(supervise_fake: SuperviseFake, job: Job) -> None:
    report = supervise_fake("unchanged")(job)
    assert (report.status, report.reason) == (Status.UNCHANGED, "nothing faster was found")
    assert Path(job.output_path).read_bytes() == Path(job.input_path).read_bytes()


def test_a_dry_run_writes_nothing(supervise_fake: SuperviseFake, job: Job) -> None:
    folder = Path(job.input_path).parent
    before = sorted(folder.iterdir())
    report = supervise_fake("best")(replace(job, output_path=""))
    assert (report.status, report.output) == (Status.OPTIMIZED, "")
    assert sorted(folder.iterdir()) == before


def test_what_a_library_prints_does_not_come_between(supervise_fake: SuperviseFake, job: Job) -> None:
    assert supervise_fake("chatter+best")(job).status is Status.OPTIMIZED


def test_an_error_of_the_user_comes_through_as_it_is(supervise_fake: SuperviseFake, job: Job) -> None:
    with pytest.raises(ModelError, match=r"^model\.onnx: not an ONNX model$"):
        supervise_fake("best+model-error")(job)
    assert not Path(job.output_path).exists()


def test_a_bug_is_one_line_and_keeps_the_log(supervise_fake: SuperviseFake, job: Job, temp_folder: Path) -> None:
    with pytest.raises(EqsatError, match=r"^internal error: ZeroDivisionError: a bug; the log is ") as caught:
        supervise_fake("bug")(job)
    (log,) = temp_folder.iterdir()
    assert str(caught.value).endswith(str(log))
    assert "Traceback" in log.read_text()
    assert not Path(job.output_path).exists()


@pytest.mark.parametrize(("mode", "what"), [("segfault", "killed by SIGSEGV"), ("exit", "exit code 3")])
def test_a_worker_that_dies_is_an_error(supervise_fake: SuperviseFake, job: Job, mode: str, what: str) -> None:
    with pytest.raises(EqsatError, match=what):
        supervise_fake(mode)(job)
    assert not Path(job.output_path).exists()


@pytest.mark.parametrize("mode", ["best+segfault", "best+bug"])
def test_a_worker_that_dies_leaves_its_best(
    supervise_fake: SuperviseFake, job: Job, temp_folder: Path, mode: str
) -> None:
    report = supervise_fake(mode)(job)
    assert (report.status, report.ending) == (Status.OPTIMIZED, Ending.WORKER_DIED)
    assert report.fault.startswith("internal error: ")
    assert is_optimized_output(job)
    (log,) = temp_folder.iterdir()
    assert report.fault.endswith(f"; the log is {log}")


def test_a_worker_that_dies_without_a_word_has_no_log(supervise_fake: SuperviseFake, job: Job) -> None:
    assert supervise_fake("best+exit")(job).fault == "internal error: the worker ended with exit code 3 and no report"
    assert is_optimized_output(job)


def test_the_best_is_kept_where_memory_ends(supervise_fake: SuperviseFake, job: Job) -> None:
    report = supervise_fake("best+memory")(job)
    assert (report.ending, report.fault) == (Ending.MEMORY_LIMIT, "")
    assert "no more memory" in report.warnings[-1]
    assert is_optimized_output(job)
    Path(job.output_path).unlink()
    with pytest.raises(BudgetError, match="no more memory"):
        supervise_fake("memory")(job)


@pytest.mark.parametrize("mode", ["best+litter", "best+litter+segfault", "best+litter+hang"])
def test_what_the_worker_leaves_elsewhere_goes_too(
    supervise_fake: SuperviseFake, job: Job, temp_folder: Path, mode: str
) -> None:
    is_interrupted = [False]

    def interrupt(event: Event) -> None:
        is_interrupted[0] |= event.stage is Stage.MEASURE

    supervise_fake(mode)(job, on_event=interrupt, is_interrupted=lambda: is_interrupted[0])
    assert [path for path in temp_folder.iterdir() if path.suffix != ".log"] == []


def test_the_time_budget_holds(supervise_fake: SuperviseFake, job: Job) -> None:
    with pytest.raises(BudgetError, match=r"time budget of 0\.5 s"):
        supervise_fake("hang")(replace(job, budget=Budget(time_s=0.5)), grace_s=0.0)
    assert not Path(job.output_path).exists()


def test_the_time_begins_with_the_first_word_of_the_worker(supervise_fake: SuperviseFake, job: Job) -> None:
    """What comes before is Python's start. The clock of this test jumps by more than the budget until then."""
    ticks = iter([0.0, 0.0, 0.0, 30.0])
    last = [0.0]

    def clock() -> float:
        last[0] = next(ticks, last[0])
        return last[0]

    report = supervise_fake("best")(replace(job, budget=Budget(time_s=1.0)), clock=clock, grace_s=1.0)
    assert report.ending is Ending.COMPLETED


def test_the_best_is_kept_when_the_time_ends(supervise_fake: SuperviseFake, job: Job) -> None:
    seen: list[Event] = []

    def clock() -> float:
        """Stand still until the best is there, and be late afterwards."""
        has_best = any(event.best_speedup is not None for event in seen)
        return 1e9 if has_best else 0.0

    report = supervise_fake("best+hang")(job, on_event=seen.append, clock=clock)
    assert report.ending is Ending.TIME_BUDGET
    assert is_optimized_output(job)


@linux_only
def test_the_memory_limit_counts_the_children(supervise_fake: SuperviseFake, job: Job) -> None:
    limited = replace(job, budget=Budget(memory_bytes=300 * 2**20))
    with pytest.raises(BudgetError, match=r"memory limit of 0\.293 GiB"):
        supervise_fake("child-eats-memory")(limited)
    assert supervise_fake("best+child-eats-memory")(limited).ending is Ending.MEMORY_LIMIT
    assert is_optimized_output(job)


def test_an_end_that_is_asked_for_keeps_the_best(supervise_fake: SuperviseFake, job: Job) -> None:
    asked: list[Event] = []
    report = supervise_fake("best+hang")(
        job, on_event=asked.append, is_interrupted=lambda: any(event.stage is Stage.MEASURE for event in asked)
    )
    assert report.ending is Ending.INTERRUPTED
    assert is_optimized_output(job)


def test_an_end_that_is_asked_for_while_the_result_is_written_changes_nothing_else(
    supervise_fake: SuperviseFake, job: Job
) -> None:
    asked: list[Event] = []
    report = supervise_fake("best")(
        job, on_event=asked.append, is_interrupted=lambda: any(event.stage is Stage.WRITE for event in asked)
    )
    assert (report.ending, report.warnings) == (Ending.INTERRUPTED, ())
    assert is_optimized_output(job)


@linux_only
def test_an_interrupt_kills_the_worker_and_keeps_the_best(supervise_fake: SuperviseFake, job: Job) -> None:
    pids: list[int] = []

    def interrupt(event: Event) -> None:
        if event.stage is Stage.MEASURE:
            pids.append(int(event.message.split()[1]))
            raise KeyboardInterrupt

    report = supervise_fake("best+hang")(job, on_event=interrupt)
    assert report.ending is Ending.INTERRUPTED
    assert is_optimized_output(job)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_an_interrupt_before_any_result_writes_nothing(supervise_fake: SuperviseFake, job: Job) -> None:
    def interrupt(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        supervise_fake("hang")(job, on_event=interrupt)
    assert not Path(job.output_path).exists()


def test_an_interrupt_with_nothing_but_the_input_writes_nothing(supervise_fake: SuperviseFake, job: Job) -> None:
    def interrupt(event: Event) -> None:
        if event.stage is Stage.MEASURE:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        supervise_fake("kept-input+hang")(job, on_event=interrupt)
    assert not Path(job.output_path).exists()


def _earlier(job: Job, **changes: Any) -> bytes:
    """Put the output of an earlier run in its place, and return it."""
    path = Path(job.output_path)
    onnx.save_model(onnx.load_model(job.input_path), path)
    latency = fake_worker.OPTIMIZED.latency
    add_metadata(path, provenance(replace(job, **changes), latency, {}, content_sha256(Path(job.input_path))).entries())
    return path.read_bytes()


def test_a_faster_model_of_an_earlier_run_is_not_replaced_by_a_copy(supervise_fake: SuperviseFake, job: Job) -> None:
    before = _earlier(job)
    report = supervise_fake("unchanged")(job)
    assert (report.status, report.output, report.kept) == (Status.UNCHANGED, job.output_path, True)
    assert Path(job.output_path).read_bytes() == before


def test_a_faster_model_of_an_earlier_run_is_replaced_where_that_is_forced(
    supervise_fake: SuperviseFake, job: Job
) -> None:
    _earlier(job)
    assert not supervise_fake("unchanged")(replace(job, is_forced=True)).kept
    assert Path(job.output_path).read_bytes() == Path(job.input_path).read_bytes()


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        ({}, {"is_strict": True}, "without --strict"),
        ({}, {"target": Target.PORTABLE}, "without --target portable"),
        ({"rule_files": ("a/own.egg",)}, {}, r"with the rules of own\.egg"),
        ({"enable_rules": ("wide",)}, {}, "with --enable-rules wide"),
        ({"skip_rules": ("one",)}, {"skip_rules": ("one", "two")}, "without --skip-rules two;"),
    ],
)
def test_what_was_made_with_settings_that_are_not_allowed_is_no_result_of_this_run(
    supervise_fake: SuperviseFake, job: Job, then: dict[str, Any], now: dict[str, Any], said: str
) -> None:
    before = _earlier(job, **then)
    with pytest.raises(UsageError, match=said):
        supervise_fake("unchanged")(replace(job, **now))
    assert Path(job.output_path).read_bytes() == before
    assert supervise_fake("unchanged")(replace(job, **then)).kept, "the same settings again"


def test_a_faster_model_of_an_earlier_run_is_replaced_by_another_one(supervise_fake: SuperviseFake, job: Job) -> None:
    _earlier(job)
    assert not supervise_fake("best")(job).kept
    assert is_optimized_output(job)


def test_the_output_of_an_input_that_was_something_else_then_is_replaced(
    supervise_fake: SuperviseFake, job: Job
) -> None:
    _earlier(job)
    model = onnx.load_model(job.input_path)
    model.producer_name = "retrained"
    onnx.save_model(model, job.input_path)
    assert not supervise_fake("unchanged")(job).kept
    assert Path(job.output_path).read_bytes() == Path(job.input_path).read_bytes()


def test_a_file_that_was_not_made_from_the_input_stays(supervise_fake: SuperviseFake, job: Job) -> None:
    output = Path(job.output_path)
    output.write_bytes(b"somebody's only copy")
    with pytest.raises(UsageError, match=r"--force replaces it .*for m in"):
        supervise_fake("best")(job)
    assert output.read_bytes() == b"somebody's only copy"
    supervise_fake("best")(replace(job, is_forced=True))
    assert is_optimized_output(job)


def test_what_was_made_from_another_model_stays(supervise_fake: SuperviseFake, job: Job) -> None:
    before = _earlier(job, input_path="encoder.onnx")
    with pytest.raises(UsageError, match=r"was made from encoder\.onnx, not from model\.onnx"):
        supervise_fake("best")(job)
    assert Path(job.output_path).read_bytes() == before


def test_a_copy_of_the_input_may_be_written_again(supervise_fake: SuperviseFake, job: Job) -> None:
    for _ in range(2):
        assert not supervise_fake("unchanged")(job).kept
    assert Path(job.output_path).read_bytes() == Path(job.input_path).read_bytes()


@pytest.mark.parametrize(("mode", "ending"), [("best", Ending.COMPLETED), ("best+interrupt", Ending.INTERRUPTED)])
def test_the_optimiser_can_run_in_this_process(
    job: Job, install_fake: Callable[[str], None], mode: str, ending: Ending
) -> None:
    install_fake(mode)
    assert supervise(job, isolation=Isolation.NONE).ending is ending
    assert is_optimized_output(job)


def test_the_output_may_not_be_the_input(job: Job) -> None:
    link = Path(job.input_path).with_name("link.onnx")
    link.symlink_to(job.input_path)
    for name in (job.input_path, str(link)):
        with pytest.raises(UsageError, match="is the input"):
            supervise(replace(job, output_path=name))
