"""Shaping telescopes, and its sum depends on the ends of an episode alone."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from rl.env.environment import EGraphEnv, Settings
from rl.env.measured_gain import MeasuredGain
from rl.env.rewards import ExactGain, Rewards, discounted_sum, potential, shaping
from tests.pipeline import models
from tests.pipeline.fake_runtime import FakeRuntime
from tests.rl import worlds


def test_the_potential_is_the_relative_drop() -> None:
    assert potential(75.0, 100.0) == 0.25
    assert potential(125.0, 100.0) == -0.25
    assert potential(100.0, 100.0) == 0.0
    assert potential(0.0, 0.0) == 0.0


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.99, 1.0])
def test_the_sum_of_shaping_telescopes(gamma: float) -> None:
    potentials = [0.0, *np.random.default_rng(0).normal(size=20)]
    rewards = [shaping(before, after, gamma) for before, after in pairwise(potentials)]
    plain = sum(gamma**step * reward for step, reward in enumerate(rewards))
    assert discounted_sum(rewards, gamma) == pytest.approx(plain)
    assert plain == pytest.approx(gamma**20 * potentials[-1] - potentials[0])


@pytest.mark.parametrize("gamma", [0.9, 1.0])
@pytest.mark.parametrize("gain", [0.3, -0.1])
def test_stop_pays_what_is_left_of_the_gain(gamma: float, gain: float) -> None:
    potentials = [0.0, -0.5, 0.2, 0.2]
    for rewards in (Rewards(gamma=gamma), Rewards(gamma=gamma, is_shaped=False)):
        paid = [rewards.step(before, after) for before, after in pairwise(potentials)]
        paid.append(rewards.stop(potentials[-1], gain))
        assert discounted_sum(paid, gamma) == pytest.approx(gamma**3 * gain)


@pytest.mark.parametrize("num_steps", [1, 10, 1000])
def test_waiting_pays_nothing(num_steps: int) -> None:
    rewards = Rewards(gamma=0.9)
    assert sum(rewards.step(0.0, 0.0) for _ in range(num_steps)) + rewards.stop(0.0, 0.0) == 0.0
    assert sum(rewards.step(0.4, 0.4) for _ in range(num_steps)) < 0.0


@pytest.mark.parametrize("gamma", [-0.1, 1.1, float("nan")])
def test_a_discount_lies_between_0_and_1(gamma: float) -> None:
    with pytest.raises(ValueError, match="not between 0 and 1"):
        Rewards(gamma=gamma)


def test_the_exact_gain_is_at_least_the_greedy_one(tmp_path: Path) -> None:
    settings = Settings(rewards=Rewards(gamma=1.0))
    env = EGraphEnv([worlds.branch_task(tmp_path)], settings, final_gain=ExactGain())
    env.reset(seed=0)
    step = env.step(np.int64(worlds.action_of(env, "matmul-distributes")))
    assert step[1] > 0
    assert env.step(np.int64(0))[1] >= 0.0


@pytest.mark.parametrize(
    ("whole_us", "gain"),
    [
        pytest.param({}, 1 - (10 + 10) / (20 + 10 + 10), id="as priced"),
        pytest.param({"Sub": 60.0}, 1 - (60 + 10) / (20 + 10 + 10), id="worse than priced"),
    ],
)
def test_a_measurement_decides_where_there_is_one(tmp_path: Path, whole_us: dict[str, float], gain: float) -> None:
    nodes = [models.node("Neg", "x", "n"), models.node("Add", "n x", "a"), models.node("Relu", "a", "y")]
    model = models.make(nodes, [("x", [2, 3])], [("y", [2, 3])])
    minus = models.rewrite("(Add (Neg x) y)", "(Sub y x)", "add-of-neg")
    runtime = FakeRuntime({"Neg": 20.0, "Sub": 10.0}, whole_us).as_runtime()
    measured = MeasuredGain(runtime)
    env = EGraphEnv([worlds.task(tmp_path, model, minus)], Settings(rewards=Rewards(gamma=1.0)), final_gain=measured)
    env.reset(seed=0)
    first = env.step(np.int64(worlds.action_of(env, "add-of-neg")))[1]
    assert first + env.step(np.int64(0))[1] == pytest.approx(gain, abs=0.02)


def test_what_cannot_be_run_has_gained_nothing(tmp_path: Path) -> None:
    runtime = FakeRuntime(failing=frozenset({"Neg"})).as_runtime()
    env = EGraphEnv([worlds.task(tmp_path, models.chain(1), worlds.ABS)], final_gain=MeasuredGain(runtime))
    env.reset(seed=0)
    assert env.step(np.int64(0))[1] == 0.0
