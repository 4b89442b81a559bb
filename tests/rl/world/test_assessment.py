"""Retelling follows the real actions and nothing else; what is said of it is right where the truth is known."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from rl.env.observation import FIRST_CANDIDATE
from rl.env.rewards import Rewards, potential
from rl.world.assessment import assess, discounted, majority, rewards_of, tallies
from rl.world.fit import Piece, encode_all
from rl.world.follow import retell, rule_sets
from rl.world.identity import NEW
from rl.world.model import WorldModel
from rl.world.stochastic import Openness
from tests.rl.world import trajectories
from tests.rl.world.test_latent import state


def unchanging() -> WorldModel:
    """A world in which nothing comes, nothing goes and nothing changes."""
    model = trajectories.model(num_members=2)
    with torch.no_grad():
        for member in (model.member(number) for number in range(2)):
            member.fate[1].get_parameter("weight").zero_()
            member.fate[1].get_parameter("bias").zero_()
            member.fate[1].get_parameter("bias")[0] = 50.0
            member.appear_bias[0] = -50.0
            member.drop[-1].get_parameter("weight").zero_()
            member.drop[-1].get_parameter("bias").copy_(-1e4 * member.get_buffer("bins").abs())
    return model


def test_a_world_that_does_not_change_is_retold_against_a_loop() -> None:
    model = unchanging()
    episodes = [trajectories.drawn(seed, 5, is_terminated=False) for seed in range(4)]
    encoded = encode_all(model.network, episodes)
    pieces = [Piece(trajectory=place, start=1, num_steps=3) for place in range(4)]
    told = retell(model, model.member(0), pieces, encoded, None)
    assert np.allclose(told.log_costs, told.log_costs[0], atol=1e-6)
    num_blanks = 0
    for place, episode in enumerate(episodes):
        before = episode.observations[1].arrays["candidate_rule"].tolist()
        imagined, known = list(before), {each: each for each in range(len(before))}
        for step in range(1, 4):
            chosen = int(episode.actions[step]) - FIRST_CANDIDATE
            if chosen not in known:
                rule = int(episode.observations[step].arrays["candidate_rule"][chosen])
                free = [each for each, other in enumerate(imagined) if other == rule and each not in known.values()]
                if not free:
                    imagined.append(rule)
                    num_blanks += 1
                known[chosen] = free[0] if free else len(imagined) - 1
            links = episode.predecessors[step]
            known = {new: known[old] for new, old in enumerate(links) if old != NEW and old in known}
            assert told.rules[step - 1][place] == frozenset(imagined)
    assert told.num_blanks == num_blanks
    assert num_blanks


@pytest.mark.parametrize("openness", list(Openness))
def test_every_horizon_is_assessed(openness: Openness) -> None:
    model = trajectories.model(openness)
    episodes = [trajectories.drawn(seed, 6) for seed in range(5)]
    model.learn_rules(
        {int(rule) for each in episodes for one in each.observations for rule in one.arrays["candidate_rule"]}
    )
    found = assess(model, episodes, gamma=0.99, rng=np.random.default_rng(0), max_pieces=12, num_samples=4)
    assert [each.horizon for each in found] == [1, 5]
    assert [each.num_pieces for each in found] == [12, 5]
    for each in found:
        assert 0.0 <= each.mask_f1 <= 1.0
        assert -1.0 <= each.return_correlation <= 1.0
        assert 0.0 <= each.calibration <= 0.5
    assert found[0].mean_correlation == found[0].return_correlation


def test_who_foretells_no_change_is_the_mark_of_no_change() -> None:
    drawn = [trajectories.drawn(seed, 9, is_terminated=False) for seed in range(8)]
    episodes = [replace(each, costs_us=np.repeat(each.costs_us[::2], 2)[: len(each.costs_us)]) for each in drawn]
    found = assess(unchanging(), episodes, gamma=0.99, rng=np.random.default_rng(0), num_samples=2)
    assert [each.horizon for each in found] == [1, 5]
    for each in found:
        assert each.reward_correlation == pytest.approx(each.constant_correlation)
        assert each.change_area == 0.5


def test_what_does_not_change_is_foreseen_by_who_foretells_no_change() -> None:
    model = unchanging()
    episodes = [trajectories.drawn(seed, 3) for seed in range(3)]
    (found, *_) = assess(model, episodes, gamma=0.99, rng=np.random.default_rng(0), num_samples=2)
    assert found.mask_f1 == found.unchanged_f1
    assert math.isnan(found.uncertainty_correlation)
    hits = sum(each.num_hits for each in found.tallies.values())
    wrong = sum(each.num_false + each.num_missed for each in found.tallies.values())
    assert found.mask_f1 == pytest.approx(2 * hits / (2 * hits + wrong))


def test_rewards_are_those_of_the_environment() -> None:
    costs = np.array([100.0, 80.0, 80.0, 20.0])
    rewards = Rewards(gamma=0.9)
    potentials = [potential(cost, 100.0) for cost in costs]
    expected = [rewards.step(*pair) for pair in itertools.pairwise(potentials)]
    found = rewards_of(np.log(costs / 100.0)[:, None], 0.9)
    assert found[:, 0].tolist() == pytest.approx(expected)
    assert discounted(found, 0.9)[0] == pytest.approx(0.9**3 * potentials[-1])


def test_the_majority_of_sets() -> None:
    assert majority([frozenset({1, 2}), frozenset({2, 3}), frozenset({2, 3})]) == {2, 3}
    counts = tallies([frozenset({1}), frozenset({1})], [frozenset({1, 2}), frozenset()])
    assert {rule: (each.num_hits, each.num_false, each.num_missed) for rule, each in counts.items()} == {
        1: (1, 1, 0),
        2: (0, 0, 1),
    }


def test_rules_of_states() -> None:
    latent = state([2, 0, 1])
    rules = latent.rules.tolist()
    assert rule_sets(latent) == [frozenset(rules[:2]), frozenset(), frozenset(rules[2:])]
