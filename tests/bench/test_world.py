"""World models against each other: both kinds learn, both are asked the same, and the table has medians and ranges."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from bench import world
from rl.families import Split
from rl.world.evaluate import Evaluation
from rl.world.replay import problems


def test_episodes_are_whole_and_do_not_stop() -> None:
    found = world.episodes(Split.TRAIN, 1, 1)
    assert len(found) == 1
    assert problems(found[0]) == []
    assert found[0].num_moves == found[0].num_steps or not found[0].is_terminated


def test_the_command_asks_both_kinds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(world, "Evaluation", partial(Evaluation, max_steps=3))
    path = tmp_path / "out.json"
    flags = ["--seeds", "1", "--tasks", "1", "--held-out", "1", "--episodes", "1", "--updates", "1"]
    assert world.main([*flags, "--json", str(path)]) == 0
    document = json.loads(path.read_text())
    assert [each["openness"] for each in document["rows"]] == ["mixture", "categorical"]
    assert document["num_steps"] >= 1
    told = document["rows"][0]["foresights"][0]
    assert told["horizon"] == 1
    assert 0.0 <= told["mask_f1"] <= 1.0
    assert "tallies" not in told
    assert "categorical" in capsys.readouterr().out


def test_the_table_has_medians_and_ranges() -> None:
    rows = [
        {"openness": "mixture", "foresights": [{"horizon": 1, **dict.fromkeys(world.NUMBERS, value)}]}
        for value in (0.5, 0.7, 0.9)
    ]
    (line,) = world.table(rows).splitlines()[1:]
    assert line.startswith("mixture")
    assert line.count("0.700 (0.500 to 0.900)") == len(world.NUMBERS)
