"""Environments in processes of their own do what they do here."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from rl.env import EGraphEnv, Settings
from rl.observation import STOP, Observation
from rl.vector import in_turn, parallel
from tests.rl import worlds

NUM_STEPS = 9


def env_of(folder: Path) -> EGraphEnv:
    return EGraphEnv(
        [worlds.chain_task(folder / "chain"), worlds.branch_task(folder / "branches")], Settings(max_steps=4)
    )


def play(envs: VectorEnv[Any, Any, Any]) -> list[tuple[object, ...]]:
    """Random allowed actions with the environments' own autoreset."""
    observations, _ = envs.reset(seed=3)
    rng = np.random.default_rng(0)
    steps: list[tuple[object, ...]] = []
    assert isinstance(observations, tuple)
    for _ in range(NUM_STEPS):
        actions = tuple(np.int64(rng.choice(worlds.allowed(each)[1:] or [STOP])) for each in observations)
        observations, rewards, terminated, truncated, infos = envs.step(actions)
        assert isinstance(observations, tuple)
        steps.append((observations, list(rewards), list(terminated), list(truncated), infos))
    return steps


def check(steps: list[tuple[object, ...]]) -> None:
    """Episodes end by their limit, and the last observation of each is kept."""
    ends = 0
    for observations, _, _, truncated, infos in steps:
        assert isinstance(observations, tuple)
        assert isinstance(truncated, list)
        assert isinstance(infos, dict)
        for index, is_truncated in enumerate(truncated):
            if is_truncated:
                ends += 1
                assert isinstance(infos["final_obs"][index], Observation)
                assert infos["final_obs"][index] != observations[index]
                assert infos["final_info"]["truncation"][index] == "steps"
    assert ends > 2


def test_episodes_follow_each_other(tmp_path: Path) -> None:
    envs = in_turn([partial(env_of, tmp_path)] * 2)
    steps = play(envs)
    envs.close()
    check(steps)


def test_processes_change_nothing(tmp_path: Path) -> None:
    here = in_turn([partial(env_of, tmp_path)] * 2)
    there = parallel([partial(env_of, tmp_path)] * 2)
    try:
        for one, two in zip(play(here), play(there), strict=True):
            assert one[:4] == two[:4]
    finally:
        there.close()
        here.close()
