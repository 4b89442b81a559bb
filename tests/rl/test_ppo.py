"""From episodes to steps, from steps to a better policy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rl.agent.network import Network, NetworkConfig
from rl.agent.packing import pack
from rl.agent.policy import Policy
from rl.training.config import PpoConfig
from rl.training.ppo import Learner, Steps, minibatches, steps_of
from rl.training.rollout import Episode, Order
from tests.rl.observations import observation

GAMMA, LAMBDA = 0.9, 0.8


def episode(num_steps: int, *, is_terminated: bool, seed: int = 0) -> Episode:
    rng = np.random.default_rng(seed)
    return Episode(
        order=Order(task="any", seed=seed),
        observations=tuple(pack(observation(seed + step)) for step in range(num_steps)),
        actions=np.zeros(num_steps, np.int64),
        log_probs=-rng.random(num_steps),
        values=rng.standard_normal(num_steps),
        rewards=rng.standard_normal(num_steps),
        is_terminated=is_terminated,
        last_value=0.0 if is_terminated else 5.0,
        initial_us=10.0,
        cost_us=8.0,
        num_enodes=3,
    )


def test_episodes_do_not_leak_into_each_other() -> None:
    episodes = [episode(3, is_terminated=True), episode(4, is_terminated=False, seed=9)]
    together = steps_of(episodes, GAMMA, LAMBDA)
    alone = [steps_of([each], GAMMA, LAMBDA) for each in episodes]
    for name in ("actions", "log_probs", "advantages", "returns", "values"):
        assert getattr(together, name) == pytest.approx(np.concatenate([getattr(each, name) for each in alone]))
    assert len(together.observations) == 7


@pytest.mark.parametrize("is_terminated", [True, False])
def test_advantages_against_a_loop(is_terminated: bool) -> None:
    one = episode(5, is_terminated=is_terminated)
    steps = steps_of([one], GAMMA, LAMBDA)
    following, after = 0.0, one.last_value
    for step in reversed(range(5)):
        error = one.rewards[step] + GAMMA * after - one.values[step]
        following = error + GAMMA * LAMBDA * following
        after = one.values[step]
        assert steps.advantages[step] == pytest.approx(following)
        assert steps.returns[step] == pytest.approx(following + one.values[step])


def test_minibatches_hold_every_step_once_and_no_more_than_they_may() -> None:
    sizes = np.array([5, 1, 1, 20, 3, 3, 3, 1])
    found = list(minibatches(sizes, np.random.default_rng(0), 3, 8))
    assert sorted(np.concatenate(found).tolist()) == list(range(8))
    assert all(len(each) <= 3 and (len(each) == 1 or sizes[each].sum() <= 8) for each in found)
    assert [each.tolist() for each in found] != [
        each.tolist() for each in minibatches(sizes, np.random.default_rng(1), 3, 8)
    ]


def made(config: PpoConfig, seed: int = 0) -> tuple[Learner, Policy]:
    torch.manual_seed(seed)
    network = Network(NetworkConfig(hidden=16, embedding=8, num_rounds=1)).eval()
    return Learner(network, config), Policy(network)


def drawn(policy: Policy, count: int = 40) -> Steps:
    """Steps in states of which each has a best action, the last allowed one; only that one pays."""
    observations = [observation(seed) for seed in range(count)]
    decisions = policy.act(observations, torch.Generator().manual_seed(0))
    actions = np.array([each.action for each in decisions])
    best = np.array([int(np.flatnonzero(each.action_mask)[-1]) for each in observations])
    values = np.array([each.value for each in decisions])
    rewards = (actions == best).astype(np.float64)
    return Steps(
        observations=[pack(each) for each in observations],
        actions=actions,
        log_probs=np.array([each.log_prob for each in decisions]),
        advantages=rewards - values,
        returns=rewards,
        values=values,
    )


def test_what_paid_becomes_likelier() -> None:
    learner, policy = made(PpoConfig(learning_rate=3e-3, target_kl=1.0))
    steps = drawn(policy)
    before = _log_probs(policy, steps)
    progress = learner.update(steps, 0.0, np.random.default_rng(0))
    change = _log_probs(policy, steps) - before
    paid = steps.returns > 0
    assert change[paid].mean() > change[~paid].mean()
    assert progress.num_minibatches == 3
    assert 0 < progress.entropy < np.log(10)


def _log_probs(policy: Policy, steps: Steps) -> np.ndarray:
    return np.array(
        [np.log(policy.probabilities(observation(seed))[action]) for seed, action in enumerate(steps.actions)]
    )


def test_values_learn_the_returns() -> None:
    learner, policy = made(PpoConfig(learning_rate=1e-2, num_epochs=60, target_kl=100.0, clip=0.0))
    steps = drawn(policy)
    steps = replace(
        steps, returns=np.array([float(each.arrays["enode_features"].sum() > 0) for each in steps.observations])
    )
    before = np.square(steps.values - steps.returns).mean()
    learner.update(steps, 0.0, np.random.default_rng(0))
    values = np.array([each.value for each in policy.act([observation(seed) for seed in range(40)])])
    assert np.square(values - steps.returns).mean() < 0.5 * before


def test_it_ends_where_the_policy_has_moved_far_enough() -> None:
    learner, policy = made(PpoConfig(learning_rate=0.05, num_epochs=20, minibatch_size=8, target_kl=0.01))
    progress = learner.update(drawn(policy), 0.0, np.random.default_rng(0))
    assert progress.kl > 0.015
    assert progress.num_minibatches < 100


def test_nothing_moves_at_the_end_of_the_schedule() -> None:
    learner, policy = made(PpoConfig())
    steps = drawn(policy)
    before = {name: each.clone() for name, each in learner.network.state_dict().items()}
    learner.update(steps, 1.0, np.random.default_rng(0))
    assert all(each.equal(before[name]) for name, each in learner.network.state_dict().items())


def test_a_long_gradient_is_cut() -> None:
    lengths = []
    for max_norm in (1e-6, 1e6):
        learner, policy = made(PpoConfig(max_grad_norm=max_norm, num_epochs=1))
        learner.update(drawn(policy), 0.0, np.random.default_rng(0))
        gradients = [each.grad for each in learner.network.parameters() if each.grad is not None]
        lengths.append(float(torch.stack([each.norm() for each in gradients]).norm()))
    assert lengths[0] == pytest.approx(1e-6, rel=0.01)
    assert lengths[1] > 1e-3


def test_a_seed_learns_the_same_again() -> None:
    weights = []
    for _ in range(2):
        learner, policy = made(PpoConfig(minibatch_size=16))
        learner.update(drawn(policy), 0.0, np.random.default_rng(5))
        weights.append(torch.cat([each.detach().flatten() for each in learner.network.parameters()]))
    assert weights[0].equal(weights[1])


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_it_learns_the_same_on_a_cuda_device() -> None:
    changes = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        network = Network(NetworkConfig(hidden=16, embedding=8, num_rounds=1)).eval()
        steps = drawn(Policy(network))
        learner = Learner(network.to(torch.device(device)), PpoConfig(num_epochs=1))
        learner.update(steps, 0.0, np.random.default_rng(0))
        changes.append(torch.cat([each.detach().cpu().flatten() for each in learner.network.parameters()]))
    assert torch.allclose(changes[0], changes[1], atol=1e-4)
