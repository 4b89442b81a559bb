"""A training learns, goes on where it was interrupted, and leaves what it says it leaves."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from eqsat.errors import UsageError
from rl.agent.checkpoint import load
from rl.agent.network import NetworkConfig
from rl.agent.policy import Policy
from rl.training.config import EpisodeConfig, PpoConfig, TrainConfig
from rl.training.curves import Curve, read_curves
from rl.training.loop import BEST, POLICY, train
from rl.training.rollout import Order, play
from rl.training.tasks import TaskSplit, make_env
from tests.pipeline import models
from tests.rl import worlds
from tests.rl.observations import observation

CONFIG = TrainConfig(
    num_updates=3,
    num_workers=0,
    tasks_per_update=2,
    episodes_per_task=4,
    validate_every=2,
    device="cpu",
    time_limit_s=1e9,
    network=NetworkConfig(hidden=16, embedding=8, num_rounds=1),
    episodes=EpisodeConfig(max_steps=4),
)


def split(folder: Path) -> TaskSplit:
    tasks = [worlds.chain_task(folder / "chain", 3), worlds.branch_task(folder / "branches")]
    return TaskSplit(training=tasks, validation=tasks)


def crowded(folder: Path) -> TaskSplit:
    """One rule helps, at two places, and four others do nothing, at many."""
    decoys = [
        models.rewrite(left, right, f"decoy-{number}")
        for number, (left, right) in enumerate(
            [
                ("(MatMul x a)", "(Neg (Neg (MatMul x a)))"),
                ("(MatMul x a)", "(Abs (Abs (MatMul x a)))"),
                ("(Add x y)", "(Neg (Neg (Add x y)))"),
                ("(Relu x)", "(Max (Cons x (Cons x (Nil))))"),
            ]
        )
    ]
    task = worlds.task(folder, worlds.branches(2), worlds.MERGE, *decoys, name="branches")
    return TaskSplit(training=[task], validation=[task])


def weights(folder: Path) -> list[np.ndarray]:
    return [each.numpy() for _, each in sorted(load(folder).weights.items())]


def test_it_learns(tmp_path: Path) -> None:
    """Two steps are few for what is on offer, so that a policy must choose well; drawn actions do not."""
    config = replace(
        CONFIG,
        num_updates=10,
        tasks_per_update=1,
        episodes_per_task=24,
        episodes=EpisodeConfig(max_steps=2),
        ppo=PpoConfig(learning_rate=5e-3, num_epochs=6, target_kl=0.1),
    )
    source = partial(crowded, tmp_path)
    summary = train(config, source, tmp_path / "out")
    gains = [point["rollout/gain"] for point in read_curves(tmp_path / "out")]
    assert np.mean(gains[-3:]) > np.mean(gains[:2]) + 0.1
    random, best = (np.mean(list(each.values())) for each in (summary.state.first_gains, summary.state.best_gains))
    assert best > random + 0.2
    env = make_env(config.episodes, source)
    policy = Policy.of(load(tmp_path / "out" / BEST))
    for task, gain in summary.state.best_gains.items():
        assert play(env, policy, Order(task=task, seed=0, is_greedy=True)).gain == pytest.approx(gain)
    assert "branches" in summary.table()
    assert f"{best:7.1%}" in summary.table().splitlines()[-1]


def test_an_interruption_changes_nothing(tmp_path: Path) -> None:
    source = partial(split, tmp_path)
    train(CONFIG, source, tmp_path / "whole")

    def interrupt(message: str) -> None:
        if message.startswith("update 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, source, tmp_path / "parts", tell=interrupt)
    assert len(read_curves(tmp_path / "parts")) == 1
    summary = train(CONFIG, source, tmp_path / "parts", is_resumed=True)
    assert summary.state.update == 3
    for one, two in zip(weights(tmp_path / "whole" / POLICY), weights(tmp_path / "parts" / POLICY), strict=True):
        assert one == pytest.approx(two, abs=1e-6)
    points = [read_curves(tmp_path / each) for each in ("whole", "parts")]
    assert [point["update"] for point in points[1]] == [0, 1, 2]
    for name in (Curve.GAIN, Curve.KL, Curve.ENTROPY, Curve.RETURN):
        assert [point[name] for point in points[0]] == pytest.approx([point[name] for point in points[1]], abs=1e-6)


def test_it_ends_where_the_gain_is_flat(tmp_path: Path) -> None:
    """Nothing can be learnt in no steps: the first validation stays the best."""
    config = replace(CONFIG, num_updates=50, validate_every=1, patience=2, ppo=PpoConfig(learning_rate=0.0))
    summary = train(config, partial(split, tmp_path), tmp_path / "out")
    assert summary.state.update == 3


def test_every_curve_is_drawn(tmp_path: Path) -> None:
    train(replace(CONFIG, num_updates=1), partial(split, tmp_path), tmp_path / "out")
    (point,) = read_curves(tmp_path / "out")
    assert set(point) == {"update", *Curve}
    assert all(np.isfinite(value) for value in point.values())


def test_it_begins_with_the_policy_that_it_is_given(tmp_path: Path) -> None:
    source = partial(split, tmp_path)
    train(replace(CONFIG, num_updates=1), source, tmp_path / "one")
    start = load(tmp_path / "one" / POLICY)
    train(replace(CONFIG, num_updates=0), source, tmp_path / "two", start=start)
    given, kept = Policy.of(start), Policy.of(load(tmp_path / "two" / POLICY))
    assert (given.probabilities(observation(0)) == kept.probabilities(observation(0))).all()
    assert load(tmp_path / "two" / POLICY).statistics == start.statistics


def test_there_must_be_something_to_go_on_with(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no policy"):
        train(CONFIG, partial(split, tmp_path), tmp_path / "nowhere", is_resumed=True)
