"""Progress and tables, rendered to text."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from eqsat.cli.screen import LiveScreen, Verbosity, screen
from eqsat.pipeline.events import Event, Stage
from eqsat.pipeline.report import Report
from eqsat.pipeline.report_parts import (
    Amounts,
    EGraphSize,
    InputAccount,
    OperatorCounts,
    RuleUse,
    SessionChoice,
    SizeBytes,
    Status,
)
from eqsat.pipeline.table import headline, summary
from tests.cli.fake_worker import OPTIMIZED, UNCHANGED

EVENTS = (
    Event(stage=Stage.LOAD, message="a [bold]model[/bold]"),
    Event(stage=Stage.SEARCH, message="10 e-nodes", fraction=0.25),
    Event(stage=Stage.SEARCH, message="20 e-nodes", fraction=0.5, best_speedup=1.5),
)


def shown(verbosity: Verbosity, *, is_terminal: bool) -> str:
    file = StringIO()
    console = Console(file=file, force_terminal=is_terminal, width=120)
    with screen(console, verbosity, 90.0) as screen_:
        for event in EVENTS:
            screen_.show(event)
    return file.getvalue()


def rendered(report: Report, *, is_verbose: bool = False) -> str:
    file = StringIO()
    Console(file=file, width=1000).print(summary(report, is_verbose=is_verbose))
    return file.getvalue()


@pytest.mark.parametrize(
    ("verbosity", "lines"),
    [
        (Verbosity.QUIET, []),
        (Verbosity.NORMAL, ["load: a [bold]model[/bold]", "search: 10 e-nodes"]),
        (
            Verbosity.VERBOSE,
            ["load: a [bold]model[/bold]", "search: 10 e-nodes", "search: 20 e-nodes  (best so far 1.50x)"],
        ),
    ],
)
def test_a_file_gets_plain_lines(verbosity: Verbosity, lines: list[str]) -> None:
    assert shown(verbosity, is_terminal=False).splitlines() == lines


def test_a_terminal_gets_one_line_that_is_kept_up_to_date() -> None:
    text = shown(Verbosity.NORMAL, is_terminal=True)
    assert "20 e-nodes" in text
    assert "best 1.50x" in text
    assert shown(Verbosity.QUIET, is_terminal=True) == ""


@pytest.mark.parametrize("width", [60, 100])
def test_the_live_line_fits_and_leaves_room_for_an_echo(width: int) -> None:
    now = [100.0]
    line = LiveScreen(192.0, clock=lambda: now[0])
    now[0] += 67.0
    message = "against the input, pair 3 of 9 at most, and more than fits on a narrow terminal"
    line.show(Event(stage=Stage.MEASURE, message=message, fraction=0.25, best_speedup=1.5))
    file = StringIO()
    Console(file=file, width=width, force_terminal=True, color_system=None).print(line)
    (text,) = file.getvalue().splitlines()
    assert len(text) <= width - 4
    assert "measure   25% 2:05 left best 1.50x against the i" in text
    now[0] += 1000.0
    file.truncate(0)
    Console(file=file, width=width).print(line)
    assert "0:00 left" in file.getvalue()


def test_the_headline_says_what_became_of_the_model() -> None:
    assert headline(OPTIMIZED) == "1.20x faster: 2 nodes became 1"
    assert headline(replace(OPTIMIZED, latency=None)) == "optimised, not measured: 2 nodes became 1"
    assert headline(UNCHANGED) == "unchanged: nothing faster was found"


def test_the_tuned_session_has_a_row_of_its_own() -> None:
    session = SessionChoice(
        graph_optimization_level="ORT_ENABLE_EXTENDED",
        disabled_optimizers=("GeluFusion",),
        speedup=1.5,
        speedup_low=1.4,
        speedup_high=1.6,
    )
    text = rendered(replace(OPTIMIZED, session=session))
    assert "1.500x │ 1.400 to 1.600, ORT_ENABLE_EXTENDED, no GeluFusion" in text


def test_the_table_says_at_which_shapes() -> None:
    inputs = InputAccount(
        source="random",
        shapes={"ids": (1, 128), "rate": ()},
        assumed_sizes={"sequence": 128},
        verified_at=({"ids": (1, 128), "rate": ()}, {"ids": (2, 8), "rate": ()}),
        draws={"ordinary": 3, "tiny": 2},
        assumptions=("rate is [red]7",),
    )
    text = " ".join(rendered(replace(OPTIMIZED, inputs=inputs)).split())
    assert "random │ ids 1x128, rate scalar" in text
    assert "assumed │ sequence=128 (--input-shape)" in text
    assert "assumed │ rate is [red]7 (--inputs)" in text
    assert "5 sets of inputs, 2 shapes" in text


def test_ratio_and_latencies_agree_and_say_what_they_are() -> None:
    latency = OPTIMIZED.latency
    assert latency is not None
    text = " ".join(rendered(replace(OPTIMIZED, latency=replace(latency, promised=1.31))).split())
    assert "latency │ 1.200 ms │ 1.000 ms │ median of 5 pairs, CPUExecutionProvider, 2 threads" in text
    assert "speed-up │ │ 1.200x │ 1.150 to 1.250, 1.310x promised by prices" in text


def test_an_unchanged_model_has_its_latency_and_is_not_called_verified() -> None:
    text = " ".join(rendered(replace(UNCHANGED, original_us=2500.0, output="a.opt.onnx")).split())
    assert "latency │ 2.500 ms │ │ of the input by itself" in text
    assert "yes" not in text
    assert "nothing to verify: the output is the input" in text


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [(999, 1, "999 │ 1"), (12_345, 999_999, "12.3 k │ 1 M"), (7_000_000_000, 65_000_000, "7 G │ 65 M")],
)
def test_numbers_are_short(before: int, after: int, words: str) -> None:
    text = " ".join(rendered(replace(OPTIMIZED, parameters=Amounts(before=before, after=after))).split())
    assert f"parameters │ {words}" in text


@pytest.mark.parametrize(("count", "words"), [(200, "200 bytes"), (4096, "4.0 KiB"), (3 << 30, "3.0 GiB")])
def test_small_files_are_no_files_of_zero_mebibytes(count: int, words: str) -> None:
    assert words in rendered(replace(OPTIMIZED, size_bytes=SizeBytes(before=count, after=count)))


def test_a_bare_report_has_a_table_too() -> None:
    text = rendered(Report(status=Status.UNCHANGED, reason=""))
    assert "latency" not in text
    assert "rules" not in text


def test_long_lists_are_cut_unless_all_is_asked_for() -> None:
    report = replace(
        OPTIMIZED,
        rules=tuple(RuleUse(name=f"rule-{number}", applied=1) for number in range(20)),
        operators=OperatorCounts(before={f"Op{number}": 1 for number in range(20)}),
        egraph=EGraphSize(num_enodes=1, num_eclasses=1, stop_reason="saturated"),
    )
    short, whole = " ".join(rendered(report).split()), " ".join(rendered(report, is_verbose=True).split())
    assert "rule-19" not in short
    assert short.count("8 more") == 2
    assert "rule-19 1" in whole
    assert "more" not in whole
