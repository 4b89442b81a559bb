"""A policy acts within the mask, by its probabilities or by the largest of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rl.agent.network import Network, NetworkConfig
from rl.agent.policy import Policy
from tests.rl.observations import observation


@pytest.fixture(scope="module")
def policy() -> Policy:
    torch.manual_seed(0)
    network = Network(NetworkConfig(hidden=16, embedding=8, num_rounds=1))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return Policy(network.eval())


def test_the_likeliest_action_is_taken(policy: Policy) -> None:
    observations = [observation(seed) for seed in range(5)]
    for each, decision in zip(observations, policy.act(observations), strict=True):
        probabilities = policy.probabilities(each)
        assert decision.action == int(probabilities.argmax())
        assert decision.log_prob == pytest.approx(math.log(probabilities.max()), abs=1e-5)


def test_draws_follow_the_probabilities(policy: Policy) -> None:
    one = observation(3)
    generator = torch.Generator().manual_seed(0)
    counts = np.zeros(one.num_actions)
    for _ in range(20):
        for decision in policy.act([one] * 50, generator):
            counts[decision.action] += 1
            assert one.action_mask[decision.action]
    assert counts / 1000 == pytest.approx(policy.probabilities(one), abs=0.06)


def test_a_seed_acts_the_same_again(policy: Policy) -> None:
    observations = [observation(seed) for seed in range(5)]
    runs = [
        [policy.act(observations, generator) for _ in range(3)]
        for generator in (torch.Generator().manual_seed(1), torch.Generator().manual_seed(1))
    ]
    assert runs[0] == runs[1]
