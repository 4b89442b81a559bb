"""Each variant leaves out one thing, and the command trains, plays and writes what came of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench import ablation
from rl.agent.network import NetworkConfig
from rl.training.config import DEFAULT, EpisodeConfig, TaskConfig, TrainConfig, read_config

TINY = TrainConfig(
    num_workers=0,
    tasks_per_update=1,
    episodes_per_task=1,
    network=NetworkConfig(hidden=8, embedding=4, num_rounds=1),
    episodes=EpisodeConfig(max_steps=2, max_enodes=1_000),
    tasks=TaskConfig(num_training=1, num_validation=2),
)


def test_a_variant_changes_the_network_or_the_episodes_and_nothing_else() -> None:
    full = read_config(DEFAULT)
    changed = {name: change(full) for name, change in ablation.VARIANTS.items()}
    assert changed.pop("full") == full
    for config in changed.values():
        assert (config.network, config.episodes) != (full.network, full.episodes)
        assert replace(config, network=full.network, episodes=full.episodes) == full
    assert len(set(map(repr, changed.values()))) == len(changed)


def test_the_command_writes_what_came_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ablation, "read_config", lambda _: TINY)
    path = tmp_path / "ablation.json"
    assert ablation.main(["--updates", "1", "--only", "full", "no messages", "--json", str(path)]) == 0
    rows = json.loads(path.read_text())["variants"]
    assert [row["name"] for row in rows] == ["full", "no messages"]
    for row in rows:
        assert len(row["gains"]) == 2
        assert 1 <= row["num_steps"] <= 2
        assert row["gain"] == pytest.approx(sum(row["gains"].values()) / 2)
    assert "real steps" in capsys.readouterr().out
