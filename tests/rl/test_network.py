"""The network scores each candidate by what it is, not by where it stands; every ablation does what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rl.agent.batch import collate
from rl.agent.network import Assessment, Network, NetworkConfig, num_parameters
from rl.agent.statistics import FeatureStatistics
from rl.env.observation import FIRST_CANDIDATE, NUM_RULE_BUCKETS, STOP, Observation
from tests.rl.observations import observation, permuted

CPU = torch.device("cpu")
SMALL = NetworkConfig(hidden=16, embedding=8)


def network(config: NetworkConfig = SMALL, seed: int = 0) -> Network:
    """A network whose every weight counts, the heads and the names too."""
    torch.manual_seed(seed)
    made = Network(config).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made.eval()


def assess(made: Network, *observations: Observation) -> Assessment:
    batch = collate(observations, CPU)
    doubled = {
        name: getattr(batch, name).double() for name in ("enode_features", "eclass_features", "candidate_features")
    }
    with torch.no_grad():
        found: Assessment = made(replace(batch, **doubled))
    return found


@pytest.mark.parametrize(
    "config",
    [SMALL, replace(SMALL, num_rounds=0), replace(SMALL, is_rule_only=True)],
    ids=["whole", "no messages", "rules only"],
)
@pytest.mark.parametrize("seed", range(3))
def test_order_carries_no_meaning(config: NetworkConfig, seed: int) -> None:
    made, one = network(config), observation(seed)
    two, actions = permuted(one, seed)
    first, second = assess(made, one), assess(made, two)
    assert second.log_probs.numpy() == pytest.approx(first.log_probs.numpy()[actions], abs=1e-9)
    assert second.values.numpy() == pytest.approx(first.values.numpy(), abs=1e-9)


def test_what_stands_beside_changes_nothing() -> None:
    made = network()
    observations = [observation(seed) for seed in range(4)]
    together = assess(made, *observations)
    alone = [assess(made, each) for each in observations]
    assert together.log_probs.numpy() == pytest.approx(np.concatenate([each.log_probs for each in alone]), abs=1e-9)
    assert together.values.numpy() == pytest.approx(np.concatenate([each.values for each in alone]), abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_masked_actions_have_no_probability(seed: int) -> None:
    one = observation(seed)
    probabilities = assess(network(), one).log_probs.exp().numpy()
    assert not probabilities[~one.action_mask].any()
    assert (probabilities[one.action_mask] > 0).all()
    assert probabilities.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("field", "has_effect"),
    [("child_positions", True), ("binding_slots", True), ("child_edges", True), ("member_edges", True)],
)
def test_edges_and_their_positions_count(field: str, has_effect: bool) -> None:
    one = next(each for each in map(observation, range(50)) if each.num_eclasses > 2 and len(each.binding_slots) > 2)
    one = replace(one, action_mask=np.ones_like(one.action_mask))
    changed = getattr(one, field).copy()
    if changed.ndim == 2:
        eclasses = changed[0 if field == "child_edges" else 1]
        eclasses[:] = (eclasses + 1) % one.num_eclasses
    else:
        changed[:] = (changed + 1) % 8
    for config, moves in ((SMALL, has_effect), (replace(SMALL, num_rounds=0), False)):
        made = network(config)
        difference = assess(made, replace(one, **{field: changed})).log_probs - assess(made, one).log_probs
        assert bool((difference.abs() > 1e-9).any()) is moves


def test_messages_reach_as_far_as_there_are_rounds() -> None:
    """A chain of e-classes, the far end of which is changed: only enough rounds carry that to the other end."""
    length = 6
    base = observation(0)
    features = np.zeros((length, base.enode_features.shape[1]), np.float32)
    chain = replace(
        base,
        enode_operator=np.zeros(length, np.int64),
        enode_features=features,
        eclass_features=np.zeros((length, base.eclass_features.shape[1]), np.float32),
        member_edges=np.stack([np.arange(length), np.arange(length)]),
        child_edges=np.stack([np.arange(length - 1), np.arange(1, length)]),
        child_positions=np.zeros(length - 1, np.int64),
        binding_edges=np.array([[length - 1], [0]]),
        binding_slots=np.zeros(1, np.int64),
        root_eclasses=np.array([length - 1]),
    )
    changed = features.copy()
    changed[length - 3] = 1.0
    for num_rounds, arrives in ((1, False), (3, True)):
        made = network(replace(SMALL, num_rounds=num_rounds))
        states = [_bound_state(made, each) for each in (chain, replace(chain, enode_features=changed))]
        assert bool((states[0] - states[1]).abs().max() > 1e-9) is arrives


def _bound_state(made: Network, one: Observation) -> torch.Tensor:
    """What the first candidate hears from the e-class that it binds."""
    heard: list[torch.Tensor] = []
    assert made.bind is not None
    handle = made.bind.register_forward_hook(lambda _module, _inputs, output: heard.append(output[0]))
    assess(made, one)
    handle.remove()
    return heard[0]


def test_a_rule_or_operator_never_seen_is_judged_by_the_rest() -> None:
    torch.manual_seed(0)
    made = Network(SMALL).double().eval()
    one = observation(3)
    other = replace(
        one, candidate_rule=(one.candidate_rule + 1) % NUM_RULE_BUCKETS, enode_operator=(one.enode_operator + 1) % 512
    )
    assert assess(made, one).log_probs.equal(assess(made, other).log_probs)
    assert not assess(network(), one).log_probs.equal(assess(network(), other).log_probs)


def test_rules_share_their_probability_evenly() -> None:
    one = next(each for each in map(observation, range(50)) if each.num_candidates > 4)
    mask = np.ones(one.num_actions, np.bool_)
    mask[FIRST_CANDIDATE + 1] = False
    rules = np.arange(one.num_candidates) % 2
    one = replace(one, candidate_rule=rules, candidate_features=_by_rule(rules), action_mask=mask)
    probabilities = assess(network(replace(SMALL, is_rule_only=True)), one).log_probs.exp().numpy()[FIRST_CANDIDATE:]
    for rule in (0, 1):
        allowed = probabilities[(rules == rule) & mask[FIRST_CANDIDATE:]]
        assert allowed == pytest.approx(np.full(len(allowed), allowed[0]))
    counts = [int(((rules == rule) & mask[FIRST_CANDIDATE:]).sum()) for rule in (0, 1)]
    assert counts[0] != counts[1]


def _by_rule(rules: np.ndarray) -> np.ndarray:
    features: np.ndarray = np.random.default_rng(0).standard_normal((2, 56)).astype(np.float32)[rules]
    return features


@pytest.mark.parametrize("has_stop", [True, False])
def test_stop_can_be_left_out(has_stop: bool) -> None:
    made = network(replace(SMALL, has_stop=has_stop))
    one = observation(1)
    everything = replace(one, action_mask=np.ones(one.num_actions, np.bool_))
    probabilities = assess(made, everything).log_probs.exp().numpy()
    assert (probabilities[STOP] > 0) == has_stop
    assert probabilities.sum() == pytest.approx(1.0)
    nothing = np.zeros(one.num_actions, np.bool_)
    nothing[STOP] = True
    assert assess(made, replace(one, action_mask=nothing)).log_probs[STOP] == 0.0


def test_features_are_normalised_by_what_was_seen() -> None:
    made = network()
    before = assess(made, observation(0)).values
    scaled = replace(observation(0), eclass_features=observation(0).eclass_features * 3 + 7)
    statistics = FeatureStatistics.nothing().with_observations([observation(seed) for seed in range(20)])
    shifted = FeatureStatistics.nothing().with_observations(
        [replace(each, eclass_features=each.eclass_features * 3 + 7) for each in map(observation, range(20))]
    )
    made.normalise_by(statistics)
    plain = assess(made, observation(0)).values
    made.normalise_by(shifted)
    assert assess(made, scaled).values.numpy() == pytest.approx(plain.numpy(), abs=1e-4)
    assert not plain.equal(before)


def test_a_new_network_prefers_no_candidate_and_seldom_stops() -> None:
    one = observation(2)
    torch.manual_seed(0)
    made = Network(SMALL).double()
    found = assess(made, replace(one, action_mask=np.ones_like(one.action_mask))).log_probs.exp().numpy()
    candidates = found[FIRST_CANDIDATE:]
    assert candidates == pytest.approx(np.full(one.num_candidates, candidates[0]), rel=0.3)
    assert found[STOP] == pytest.approx(candidates[0] * np.exp(-2.0), rel=0.3)


def test_the_shape_of_the_default_is_small() -> None:
    assert num_parameters(Network(NetworkConfig())) * 4 < 2_000_000
