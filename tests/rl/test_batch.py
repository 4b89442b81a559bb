"""A batch is its observations side by side: each can be read back from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from rl.agent.batch import Batch, collate
from rl.env.observation import Observation
from tests.rl.observations import observation

CPU = torch.device("cpu")


def part(batch: Batch, index: int) -> Observation:
    """One observation, read back."""

    def of(values: Tensor, owner: Tensor) -> np.ndarray:
        found: np.ndarray = values[owner == index].numpy()
        return found

    first_enode, first_eclass, first_candidate = (
        int((owner < index).sum())
        for owner in (batch.enode_observation, batch.eclass_observation, batch.candidate_observation)
    )

    def edges(name: str, sources: int, targets: int, owner: Tensor) -> np.ndarray:
        both: Tensor = getattr(batch, name)
        kept: np.ndarray = both[:, owner == index].numpy() - np.array([[sources], [targets]])
        return kept

    of_child = batch.enode_observation[batch.child_edges[1]]
    of_binding = batch.candidate_observation[batch.binding_edges[1]]
    return Observation(
        enode_operator=of(batch.enode_operator, batch.enode_observation),
        enode_features=of(batch.enode_features, batch.enode_observation),
        eclass_features=of(batch.eclass_features, batch.eclass_observation),
        candidate_rule=of(batch.candidate_rule, batch.candidate_observation),
        candidate_features=of(batch.candidate_features, batch.candidate_observation),
        member_edges=edges("member_edges", first_enode, first_eclass, batch.enode_observation[batch.member_edges[0]]),
        child_edges=edges("child_edges", first_eclass, first_enode, of_child),
        child_positions=of(batch.child_positions, of_child),
        binding_edges=edges("binding_edges", first_eclass, first_candidate, of_binding),
        binding_slots=of(batch.binding_slots, of_binding),
        root_eclasses=of(batch.root_eclasses, batch.root_observation) - first_eclass,
        action_mask=of(batch.action_mask, batch.action_observation),
    )


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_observation_can_be_read_back(count: int) -> None:
    observations = [observation(seed) for seed in range(count)]
    batch = collate(observations, CPU)
    assert [part(batch, index) for index in range(count)] == observations


def test_actions_keep_their_places() -> None:
    observations = [observation(seed) for seed in range(4)]
    batch = collate(observations, CPU)
    actions = np.array([each.num_actions - 1 for each in observations])
    places = batch.places(actions)
    assert batch.action_observation[places].tolist() == [0, 1, 2, 3]
    assert batch.action_mask[places].tolist() == [bool(each.action_mask[-1]) for each in observations]
    candidates = batch.candidate_observation.numpy()
    last = [int(np.flatnonzero(candidates == index)[-1]) for index in range(4)]
    assert batch.candidate_action[last].tolist() == places.tolist()


def test_an_observation_without_candidates_takes_part() -> None:
    one, two = observation(0), observation(1)
    empty = Observation(
        enode_operator=one.enode_operator,
        enode_features=one.enode_features,
        eclass_features=one.eclass_features,
        candidate_rule=one.candidate_rule[:0],
        candidate_features=one.candidate_features[:0],
        member_edges=one.member_edges,
        child_edges=one.child_edges,
        child_positions=one.child_positions,
        binding_edges=one.binding_edges[:, :0],
        binding_slots=one.binding_slots[:0],
        root_eclasses=one.root_eclasses,
        action_mask=one.action_mask[:1],
    )
    batch = collate([two, empty, two], CPU)
    assert [part(batch, index) for index in range(3)] == [two, empty, two]
