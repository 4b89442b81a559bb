"""Advantages and returns against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from rl.training.returns import explained_variance, gae, normalised, td_errors

GAMMA, LAMBDA = 0.9, 0.8


def rollout(seed: int, num_steps: int = 7, num_envs: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    terminated = rng.random((num_steps, num_envs)) < 0.2
    truncated = (rng.random((num_steps, num_envs)) < 0.2) & ~terminated
    return {
        "rewards": rng.standard_normal((num_steps, num_envs)),
        "values": rng.standard_normal((num_steps, num_envs)),
        "next_values": rng.standard_normal((num_steps, num_envs)),
        "terminated": terminated,
        "is_last": terminated | truncated,
    }


@pytest.mark.parametrize("seed", range(4))
def test_errors_and_advantages(seed: int) -> None:
    each = rollout(seed)
    is_last = each.pop("is_last")
    errors = td_errors(**each, gamma=GAMMA)
    advantages = gae(errors, is_last, GAMMA, LAMBDA)
    for env in range(errors.shape[1]):
        for step in range(len(errors)):
            after = 0.0 if each["terminated"][step, env] else each["next_values"][step, env]
            error = each["rewards"][step, env] + GAMMA * after - each["values"][step, env]
            assert errors[step, env] == pytest.approx(error)
            expected, weight = 0.0, 1.0
            for later in range(step, len(errors)):
                expected += weight * errors[later, env]
                weight *= GAMMA * LAMBDA
                if is_last[later, env]:
                    break
            assert advantages[step, env] == pytest.approx(expected)


def test_a_limit_is_no_end() -> None:
    rewards, values, after = np.array([1.0]), np.array([0.5]), np.array([10.0])
    assert td_errors(rewards, values, after, np.array([True]), GAMMA) == pytest.approx([0.5])
    assert td_errors(rewards, values, after, np.array([False]), GAMMA) == pytest.approx([9.5])


def test_lambda_goes_from_one_step_to_the_whole_return() -> None:
    rng = np.random.default_rng(0)
    rewards, values = rng.standard_normal(6), rng.standard_normal(6)
    terminated = np.arange(6) == 5
    errors = td_errors(rewards, values, np.append(values[1:], 3.0), terminated, GAMMA)
    assert gae(errors, terminated, GAMMA, 0.0) == pytest.approx(errors)
    returns = [sum(GAMMA**k * reward for k, reward in enumerate(rewards[step:])) for step in range(6)]
    assert gae(errors, terminated, GAMMA, 1.0) + values == pytest.approx(returns)


def test_advantages_are_normalised() -> None:
    scaled = normalised(np.array([1.0, 2.0, 3.0, 6.0]))
    assert scaled.mean() == pytest.approx(0.0)
    assert scaled.std() == pytest.approx(1.0)
    assert normalised(np.array([5.0, 5.0])).tolist() == [0.0, 0.0]


def test_explained_variance() -> None:
    returns = np.array([1.0, 2.0, 4.0])
    assert explained_variance(returns, returns) == 1.0
    assert explained_variance(np.full(3, 9.0), returns) == pytest.approx(0.0)
    assert explained_variance(-returns, returns) == pytest.approx(-3.0)
    assert explained_variance(returns, np.full(3, 2.0)) == 0.0
