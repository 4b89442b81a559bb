"""Different graphs of a model are measured once each; the worst are measured again; the table shows both rounds."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from bench import endprice
from rl.env.prices import TablePrices
from rl.env.rewards import Ending
from rl.env.tasks import Task
from rl.world.endprice import Ended
from tests.rl import worlds
from tests.rl.world import trajectories


class Clock:
    """Half of what the prices promise, but each price of a graph is measured only once."""

    def __init__(self, **_: object) -> None:
        self.known: dict[float, float] = {}

    @property
    def num_measured(self) -> int:
        return len(self.known)

    def __call__(self, ending: Ending) -> float:
        cost = ending.selection.cost_us
        if cost == ending.initial_us:
            return 0.0
        return self.known.setdefault(cost, 0.5 * (1.0 - cost / ending.initial_us))


def task_of(folder: Path, num_blocks: int, name: str) -> Task:
    return replace(worlds.branch_task(folder, num_blocks, name=name), prices=TablePrices())


@pytest.fixture
def found(tmp_path: Path) -> list[tuple[Ended, Ending]]:
    model, clock = trajectories.model(), Clock()
    graphs = []
    for number, name in enumerate(("one", "two", "three")):
        task = task_of(tmp_path / name, 6 + number, name)
        graphs += endprice.gathered(task, model, clock, 3, number)  # type: ignore[arg-type]
    return graphs


def test_graphs_differ_and_say_what_prices_promise(found: list[tuple[Ended, Ending]]) -> None:
    assert {ended.family for ended, _ in found} == {"one", "two", "three"}
    assert len({(ended.family, ended.promised) for ended, _ in found}) == len(found)
    for ended, ending in found:
        promised = 1.0 - ending.selection.cost_us / ending.initial_us
        assert 1.0 - np.exp(-ended.promised) == pytest.approx(promised, abs=1e-6)
        assert ended.gain == pytest.approx(0.5 * promised)


def test_the_worst_are_measured_again_and_both_rounds_are_shown(found: list[tuple[Ended, Ending]]) -> None:
    ended = [each for each, _ in found]
    first, foreseen = endprice.foretold("once", ended)
    assert len(foreseen) == len(ended)
    assert set(first.prices) == set(first.learned) == {"one", "two", "three", "all"}
    again, change = endprice.remeasured(found, [0], Clock())  # type: ignore[arg-type]
    assert [each.num_measurements for each in again] == [2] + [1] * (len(ended) - 1)
    assert again[0].gain == pytest.approx(ended[0].gain)
    assert change == pytest.approx(0.0, abs=1e-9)
    second, _ = endprice.foretold("worst again", again)
    text = endprice.table([first, second])
    assert text.count("all") == 2
    assert "worst again" in text


def test_results_can_be_learnt_from_later(
    found: list[tuple[Ended, Ending]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graphs = [{**asdict(each), "row": each.row.tolist()} for each, _ in found]
    (tmp_path / "results.json").write_text(json.dumps({"graphs": graphs}))
    again = endprice.ended_of(tmp_path / "results.json")
    assert [each.measured for each in again] == [each.measured for each, _ in found]
    assert endprice.main(["--fit", str(tmp_path / "results.json")]) == 0
    assert "three" in capsys.readouterr().out
