"""The commands around the agent: what they compare, what is best known, and what calibration writes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bench import agent, calibrate
from eqsat.prices.pricing import Pricer
from rl.comparison.ledger import PriceBook
from rl.env.prices import PriceSource, TablePrices
from rl.families.prices import ANY
from tests.rl.worlds import branch_task


class TableDevice:
    """A device whose prices are those of the table."""

    name = "table"

    def __init__(self, database: Path | None, *, threads: int = 0) -> None:
        self.database, self.threads = database, threads

    def __enter__(self) -> TableDevice:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def prices(self, opset: int) -> PriceSource:
        return TablePrices()


@pytest.fixture(autouse=True)
def no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "Device", TableDevice)


FLAGS = ["--policies", "none", "--searches", "saturate,greedy", "--seconds", "20"]


def test_toys_are_compared_and_their_prices_are_kept(tmp_path: Path) -> None:
    flags = ["--toys", "--only", "squeezenet", "--prices", str(tmp_path / "prices.json"), *FLAGS]
    assert agent.main([*flags, "--json", str(tmp_path / "out.json")]) == 0
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["tasks"] == ["squeezenet"]
    (only,) = document["comparisons"]
    assert only["limits"]["max_enodes"] == 2_000
    assert {each["contender"] for each in only["attempts"]} == {"saturate", "greedy"}
    kept = json.loads((tmp_path / "prices.json").read_text())
    assert len(kept) >= only["attempts"][0]["num_measurements"] > 0

    costly = dict.fromkeys(kept, 1000.0)
    (tmp_path / "prices.json").write_text(json.dumps(costly))
    assert agent.main([*flags, "--json", str(tmp_path / "out.json")]) == 0
    again = json.loads((tmp_path / "out.json").read_text())
    assert again["comparisons"][0]["attempts"][0]["initial_us"] >= 1000.0


def test_the_best_known_graph_is_found_with_a_larger_budget(tmp_path: Path) -> None:
    task = branch_task(tmp_path)
    given = agent.parser().parse_args(["--toys", "--best-searches", "saturate", "--max-steps", "1", *FLAGS])
    given.max_enodes = 1
    given.best_factor = 1
    small = agent.best_known([(task, PriceBook(source=TablePrices()))], given)
    given.best_factor = 100
    large = agent.best_known([(task, PriceBook(source=TablePrices()))], given)
    assert large["branches"] < small["branches"]


def test_a_wrong_flag_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    flags = ["--toys", "--only", "resnext", "--prices", str(tmp_path / "p.json"), "--policies", "none"]
    assert agent.main([*flags, "--searches", "psychic"]) == 2
    assert "there is no search 'psychic'" in capsys.readouterr().err


def test_calibration_fits_each_kernel_that_was_measured_often_enough() -> None:
    pricer: Pricer = None  # type: ignore[assignment]  # nothing is measured here
    recorder = calibrate.Recorder(pricer, math.inf)
    recorder.samples["Add"] = [(work, 1.0 + 0.5 * work) for work in (0.0, 1.0, 2.0, 8.0, 50.0)]
    recorder.samples["Conv"] = [(work, 4.0 + 2.0 * work) for work in (0.0, 1.0, 2.0, 8.0, 50.0)]
    recorder.samples["Rare"] = [(1.0, 7.0)]
    recorder.num_failed["Broken"] = 2
    document = calibrate.document(recorder, "a processor")
    assert document["num_measurements"] == 11
    assert document["not_measurable"] == ["Broken"]
    fits = document["fits"]
    assert isinstance(fits, dict)
    assert fits.keys() == {ANY, "Add", "Conv"}
    assert fits["Add"]["start_us"] == pytest.approx(1.0, rel=0.1)
    assert fits["Conv"]["scale"] == pytest.approx(2.0, rel=0.1)
    assert fits["Add"]["median_relative_error"] < 0.1
