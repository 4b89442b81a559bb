"""The report and the messages: what goes out comes back, and nothing else does."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eqsat.errors import EqsatError, ProviderError, UsageError
from eqsat.pipeline.events import Event, Failure, Message, MessageError, Stage, from_line, to_line
from eqsat.pipeline.report import SCHEMA, Report, ReportFormatError
from eqsat.pipeline.report_parts import EGraphSize, Ending, Extraction, InputAccount, SessionChoice, Status
from eqsat.prices.account import PriceAccount
from tests.cli.fake_worker import OPTIMIZED

FULL = replace(
    OPTIMIZED,
    ending=Ending.TIME_BUDGET,
    output="out.onnx",
    inputs=InputAccount(
        source="given",
        shapes={"x": (1, 3)},
        verified_at=({"x": (1, 3)}, {"x": (0, 3)}),
        draws={"given": 1, "edge": 1},
        assumptions=("k is 4",),
    ),
    session=SessionChoice(
        graph_optimization_level="ORT_ENABLE_EXTENDED",
        disabled_optimizers=("NchwcTransformer",),
        speedup=1.3,
        speedup_low=1.2,
        speedup_high=1.4,
    ),
    egraph=EGraphSize(num_enodes=10, num_eclasses=7, stop_reason="saturated"),
    prices=PriceAccount(num_measured=3, num_cached=2, num_failed=1, num_assumed=4),
    extraction=Extraction(cost_us=5.0, bound_us=None, gap=None),
    peak_rss_bytes=1,
    versions={"eqsat": "0"},
    warnings=("one",),
)

text = st.text(max_size=20)
reports = st.builds(
    Report,
    status=st.sampled_from(Status),
    reason=text,
    output=text,
    verified=st.booleans(),
    max_abs_error=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    seconds=st.dictionaries(text, st.floats(min_value=0.0, max_value=1e9), max_size=3),
    warnings=st.lists(text, max_size=3).map(tuple),
)
fractions = st.none() | st.floats(min_value=0.0, max_value=1.0)
events = st.builds(Event, stage=st.sampled_from(Stage), message=text, fraction=fractions, best_speedup=fractions)
failures = st.builds(Failure, kind=text, message=text)


@pytest.mark.parametrize("report", [FULL, OPTIMIZED, Report(status=Status.UNCHANGED, reason="")])
def test_a_report_survives_json(report: Report) -> None:
    assert Report.from_json(report.to_json()) == report


@given(message=events | failures | reports)
def test_a_message_survives_its_line(message: Message) -> None:
    line = to_line(message)
    assert "\n" not in line
    assert from_line(line) == message


def test_the_schema_comes_first_and_every_field_is_there() -> None:
    keys = list(json.loads(FULL.to_json()))
    assert keys == ["schema", *(field.name for field in fields(Report))]


BY_NAME = {"seconds.", "versions.", "operators.before.", "operators.after.", "inputs.shapes.", "inputs.draws."}
"""Keys whose own keys are names of something."""


def test_every_key_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")

    def names(value: object, prefix: str = "") -> list[str]:
        if not isinstance(value, dict) or prefix in BY_NAME:
            return [prefix.removesuffix(".")]
        return [name for key, inner in value.items() for name in names(inner, f"{prefix}{key}.")]

    missing = [name for name in names(FULL.to_record()) if f"`{name}`" not in page]
    assert not missing


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": SCHEMA + 1}, "schema"),
        ({"status": "better"}, "better"),
        ({"extra": 1}, "extra"),
        ({"latency": {"speedup": 1.0}}, "latency"),
        ({"session": []}, "session"),
        ({"operators": None}, "operators"),
        ({"rules": 3}, "int"),
    ],
)
def test_other_documents_are_refused(change: dict[str, object], said: str) -> None:
    record = FULL.to_record() | change
    with pytest.raises(ReportFormatError, match=said):
        Report.from_json(json.dumps(record))


def test_a_missing_key_is_named() -> None:
    record = FULL.to_record()
    del record["rules"]
    with pytest.raises(ReportFormatError, match="rules"):
        Report.from_record(record)


def test_no_infinite_number_gets_into_a_document() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        replace(OPTIMIZED, max_abs_error=math.inf).to_json()


@pytest.mark.parametrize("line", ["", "nonsense", "{", "{}", '{"event": {}}', '{"event": {"stage": "x"}}', "[1]"])
def test_a_line_that_is_no_message_is_refused(line: str) -> None:
    with pytest.raises(MessageError):
        from_line(line)


@pytest.mark.parametrize("error", [UsageError("a"), ProviderError("b"), EqsatError("c")])
def test_an_error_keeps_its_kind(error: EqsatError) -> None:
    again = Failure.of(error).to_error()
    assert (type(again), str(again)) == (type(error), str(error))


def test_an_error_of_an_unknown_kind_keeps_that_of_its_base() -> None:
    class MoreSpecialError(UsageError):
        pass

    assert type(Failure.of(MoreSpecialError("a")).to_error()) is UsageError
