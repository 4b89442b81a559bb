"""Prices that are measured again: how far they agree, and what is left of a gain by other prices."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from bench import repricing
from eqsat.extraction.problem import ExtractionProblem


def two_ways(own_us: float, first_us: float, second_us: float) -> ExtractionProblem:
    """A model's own e-node, and two others that stand for it."""
    return ExtractionProblem(
        node_class=[0, 0, 0], children=[(), (), ()], cost_us=[own_us, first_us, second_us], num_classes=1, roots=(0,)
    )


def test_a_choice_by_a_wrong_price_promises_much_and_keeps_little() -> None:
    problems = [two_ways(100.0, 40.0, 90.0), two_ways(100.0, 110.0, 90.0)]
    promised, kept = repricing.gains(problems, frozenset({1, 2}))
    assert promised == pytest.approx((0.6 + 0.1) / 2)
    assert kept == pytest.approx((-0.1 + 0.1) / 2)


def test_equal_prices_keep_what_they_promise() -> None:
    promised, kept = repricing.gains([two_ways(100.0, 40.0, 90.0)] * 3, frozenset({1, 2}))
    assert promised == kept == pytest.approx(0.6)


def test_only_prices_that_count_deviate_and_not_by_what_all_have_in_common() -> None:
    tables = [
        {"a": 10.0, "b": 20.0, "tiny": 0.1, "failing": math.inf},
        {"a": 30.0 * math.e, "b": 60.0 / math.e, "tiny": 4.0, "failing": math.inf},
    ]
    assert repricing.deviation(tables) == pytest.approx(math.sqrt(0.5))
    assert repricing.deviation([{"tiny": 1.0}, {"tiny": 2.0}]) == 0.0


def test_the_command_prices_again_and_writes(
    tmp_path: Path, offer_one: Callable[[ModuleType], None], capsys: pytest.CaptureFixture[str]
) -> None:
    offer_one(repricing)
    assert repricing.main(["--models", "one", "--times", "2", "--json", str(tmp_path / "out.json")]) == 0
    (row,) = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert row["promised"] == row["kept"] > 0.1
    assert row["deviation"] == 0.0
    assert row["num_prices"] > 0
    assert "one" in capsys.readouterr().out


def test_one_pricing_says_nothing() -> None:
    with pytest.raises(SystemExit):
        repricing.main(["--times", "1"])


def test_an_unknown_model_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert repricing.main(["--models", "nobody"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
