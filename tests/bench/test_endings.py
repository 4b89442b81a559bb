"""Two agents, one paid by prices and one by the clock: both end measured by the clock."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench import endings
from bench.endings import Ended, table
from bench.learners import Effort
from rl.env.prices import TablePrices
from rl.env.rewards import Ending
from rl.env.tasks import Task
from tests.rl.worlds import branch_task

EFFORT = Effort(num_updates=1, num_episodes=1, growth=3.0)


class Clock:
    """Says that every finalist gains a quarter; counts how often it was asked."""

    def __init__(self, **_: object) -> None:
        self.num_asked = 0

    def __call__(self, ending: Ending) -> float:
        self.num_asked += 1
        return 0.25


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return branch_task(tmp_path)


def test_what_is_found_is_measured(task: Task) -> None:
    clock = Clock()
    found = endings.train(task, EFFORT, 0, is_measured=False, clock=clock)  # type: ignore[arg-type]
    assert (found.model, found.is_measured, found.gain, clock.num_asked) == (task.name, False, 0.25, 1)
    assert 0.0 <= found.priced_gain < 1.0


def test_the_clock_pays_where_it_is_asked_to(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Paying:
        def __call__(self, ending: Ending) -> float:
            asked.append(ending.task.name)
            return 0.25

    monkeypatch.setattr("rl.env.measured_gain.MeasuredGain", Paying)
    effort = Effort(num_updates=2, num_episodes=4, growth=30.0)
    endings.train(task, effort, 0, is_measured=True, clock=Clock())  # type: ignore[arg-type]
    assert set(asked) == {task.name}


def test_the_command_writes_what_both_found(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(endings, "MeasuredGain", Clock)
    monkeypatch.setattr("rl.env.measured_gain.MeasuredGain", Clock)
    monkeypatch.setattr(endings, "exported_task", lambda name, *_: (replace(task, name=name), TablePrices()))
    path = tmp_path / "out.json"
    flags = ["--models", "one", "--seeds", "1", "--updates", "1", "--json", str(path)]
    assert endings.main([*flags, "--database", str(tmp_path / "prices.sqlite")]) == 0
    ended = json.loads(path.read_text())["ended"]
    assert [(each["model"], each["is_measured"], each["gain"]) for each in ended] == [
        ("one", False, 0.25),
        ("one", True, 0.25),
    ]
    assert "by the clock" in capsys.readouterr().out


def test_the_table_has_medians_and_ranges() -> None:
    found = [
        Ended(model="m", is_measured=is_measured, seed=seed, priced_gain=0.2, gain=gain)
        for is_measured, gains in ((False, (0.1, 0.3, 0.2)), (True, (0.4, 0.5, 0.6)))
        for seed, gain in enumerate(gains)
    ]
    first, second = table(found).splitlines()[1:]
    assert first.endswith("20.0%  10.0% to 30.0%")
    assert second.endswith("50.0%  40.0% to 60.0%")
