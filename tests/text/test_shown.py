"""Nothing from a model, a rules file or a library reaches the terminal as a control sequence, on any face."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import onnx
import onnx.helper
import pytest
from rich.console import Console
from rich.table import Table

import eqsat.cli.console
import eqsat.cli.run
from eqsat.cli.face import call
from eqsat.cli.screen import Verbosity, screen
from eqsat.errors import ModelError
from eqsat.pipeline.events import Event, Stage
from eqsat.pipeline.report import Report
from eqsat.pipeline.report_parts import OperatorCounts, RuleUse
from eqsat.pipeline.table import headline, summary
from eqsat.text.shown import PlainConsole, one_line, plain
from tests.cli.fake_worker import OPTIMIZED

TITLE = "\x1b]0;owned\x07"
"""Sets the title of a terminal's window."""

HOSTILE = (TITLE, "\x9b31m", "a\u202eb", "back\b\b\b", "\x7f", "\x00", "\ud800", "\u2028")


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_not_printable_is_an_escape(text: str) -> None:
    assert not text.isprintable()
    assert plain(text).isprintable()
    assert plain(plain(text)) == plain(text)


@pytest.mark.parametrize("text", ["größe 模型 🚀", "a\tb\nc", "  two  spaces", "[bold]"])
def test_what_is_printable_stays(text: str) -> None:
    assert plain(text) == text


def test_one_line_is_one_line() -> None:
    assert one_line(" a  b\n\r\n  c\td\x1b[2J ") == "a  b c d\\x1b[2J"


def shown_on_a_terminal(report: Report, event: Event) -> str:
    file = StringIO()
    console = PlainConsole(file=file, force_terminal=True, width=120)
    with screen(console, Verbosity.NORMAL, 90.0) as live:
        live.show(event)
    with screen(console, Verbosity.VERBOSE, 90.0) as lines:
        lines.show(event)
    console.print(summary(report, is_verbose=True))
    console.print(headline(report), markup=False)
    return file.getvalue()


def test_a_run_on_a_terminal_has_only_its_own_control_sequences() -> None:
    def with_name(name: str) -> str:
        report = replace(
            OPTIMIZED,
            reason=f"reason {name}",
            rules=(RuleUse(name=f"rule{name}", applied=1),),
            operators=OperatorCounts(before={f"Operator{name}": 1}),
        )
        return shown_on_a_terminal(report, Event(stage=Stage.SEARCH, message=f"message {name}"))

    assert "\x1b[" in with_name("")
    for hostile in HOSTILE:
        text = with_name(hostile)
        assert hostile not in text
        assert plain(hostile) in text


def test_tables_of_text_are_plain_too() -> None:
    file = StringIO()
    table = Table()
    table.add_column(TITLE)
    table.add_row(f"cell {TITLE}")
    PlainConsole(file=file, width=80).print(table)
    Console(file=(raw := StringIO()), width=80).print(table)
    assert "\x1b" in raw.getvalue(), "rich lets it through"
    assert plain(file.getvalue()) == file.getvalue()


def test_errors_and_warnings_are_plain(
    model_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found: list[Report | Exception] = [replace(OPTIMIZED, warnings=(TITLE,), fault=TITLE), ModelError(TITLE)]

    def supervise(*_: object, **__: object) -> Report:
        outcome = found.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(eqsat.cli.run, "supervise", supervise)
    assert [call(eqsat.cli.run.app, [str(model_path), "-q"]) for _ in range(2)] == [1, 3]
    assert call(eqsat.cli.run.app, [str(model_path), f"--{TITLE}"]) == 2
    out, err = capsys.readouterr()
    assert out + plain(err) == err
    assert len(err.splitlines()) == 4


def test_rules_faces_are_plain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = onnx.helper.make_node("Relu", ["x"], [f"y{TITLE}"], name=f"node{TITLE}")
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph([node], "g", [value("x", 1, [2])], [value(f"y{TITLE}", 1, [2])])
    path = tmp_path / "model.onnx"
    onnx.save_model(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9), path)
    assert call(eqsat.cli.console.app, ["rules", "new", "--from", str(path), "--nodes", f"node{TITLE}"]) == 0
    assert call(eqsat.cli.console.app, ["rules", "show", TITLE]) != 0
    out, err = capsys.readouterr()
    assert "Relu" in out
    assert plain(out + err) == out + err
