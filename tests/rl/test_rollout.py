"""An episode is the one that was ordered, wherever it is played; what it says about itself is true."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from rl.agent.checkpoint import Checkpoint
from rl.agent.network import Network, NetworkConfig
from rl.agent.packing import unpack
from rl.agent.policy import Policy
from rl.agent.statistics import FeatureStatistics
from rl.env.environment import EGraphEnv, Settings
from rl.env.observation import FIRST_CANDIDATE
from rl.training.apart import Apart
from rl.training.rollout import Episode, Order, PlayersHere, play
from tests.rl import worlds

ORDERS = [Order(task=task, seed=seed) for task in ("chain", "branches") for seed in range(2)]


def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    config = NetworkConfig(hidden=16, embedding=8, num_rounds=1)
    return Checkpoint.of(Network(config), FeatureStatistics.nothing())


def player_of(folder: Path) -> PlayersHere:
    return PlayersHere(worlds.env_of(folder))


def told(episode: Episode) -> tuple[object, ...]:
    observations = tuple(unpack(each) for each in episode.observations)
    return (episode.order, observations, episode.actions.tolist(), episode.rewards.tolist(), episode.cost_us)


def test_episodes_are_the_same_here_and_apart(tmp_path: Path) -> None:
    here = player_of(tmp_path).play(checkpoint(), ORDERS)
    with Apart[Order, Episode](partial(player_of, tmp_path), 1) as apart:
        there = apart.play(checkpoint(), ORDERS[::-1])[::-1]
    assert [told(each) for each in here] == [told(each) for each in there]
    assert [each.order for each in here] == ORDERS


def test_an_episode_says_what_happened(tmp_path: Path) -> None:
    env = EGraphEnv([worlds.branch_task(tmp_path)], Settings(max_steps=2))
    policy = Policy.of(checkpoint())
    episodes = [play(env, policy, Order(task="branches", seed=seed)) for seed in range(24)]
    for episode in episodes:
        first = unpack(episode.observations[0])
        again, _ = env.reset(seed=episode.order.seed, options={"task": "branches"})
        assert np.array_equal(first.candidate_rule, again.candidate_rule)
        for packed, action, log_prob in zip(episode.observations, episode.actions, episode.log_probs, strict=True):
            observation = unpack(packed)
            assert observation.action_mask[action]
            assert np.exp(log_prob) == pytest.approx(policy.probabilities(observation)[action], abs=0.01)
        assert (episode.last_value == 0.0) is episode.is_terminated
    assert {episode.is_terminated for episode in episodes} == {True, False}
    assert max(episode.gain for episode in episodes) > 0.1


def test_a_greedy_episode_takes_the_likeliest_actions_and_keeps_nothing(tmp_path: Path) -> None:
    env = worlds.env_of(tmp_path)
    policy = Policy.of(checkpoint())
    episodes = [play(env, policy, Order(task="chain", seed=seed, is_greedy=True)) for seed in range(2)]
    assert not episodes[0].observations
    assert episodes[0].actions.tolist() == episodes[1].actions.tolist()
    observation, _ = env.reset(options={"task": "chain"})
    assert episodes[0].actions[0] == policy.probabilities(observation).argmax()
    assert episodes[0].actions[0] >= FIRST_CANDIDATE or episodes[0].num_steps == 1


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc to look into")
def test_players_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    script = f"""
import os
from functools import partial
from pathlib import Path
from rl.training.apart import Apart
from tests.rl import test_rollout

if __name__ == "__main__":
    players = Apart(partial(test_rollout.player_of, Path({str(tmp_path)!r})), 1)
    players.play(test_rollout.checkpoint(), test_rollout.ORDERS[:1])
    print(*players._pool._processes, flush=True)
    os._exit(0)
"""
    path = tmp_path / "script.py"
    path.write_text(script)
    root = Path(worlds.__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    worker = int(ended.stdout)
    for _ in range(100):
        if not Path(f"/proc/{worker}/cmdline").exists() or not Path(f"/proc/{worker}/cmdline").read_bytes():
            return
        time.sleep(0.1)
    pytest.fail("the worker goes on")


def test_nothing_comes_after_the_room_is_used_up(tmp_path: Path) -> None:
    policy = Policy.of(checkpoint())
    orders = [Order(task="branches", seed=seed) for seed in range(12)]
    scarce = EGraphEnv([worlds.branch_task(tmp_path)], Settings(growth=(1.01, 1.02)))
    limited = EGraphEnv([worlds.branch_task(tmp_path)], Settings(max_enodes=1))
    assert {play(scarce, policy, order).last_value for order in orders} == {0.0}
    assert any(play(limited, policy, order).last_value for order in orders)
