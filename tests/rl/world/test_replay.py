"""Trajectories keep what happened, and candidates keep who they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rl.agent.packing import pack
from rl.env.environment import EGraphEnv, Settings
from rl.env.observation import FIRST_CANDIDATE
from rl.world.identity import NEW, predecessors
from rl.world.replay import Replay, play, problems
from tests.pipeline import models
from tests.rl import worlds
from tests.rl.world import trajectories


def test_an_episode_is_kept_as_it_was(tmp_path: Path) -> None:
    env = trajectories.env(tmp_path)
    trajectory = play(env, trajectories.at_random(1), "branches", 1)
    assert problems(trajectory) == []
    assert trajectory.num_steps
    terminated = False
    observation, info = env.reset(seed=1, options={"task": "branches"})
    for step, action in enumerate(trajectory.actions):
        assert all(
            np.array_equal(one, two)
            for one, two in zip(
                trajectory.observations[step].arrays.values(), pack(observation).arrays.values(), strict=True
            )
        )
        assert trajectory.costs_us[step] == info["cost_us"]
        observation, reward, terminated, _, info = env.step(action)
        assert trajectory.rewards[step] == reward
    assert trajectory.is_terminated == terminated
    assert trajectory.gain == pytest.approx(1 - info["cost_us"] / info["initial_us"])
    assert trajectory.num_moves == trajectory.num_steps - terminated


def test_a_candidate_keeps_its_rule(tmp_path: Path) -> None:
    for trajectory in trajectories.played(tmp_path):
        for step, links in enumerate(trajectory.predecessors):
            before, after = (trajectory.observations[step + each].arrays["candidate_rule"] for each in (0, 1))
            known = links != NEW
            assert np.array_equal(after[known], before[links[known]])


def test_what_was_applied_is_gone_and_the_rest_stays(tmp_path: Path) -> None:
    env = EGraphEnv([worlds.branch_task(tmp_path, 3)], Settings())
    env.reset(seed=0)
    chosen = worlds.action_of(env, "matmul-distributes") - FIRST_CANDIDATE
    before = env.look.groups
    env.step(np.int64(chosen + FIRST_CANDIDATE))
    links = predecessors(env.scene.session, before, env.look.groups)
    assert chosen not in links
    assert set(links[links != NEW]) == set(range(len(before))) - {chosen}


def test_a_merge_changes_names_and_not_identities(tmp_path: Path) -> None:
    env = EGraphEnv([worlds.task(tmp_path, models.chain(4), worlds.NEG_TWICE, worlds.IDENTITY, worlds.ABS)])
    env.reset(seed=0)
    session, before = env.scene.session, env.look.groups
    env.step(np.int64(worlds.action_of(env, "neg-twice")))
    env.step(np.int64(worlds.action_of(env, "identity-away")))
    canonical = session.mirror.canonical
    assert any(canonical[handle] != handle for handle in range(len(canonical)))
    links = predecessors(session, before, env.look.groups)
    kept = [before[link].rule for link in links if link != NEW]
    assert kept == [each.rule for each, link in zip(env.look.groups, links, strict=True) if link != NEW]
    assert kept


def test_problems_are_found() -> None:
    trajectory = trajectories.drawn(0)
    assert problems(trajectory) == []
    links = list(trajectory.predecessors)
    links[0] = np.zeros_like(links[0]) if len(links[0]) > 1 else links[0] + 1_000
    assert problems(replace(trajectory, predecessors=tuple(links)))
    assert problems(replace(trajectory, rewards=trajectory.rewards[:-1]))


def test_the_oldest_is_forgotten() -> None:
    replay = Replay(max_steps=10)
    episodes = [trajectories.drawn(seed, 4) for seed in range(4)]
    replay.add(episodes[:2])
    assert (replay.trajectories, replay.num_steps) == (episodes[:2], 8)
    replay.add(episodes[2:])
    assert replay.trajectories == episodes[2:]
    rules = {int(rule) for each in episodes[2:] for one in each.observations for rule in one.arrays["candidate_rule"]}
    assert replay.rules() == rules
    replay.add([trajectories.drawn(9, 30)])
    assert len(replay.trajectories) == 1
