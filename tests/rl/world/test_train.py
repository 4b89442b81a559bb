"""The loop: what is played is counted, what is uncertain is played, and what comes out can be used."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from eqsat.errors import UsageError
from rl.agent import checkpoint as policies
from rl.agent.policy import Policy
from rl.agent.statistics import FeatureStatistics
from rl.env.environment import EGraphEnv
from rl.env.observation import FIRST_CANDIDATE, STOP
from rl.training.config import EpisodeConfig
from rl.training.tasks import TaskSplit
from rl.world import train as training
from rl.world.accounts import Account, counted
from rl.world.checkpoint import DESCRIPTION, load, save
from rl.world.collect import choose_tasks, explorer, novelties
from rl.world.config import FitConfig, ImagineConfig, ModelConfig, WorldConfig, read_config
from rl.world.evaluate import Evaluation, evaluate
from rl.world.fit import encode_all
from rl.world.planning import SHIPPED
from tests.rl import worlds
from tests.rl.observations import observation
from tests.rl.world import trajectories

TINY = WorldConfig(
    num_rounds=2,
    tasks_per_round=2,
    episodes_per_task=1,
    validate_every=1,
    device="cpu",
    network=trajectories.TINY,
    model=ModelConfig(hidden=16, candidate_hidden=8, embedding=4, num_rules=64, num_groups=2, num_classes=3),
    fit=FitConfig(num_updates=3, num_encoder_updates=1, num_windows=4, num_encoder_windows=2, horizon=2),
    imagine=ImagineConfig(num_updates=2, num_states=16, horizon=3),
    episodes=EpisodeConfig(max_steps=4),
)


def tiny_tasks(folder: Path) -> TaskSplit:
    chain = worlds.chain_task(folder / "chain")
    return TaskSplit(training=[chain, worlds.branch_task(folder / "branches")], validation=[chain])


def test_a_training_leaves_a_world_model_and_a_policy(tmp_path: Path) -> None:
    said: list[str] = []
    summary = training.train(TINY, partial(tiny_tasks, tmp_path), tmp_path / "out", tell=said.append)
    assert summary.num_rounds == 2
    for folder in (training.WORLD, training.BEST):
        model, _ = load(tmp_path / "out" / folder)
        assert model.config == TINY.model
        observed, _ = trajectories.env(tmp_path).reset(seed=0)
        assert Policy.of(policies.load(tmp_path / "out" / folder)).act([observed])
    points = [json.loads(line) for line in (tmp_path / "out" / training.CURVES).read_text().splitlines()]
    assert [point["round"] for point in points if "validation/gain" in point] == [1, 2]
    last = [point for point in points if "real/steps" in point][-1]
    account = summary.account
    assert last["real/steps"] == account.num_steps
    assert account.num_episodes == 2 + 2 * 2
    assert account.num_steps <= account.num_episodes * 4
    assert account.num_prices > 0
    assert account.num_imagined_steps >= 2 * 2 * 16
    assert len(said) == len(points)


@pytest.mark.parametrize("is_whole", [True, False], ids=["world", "policy"])
def test_a_training_can_start_from_another(tmp_path: Path, is_whole: bool) -> None:
    training.train(replace(TINY, num_rounds=1), partial(tiny_tasks, tmp_path), tmp_path / "one")
    start = tmp_path / "one" / training.WORLD
    if not is_whole:
        (start / DESCRIPTION).unlink()
    config = replace(TINY, start=str(start), num_rounds=0)
    training.train(config, partial(tiny_tasks, tmp_path), tmp_path / "two")
    one, two = (policies.load(tmp_path / folder).weights for folder in ("one/world", "two/best"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    if is_whole:
        first, second = (load(tmp_path / folder)[0].state_dict() for folder in ("one/world", "two/best"))
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_settings_are_read_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "world.toml"
    file.write_text('num_rounds = 3\n[model]\nopenness = "mixture"\n[fit.weights]\ndrop = 2.0\n')
    config = read_config(file)
    assert (config.num_rounds, config.model.openness, config.fit.weights.drop) == (3, "mixture", 2.0)
    for text, message in (
        ('[model]\nopenness = "wide"\n', "openness"),
        ("[episodes]\nis_shaped = false\n", "is_shaped"),
        ("nothing = 1\n", "no such setting"),
        ("=", "TOML"),
    ):
        file.write_text(text)
        with pytest.raises(UsageError, match=message):
            read_config(file)


def test_the_default_settings_are_settings() -> None:
    config = read_config(Path(training.__file__).parent / "default.toml")
    assert (config.start, config.episodes.max_steps) == (training.SHIPPED, 32)
    notes = json.loads((SHIPPED / DESCRIPTION).read_text())["notes"]["config"]
    settings = json.loads(json.dumps(asdict(config)))
    for table in ("fit", "imagine", "episodes", "tasks"):
        assert {**settings[table], **notes[table]} == settings[table], "the shipped one was trained otherwise"


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert training.main(["--config", str(tmp_path / "none.toml"), "--output", str(tmp_path)]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_what_was_never_played_is_most_novel() -> None:
    rng = np.random.default_rng(0)
    novelty = {"a": 0.1, "b": 5.0, "c": 0.2}
    assert set(choose_tasks(["a", "b", "c", "d"], novelty, 2, 1.0, rng)) == {"b", "d"}
    assert len(set(choose_tasks(["a", "b", "c", "d"], novelty, 9, 0.5, rng))) == 4
    drawn = {name for _ in range(40) for name in choose_tasks(["a", "b", "c", "d"], {}, 1, 1.0, rng)}
    assert drawn == {"a", "b", "c", "d"}


def test_members_that_agree_find_nothing_novel() -> None:
    model = trajectories.model(num_members=3)
    encoded = encode_all(model.network, [trajectories.drawn(seed) for seed in range(3)])
    found = novelties(model, encoded, 3, torch.Generator().manual_seed(0))
    assert set(found) == {"drawn-0", "drawn-1", "drawn-2"}
    assert all(each > 0 for each in found.values())
    for number in (1, 2):
        model.member(number).load_state_dict(model.member(0).state_dict())
    agreed = novelties(model, encoded, 3, torch.Generator().manual_seed(0))
    assert max(agreed.values()) == pytest.approx(0.0, abs=1e-9)


def test_an_explorer_takes_what_is_allowed() -> None:
    policy = Policy(trajectories.model().network)
    for seed in range(20):
        seen = observation(seed)
        candidates = seen.action_mask[FIRST_CANDIDATE:].any()
        for share in (0.0, 1.0):
            action = explorer(policy, seed, random_share=share, may_stop=False)(seen)
            assert seen.action_mask[action]
            assert (action != STOP) == candidates


def test_prices_are_counted(tmp_path: Path) -> None:
    task, prices = counted(worlds.chain_task(tmp_path))
    env = EGraphEnv([task])
    env.reset(seed=0)
    first = prices.num_prices
    assert first > 0
    env.step(np.int64(FIRST_CANDIDATE))
    assert prices.num_prices > first
    assert Account(num_steps=2).plus(Account(num_steps=3, real_s=1.0)) == Account(num_steps=5, real_s=1.0)


def test_an_evaluation_has_a_table_and_a_file(tmp_path: Path) -> None:
    model = trajectories.model()
    ticks = iter(range(10_000))
    how = Evaluation(max_steps=4, num_episodes=2, num_states=8)
    report = evaluate(model, [worlds.branch_task(tmp_path, 3)], how, clock=lambda: float(next(ticks)))
    assert report.foresights[0].horizon == 1
    assert report.speed.real_s > 0
    assert "times as fast" in report.table()
    rule = next(iter(report.foresights[0].tallies))
    described = json.loads(json.dumps(report.described({rule: "a-rule"})))
    assert len(report.stories) == 2
    story = report.stories[0]
    assert story.real[0] == 1.0
    assert [len(each) for each in story.foreseen] == [len(story.real)] * 3
    assert "a-rule" in described["foresights"][0]["tallies"]


def test_a_world_model_that_is_not_there_cannot_be_evaluated(tmp_path: Path) -> None:
    from rl.world.evaluate import main

    assert main(["--world", str(tmp_path)]) == 2
    save(trajectories.model(), FeatureStatistics.nothing(), tmp_path, {})
    assert main(["--world", str(tmp_path), "--tasks", "0"]) == 2
