"""A measured gain is that of the finalist: nothing for the model itself, and no finalist is measured twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from eqsat.runtime.runtime import Runtime
from rl.env.environment import EGraphEnv, Settings
from rl.env.measured_gain import MeasuredGain
from rl.env.observation import STOP
from rl.env.rewards import Rewards
from rl.training.config import EpisodeConfig
from rl.training.tasks import TaskSplit, make_env
from tests.rl import worlds

SETTINGS = Settings(rewards=Rewards(gamma=1.0, is_shaped=False))


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    with Runtime() as made:
        yield made


def stop_after(env: EGraphEnv, *rules: str) -> float:
    env.reset(seed=0)
    for rule in rules:
        env.step(np.int64(worlds.action_of(env, rule)))
    return env.step(np.int64(STOP))[1]


def test_doing_nothing_earns_nothing_and_measures_nothing(tmp_path: Path, runtime: Runtime) -> None:
    gain = MeasuredGain(runtime)
    env = EGraphEnv([worlds.branch_task(tmp_path)], SETTINGS, final_gain=gain)
    assert stop_after(env) == 0.0
    assert gain.num_measured == 0


def test_a_finalist_is_measured_once(tmp_path: Path, runtime: Runtime) -> None:
    gain = MeasuredGain(runtime, num_pairs=2, rounds=3)
    env = EGraphEnv([worlds.branch_task(tmp_path)], SETTINGS, final_gain=gain)
    first, second = (stop_after(env, "matmul-distributes") for _ in range(2))
    assert gain.num_measured == 1
    assert first == second
    assert first != 0.0
    assert first < 1.0


def test_settings_can_ask_for_it(tmp_path: Path) -> None:
    task = worlds.branch_task(tmp_path)
    env = make_env(
        EpisodeConfig(is_measured=True, is_shaped=False), lambda: TaskSplit(training=[task], validation=[task])
    )
    assert stop_after(env) == 0.0
    env.close()
