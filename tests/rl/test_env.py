"""The environment keeps Gymnasium's rules, pays for lower prices and for nothing else, and never offers a no-op."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils.env_checker import check_env

from eqsat.errors import UsageError
from rl.env.environment import EGraphEnv, Settings
from rl.env.observation import FIRST_CANDIDATE, STOP, Observation
from rl.env.rewards import Rewards, discounted_sum
from tests.pipeline import models
from tests.rl import worlds

Step = tuple[Observation, float, bool, bool, dict[str, object]]


def play(env: EGraphEnv, seed: int, num_steps: int, options: dict[str, object] | None = None) -> list[Step]:
    """Random allowed actions, STOP only where nothing else is left."""
    rng = np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed, options=options)
    steps: list[Step] = []
    for _ in range(num_steps):
        actions = worlds.allowed(observation)[1:] or [STOP]
        steps.append(env.step(np.int64(rng.choice(actions))))
        observation = steps[-1][0]
        if steps[-1][2] or steps[-1][3]:
            break
    return steps


@pytest.mark.parametrize("applies", [False, True], ids=["stop", "candidates"])
def test_gymnasium_finds_nothing_wrong(tmp_path: Path, applies: bool) -> None:
    env = worlds.env_of(tmp_path)
    if applies:
        env.action_space = worlds.FirstCandidate()
    check_env(env, skip_render_check=True)


def test_every_observation_lies_in_the_space(tmp_path: Path) -> None:
    env = worlds.env_of(tmp_path)
    for seed in range(4):
        for observation, *_ in play(env, seed, 6):
            assert observation in env.observation_space


@pytest.mark.parametrize("max_kept", [0, 1, 4])
def test_a_seed_and_actions_give_one_episode(tmp_path: Path, max_kept: int) -> None:
    tasks = [worlds.chain_task(tmp_path), worlds.branch_task(tmp_path)]
    env = EGraphEnv(tasks, Settings(max_kept_sessions=max_kept))
    fresh = [play(EGraphEnv(tasks), seed, 8) for seed in range(3)]
    assert [play(env, seed, 8) for seed in range(3)] == fresh
    assert [play(env, seed, 8) for seed in reversed(range(3))] == fresh[::-1]


def test_tasks_are_drawn_and_can_be_chosen(tmp_path: Path) -> None:
    env = worlds.env_of(tmp_path)
    env.reset(seed=0)
    assert {env.reset()[1]["task"] for _ in range(20)} == {"chain", "branches"}
    assert env.reset(options={"task": "branches"})[1]["task"] == "branches"
    with pytest.raises(UsageError, match=r"no task 'other' \(there are: chain, branches\)"):
        env.reset(options={"task": "other"})


@pytest.mark.parametrize("names", [(), ("same", "same")])
def test_tasks_need_names_of_their_own(tmp_path: Path, names: tuple[str, ...]) -> None:
    tasks = [worlds.chain_task(tmp_path, name=name) for name in names]
    with pytest.raises(UsageError, match="a name of its own"):
        EGraphEnv(tasks)


def test_what_is_allowed_has_an_effect(tmp_path: Path) -> None:
    env = worlds.env_of(tmp_path)
    for seed in range(6):
        observation, _ = env.reset(seed=seed)
        rng = np.random.default_rng(seed)
        is_over = False
        while not is_over and (actions := worlds.allowed(observation)[1:]):
            action = rng.choice(actions)
            observation, _, _, is_over, info = env.step(action)
            assert info["num_applied"] > 0


@pytest.mark.parametrize("action", [-1, 10_000])
def test_what_is_masked_is_refused(tmp_path: Path, action: int) -> None:
    env = worlds.env_of(tmp_path)
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match="not allowed"):
        env.step(np.int64(action))
    env.step(np.int64(STOP))


def test_a_candidate_that_cannot_be_built_is_not_offered(tmp_path: Path) -> None:
    env = EGraphEnv([worlds.task(tmp_path, models.chain(2), worlds.IMPOSSIBLE, worlds.ABS)])
    env.reset(seed=0)
    assert "neg-matmul" in {env.scene.session.rule_of(each).rule.name for each in env.scene.session.candidates()}
    assert {each.rule for each in env.look.groups} == {"neg-abs"}


@pytest.mark.parametrize("is_shaped", [True, False])
def test_doing_nothing_earns_nothing(tmp_path: Path, is_shaped: bool) -> None:
    rewards = Rewards(gamma=0.9, is_shaped=is_shaped)
    env = EGraphEnv([worlds.task(tmp_path, models.chain(3), worlds.ABS)], Settings(rewards=rewards, is_grouped=False))
    env.reset(seed=0)
    assert env.step(np.int64(STOP))[1] == 0.0
    observation, info = env.reset(seed=0)
    earned = []
    while (actions := worlds.allowed(observation))[-1] >= FIRST_CANDIDATE:
        observation, reward, *_, info = env.step(np.int64(actions[-1]))
        earned.append(reward)
    earned.append(env.step(np.int64(STOP))[1])
    assert len(earned) > 3
    assert info["cost_us"] == info["initial_us"]
    assert earned == [0.0] * len(earned)


@pytest.mark.parametrize("gamma", [1.0, 0.9])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shaping_does_not_change_what_an_episode_is_worth(tmp_path: Path, gamma: float, seed: int) -> None:
    tasks = [worlds.chain_task(tmp_path), worlds.branch_task(tmp_path)]
    for is_shaped in (True, False):
        env = EGraphEnv(tasks, Settings(rewards=Rewards(gamma=gamma, is_shaped=is_shaped)))
        steps = play(env, seed, 5)
        if not steps[-1][2]:
            steps.append(env.step(np.int64(STOP)))
        info = steps[-1][4]
        gain = 1 - float(str(info["cost_us"])) / float(str(info["initial_us"]))
        assert gain > 0
        total = discounted_sum([step[1] for step in steps], gamma)
        assert total == pytest.approx(gamma ** (len(steps) - 1) * gain)


def test_the_gain_at_the_end_can_be_measured(tmp_path: Path) -> None:
    env = EGraphEnv(
        [worlds.branch_task(tmp_path)],
        Settings(rewards=Rewards(gamma=1.0)),
        final_gain=lambda ending: 0.125,
    )
    rewards = [step[1] for step in play(env, 0, 3)] + [env.step(np.int64(STOP))[1]]
    assert sum(rewards) == pytest.approx(0.125)


def test_stop_terminates(tmp_path: Path) -> None:
    env = worlds.env_of(tmp_path)
    env.reset(seed=0)
    _, _, terminated, truncated, info = env.step(np.int64(STOP))
    assert (terminated, truncated, info["truncation"]) == (True, False, "")
    with pytest.raises(ResetNeeded):
        env.step(np.int64(STOP))


def test_there_is_no_step_before_a_reset(tmp_path: Path) -> None:
    with pytest.raises(ResetNeeded):
        worlds.env_of(tmp_path).step(np.int64(STOP))


@pytest.mark.parametrize(
    ("settings", "limit", "num_steps"),
    [
        (Settings(max_steps=2), "steps", 2),
        (Settings(max_enodes=6), "enodes", 1),
        (Settings(growth=(1.01, 1.02)), "enodes", 1),
        (Settings(growth=(50.0, 60.0), max_steps=2), "steps", 2),
        (Settings(max_seconds=3.0), "time", 3),
    ],
)
def test_limits_truncate(tmp_path: Path, settings: Settings, limit: str, num_steps: int) -> None:
    seconds = itertools.count()
    env = EGraphEnv(
        [worlds.task(tmp_path, models.chain(1, "Abs"), worlds.GROW)], settings, clock=lambda: float(next(seconds))
    )
    env.reset(seed=0)
    for step in range(1, num_steps + 1):
        _, _, terminated, truncated, info = env.step(np.int64(FIRST_CANDIDATE))
        assert not terminated
        assert (truncated, info["truncation"]) == ((True, limit) if step == num_steps else (False, ""))
    with pytest.raises(ResetNeeded):
        env.step(np.int64(STOP))


def test_an_action_of_many_candidates_keeps_to_the_limit(tmp_path: Path) -> None:
    """Each application makes one e-node: an action applies as many as there is room for."""
    task = worlds.task(tmp_path, models.chain(30), worlds.ABS)
    _, info = EGraphEnv([task]).reset(seed=0)
    limit = info["num_enodes"] + 5
    env = EGraphEnv([task], Settings(max_enodes=limit))
    env.reset(seed=0)
    most = max(range(len(env.look.groups)), key=lambda place: len(env.look.groups[place].candidates))
    assert len(env.look.groups[most].candidates) > 5
    _, _, _, truncated, info = env.step(np.int64(FIRST_CANDIDATE + most))
    assert (truncated, info["truncation"]) == (True, "enodes")
    assert (info["num_enodes"], info["num_applied"]) == (limit, 5)


def test_the_room_of_an_episode_is_drawn_from_its_seed(tmp_path: Path) -> None:
    env = EGraphEnv(
        [worlds.task(tmp_path, models.chain(1, "Abs"), worlds.GROW)], Settings(growth=(1.1, 40.0), max_steps=20)
    )
    sizes = []
    for seed in (0, 1, 2, 3, 4, 5, 0):
        _, info = env.reset(seed=seed)
        while not info["truncation"]:
            _, _, _, _, info = env.step(np.int64(FIRST_CANDIDATE))
        sizes.append(info["num_enodes"])
    assert sizes[0] == sizes[-1]
    assert len(set(sizes)) > 1


def test_stop_at_the_last_step_is_an_end_of_the_task(tmp_path: Path) -> None:
    env = EGraphEnv([worlds.chain_task(tmp_path)], Settings(max_steps=1))
    env.reset(seed=0)
    assert env.step(np.int64(STOP))[2:4] == (True, False)


def test_equal_candidates_are_one_action_where_asked_for(tmp_path: Path) -> None:
    task = worlds.branch_task(tmp_path, 4)
    grouped, single = EGraphEnv([task]), EGraphEnv([task], Settings(is_grouped=False))
    one, _ = grouped.reset(seed=0)
    two, _ = single.reset(seed=0)
    assert one.num_candidates < two.num_candidates == len(single.scene.session.candidates())
    assert sum(len(each.candidates) for each in grouped.look.groups) == two.num_candidates


def test_the_exact_extraction_is_never_dearer(tmp_path: Path) -> None:
    env = EGraphEnv([worlds.branch_task(tmp_path)])
    *_, (_, _, _, _, info) = play(env, 0, 4)
    assert env.extract(time_limit_s=10.0).selection.cost_us <= float(str(info["cost_us"]))


def test_closing_twice_is_allowed(tmp_path: Path) -> None:
    env = worlds.env_of(tmp_path)
    env.reset(seed=0)
    env.close()
    env.close()
    with pytest.raises(ResetNeeded):
        env.step(np.int64(STOP))
