"""The command line: flags, exit codes, what it prints."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import eqsat
import eqsat.cli.console
import eqsat.cli.run
import eqsat.pipeline.output
from eqsat.cli.face import call
from eqsat.errors import BudgetError, EqsatError, ModelError, ProviderError, RulesError, VerificationError
from eqsat.pipeline.events import Event
from eqsat.pipeline.job import Budget, Job, Prices, Target
from eqsat.pipeline.report import Report
from eqsat.pipeline.report_parts import Ending, Status
from eqsat.text.arguments import Growth
from tests.cli import fake_worker

Run = Callable[..., int]


class Supervisor:
    """Stands in for the supervisor: keeps the job, gives the report or raises the error it is told to."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.outcome: Report | BaseException = fake_worker.OPTIMIZED

    def __call__(
        self, job: Job, *, isolation: object, on_event: Callable[[Event], None], is_interrupted: Callable[[], bool]
    ) -> Report:
        self.jobs.append(job)
        if isinstance(self.outcome, Report):
            return self.outcome
        raise self.outcome


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    stand_in = Supervisor()
    monkeypatch.setattr(eqsat.cli.run, "supervise", stand_in)
    return stand_in


def run(*arguments: object) -> int:
    return call(eqsat.cli.run.app, [str(each) for each in arguments])


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the only line on stderr, which is an error; nothing is on stdout."""
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("eqsat: error: ")
    return line


def test_flags_become_a_job(supervisor: Supervisor, model_path: Path) -> None:
    code = run(
        model_path, "out.onnx", "--provider", "cuda,cpu", "--threads", 2, "--input-shape", "x:0:1,3", "--input-shape",
        "y:4x5", "--rules", "a.egg", "--rules", "b.egg", "--skip-rules", "p,q", "--enable-rules", "r", "--search",
        "greedy", "--search-option", "width=3", "--time-budget", "10m", "--memory-limit", "2GiB", "--max-enodes", 99,
        "--target", "portable", "--strict", "--check", 5, "--seed", 7, "--cost-db", "prices.sqlite",
        "--prices", "needed", "--max-growth", "25%",
    )  # fmt: skip
    assert code == 0
    assert supervisor.jobs == [
        Job(
            input_path=str(model_path),
            output_path="out.onnx",
            providers=("CUDAExecutionProvider", "CPUExecutionProvider"),
            threads=2,
            input_shapes={"x:0": (1, 3), "y": (4, 5)},
            rule_files=("a.egg", "b.egg"),
            skip_rules=("p", "q"),
            enable_rules=("r",),
            search="greedy",
            search_options={"width": "3"},
            prices=Prices.NEEDED,
            budget=Budget(time_s=600.0, memory_bytes=2 * 2**30, max_enodes=99),
            target=Target.PORTABLE,
            max_growth=Growth(share=0.25, num_bytes=0),
            is_strict=True,
            num_checks=5,
            seed=7,
            cost_db="prices.sqlite",
        )
    ]


def test_the_defaults_are_those_of_the_job(supervisor: Supervisor) -> None:
    assert run("folder/a.onnx") == 0
    assert supervisor.jobs == [Job(input_path="folder/a.onnx", output_path="folder/a.opt.onnx")]


def test_inputs_and_libraries_are_named_in_full(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("feeds.npz", "one.so", "two.so"):
        (tmp_path / name).touch()
    code = run("a.onnx", "--inputs", "feeds.npz", "--custom-ops", "one.so", "--custom-ops", "two.so")
    assert code == 0
    assert run("a.onnx", "--inputs", "my.module:feeds") == 0
    job, other = supervisor.jobs
    assert job.inputs == str(tmp_path / "feeds.npz")
    assert job.custom_ops == (str(tmp_path / "one.so"), str(tmp_path / "two.so"))
    assert other.inputs == "my.module:feeds"
    assert Job.from_json(job.to_json()) == job


@pytest.mark.parametrize("search", ["ppo", "auto"])
def test_time_to_learn_comes_on_top(supervisor: Supervisor, search: str) -> None:
    assert run("a.onnx", "--search", search, "--train-budget", "10m", "--time-budget", "60s") == 0
    assert supervisor.jobs[0].budget == Budget(time_s=60.0, training_s=600.0)


def test_the_end_is_a_table(supervisor: Supervisor, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("a.onnx") == 0
    out = capsys.readouterr().out
    for text in ("Relu -1", "1.200 ms", "1.000 ms", "1.200x", "1.150 to 1.250", "relu-relu 1", "1.00e-06"):
        assert text in out
    assert "1.20x faster: 2 nodes became 1" in out


def test_a_file_that_stays_is_said_to(supervisor: Supervisor, capsys: pytest.CaptureFixture[str]) -> None:
    supervisor.outcome = replace(fake_worker.UNCHANGED, output="a.opt.onnx", kept=True)
    assert run("a.onnx", "--force") == 0
    assert supervisor.jobs[0].is_forced
    assert "kept a.opt.onnx, which an earlier run found to be faster" in capsys.readouterr().out


def test_quiet_says_nothing(supervisor: Supervisor, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("a.onnx", "-q") == 0
    assert capsys.readouterr() == ("", "")


def test_quiet_hides_no_warning(supervisor: Supervisor, capsys: pytest.CaptureFixture[str]) -> None:
    supervisor.outcome = replace(fake_worker.OPTIMIZED, warnings=("rule a\nis wrong",))
    assert run("a.onnx", "-q") == 0
    assert capsys.readouterr() == ("", "warning: rule a is wrong\n")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (replace(fake_worker.OPTIMIZED, output="a.opt.onnx"), "a.opt.onnx holds the best result"),
        (replace(fake_worker.UNCHANGED, output="a.opt.onnx"), "a.opt.onnx holds a copy of the input"),
        (fake_worker.OPTIMIZED, "nothing was to be written"),
    ],
)
@pytest.mark.parametrize("ending", [Ending.WORKER_DIED, Ending.INTERRUPTED])
def test_a_fault_is_an_error_though_there_is_a_result(
    supervisor: Supervisor, capsys: pytest.CaptureFixture[str], found: Report, said: str, ending: Ending
) -> None:
    supervisor.outcome = replace(found, ending=ending, fault="internal error: ours; the log is /tmp/x.log")
    assert run("a.onnx", "-q") == 1
    assert one_line(capsys) == f"eqsat: error: internal error: ours; the log is /tmp/x.log; {said}"


def test_a_fault_of_the_command_itself_names_a_log(
    supervisor: Supervisor, temp_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor.outcome = KeyError("a\nkey")
    assert run("a.onnx", "-q") == 1
    line = one_line(capsys)
    (log,) = temp_folder.iterdir()
    assert line.startswith("eqsat: error: internal error: KeyError: ")
    assert line.endswith(f"; the log is {log}")
    assert "Traceback" in log.read_text()


def test_json_goes_to_a_file(supervisor: Supervisor, tmp_path: Path) -> None:
    assert run("a.onnx", "--json", tmp_path / "report.json") == 0
    assert Report.from_json((tmp_path / "report.json").read_text()) == fake_worker.OPTIMIZED


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (replace(fake_worker.OPTIMIZED, output="a.opt.onnx"), 8),
        (replace(fake_worker.OPTIMIZED, output="a.opt.onnx", ending=Ending.INTERRUPTED), 130),
        (replace(fake_worker.OPTIMIZED, output="a.opt.onnx", fault="internal error: ours"), 1),
    ],
)
def test_a_report_that_cannot_be_written_does_not_hide_the_result(
    supervisor: Supervisor,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    found: Report,
    code: int,
) -> None:
    def full(path: Path, text: str) -> None:
        raise EqsatError(f"{path} cannot be written: No space left on device")

    monkeypatch.setattr(eqsat.pipeline.output, "write_text", full)
    supervisor.outcome = found
    assert run("a.onnx", "-q", "--json", "report.json") == code
    said = "the report could not be written: report.json cannot be written: No space left on device"
    assert f"eqsat: error: {said}; a.opt.onnx holds the best result" in capsys.readouterr().err


def test_json_on_stdout_is_alone_there(supervisor: Supervisor, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("a.onnx", "--json", "-") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["schema"] == 1
    assert "1.20x faster" in err


def test_a_dry_run_has_no_output(supervisor: Supervisor) -> None:
    assert run("a.onnx", "--dry-run") == 0
    assert supervisor.jobs[0].output_path == ""


def test_an_interrupted_run_with_a_result_exits_with_130(supervisor: Supervisor) -> None:
    supervisor.outcome = Report(status=Status.OPTIMIZED, reason="so far", ending=Ending.INTERRUPTED)
    assert run("a.onnx") == 130


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EqsatError("said"), 1),
        (ModelError("said"), 3),
        (RulesError("said"), 4),
        (VerificationError("said"), 5),
        (BudgetError("said"), 6),
        (ProviderError("said"), 7),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_are_one_line_and_a_code(
    supervisor: Supervisor, capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    supervisor.outcome = error
    assert run("a.onnx", "-q") == code
    assert ("said" if str(error) else "interrupted") in one_line(capsys)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "INPUT is missing"),
        (("a.onnx", "--nonsense"), "--nonsense"),
        (("a.onnx", "--thread", "2"), "there is no flag --thread; did you mean '--threads'?"),
        (("a.onnx", "--max-node", "2"), "'--max-enodes'"),
        (("a.onnx", "--prices", "neded"), "'neded' is not one of 'needed', 'all', 'auto'; did you mean 'needed'?"),
        (("a.onnx", "--threads", "many"), "--threads"),
        (("a.onnx", "--threads", "-1"), "--threads"),
        (("a.onnx", "--check", "0"), "--check"),
        (("a.onnx", "--target", "moon"), "--target"),
        (("a.onnx", "--inputs", "nowhere.npz"), "--inputs nowhere.npz does not exist"),
        (("a.onnx", "--custom-ops", "nowhere.so"), "--custom-ops nowhere.so is no file"),
        (("a.onnx", "--time-budget", "soon"), "soon"),
        (("a.onnx", "--time-budget", "0"), "'0'"),
        (("a.onnx", "--memory-limit", "6Gi"), "6Gi"),
        (("a.onnx", "--input-shape", "x"), "--input-shape 'x'"),
        (("a.onnx", "--input-shape", "x:"), "--input-shape"),
        (("a.onnx", "--input-shape", "x:1,-1"), "--input-shape"),
        (("a.onnx", "--input-shape", "x:1,0"), "zero"),
        (("a.onnx", "--input-shape", "x:1", "--input-shape", "x:2"), "twice"),
        (("a.onnx", "--search-option", "width"), "--search-option"),
        (("a.onnx", "--search", "saturate", "--train-budget", "1m"), "--train-budget"),
        (("a.onnx", "--search", "world-model", "--train-budget", "1m"), "searches that learn (ppo, auto)"),
        (("a.onnx", "-v", "-q"), "exclude"),
        (("a.onnx", "b.onnx", "--dry-run"), "--dry-run"),
        (("a.onnx", "b.onnx", "c.onnx"), "3 files are given"),
        (("a.onnx", "--json", "a.onnx"), "is the model"),
        (("a.onnx", "--json", "a.opt.onnx"), "is the model"),
        (("a.onnx", "--json", "missing/report.json"), "missing"),
    ],
)
def test_wrong_flags_are_usage_errors(
    supervisor: Supervisor, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert run(*arguments) == 2
    assert said in one_line(capsys)
    assert not supervisor.jobs


def test_files_that_are_no_models_exit_with_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.onnx").touch()
    os.mkfifo(tmp_path / "pipe.onnx")
    with socket.socket(socket.AF_UNIX) as listener, (tmp_path / "huge.onnx").open("wb") as huge:
        monkeypatch.chdir(tmp_path)  # the path of a socket is short
        listener.bind("socket.onnx")
        huge.truncate(2**31)
        for name, said in (
            ("missing.onnx", "does not exist"),
            ("empty.onnx", "is empty"),
            ("", "is a folder"),
            ("pipe.onnx", "is a pipe or a device"),
            ("socket.onnx", "is a pipe or a device"),
            ("/dev/zero", "is a pipe or a device"),
            ("huge.onnx", "less than 2 GiB"),
            (os.fsdecode(b"caf\xe9.onnx"), "caf\\udce9.onnx has a name that is not UTF-8"),
        ):
            assert run(tmp_path / name, tmp_path / "out.onnx", "-q") == 3
            assert said in one_line(capsys)
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="writes to /proc")
@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("/proc/out.onnx", "cannot be written to"),
        ("/nowhere/out.onnx", "does not exist"),
        ("out.txt", "does not end in .onnx"),
        ("folder.onnx", "is a folder"),
    ],
)
def test_outputs_that_cannot_be_written_exit_with_2(
    model_path: Path, capsys: pytest.CaptureFixture[str], output: str, said: str
) -> None:
    (model_path.parent / "folder.onnx").mkdir()
    assert run(model_path, model_path.parent / output, "-q") == 2
    assert said in one_line(capsys)


def test_the_version_and_the_help_exit_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"eqsat {eqsat.__version__}\n"
    assert run("--help") == 0
    assert "--input-shape" in capsys.readouterr().out


def test_rules_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.egg"
    path.write_text(
        "; SOURCE    by definition\n; FLOATS    exact\n"
        '(rewrite (Relu (Relu x)) (Relu x) :ruleset simp :name "relu-of-relu")\n'
    )
    assert run("--list-rules", "--rules", path) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "relu-of-relu" in line]
    for cell in ("simp", "exact", "by definition"):
        assert cell in line


def test_a_broken_rules_file_exits_with_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.egg"
    path.write_text("(rewrite (Relu x)\n")
    assert run("--list-rules", "--rules", path) == 4
    assert f"{path}:1:" in one_line(capsys)


def test_the_console_script_has_run_as_a_command(supervisor: Supervisor, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(eqsat.cli.console.app, ["run", "a.onnx", "-q"]) == 0
    assert len(supervisor.jobs) == 1
    assert call(eqsat.cli.console.app, []) == 0
    assert "run" in capsys.readouterr().out
