"""Observations made of random numbers, and what else can be done with one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rl.env.observation import FIRST_CANDIDATE, Observation
from rl.env.space import ObservationSpace


def observation(seed: int) -> Observation:
    """A small random observation; its actions are allowed at random, STOP always."""
    return ObservationSpace(seed).sample()


def permuted(observation: Observation, seed: int) -> tuple[Observation, np.ndarray]:
    """The same observation with everything in another order, and the old action of each new one."""
    rng = np.random.default_rng(seed)
    enodes, eclasses, candidates = (
        rng.permutation(count)
        for count in (observation.num_enodes, observation.num_eclasses, observation.num_candidates)
    )
    enode, eclass, candidate = (np.argsort(order) for order in (enodes, eclasses, candidates))
    members, children, bindings = (
        rng.permutation(edges.shape[1])
        for edges in (observation.member_edges, observation.child_edges, observation.binding_edges)
    )
    actions = np.concatenate([np.arange(FIRST_CANDIDATE), FIRST_CANDIDATE + candidates])
    changed = replace(
        observation,
        enode_operator=observation.enode_operator[enodes],
        enode_features=observation.enode_features[enodes],
        eclass_features=observation.eclass_features[eclasses],
        candidate_rule=observation.candidate_rule[candidates],
        candidate_features=observation.candidate_features[candidates],
        member_edges=np.stack([enode[observation.member_edges[0]], eclass[observation.member_edges[1]]])[:, members],
        child_edges=np.stack([eclass[observation.child_edges[0]], enode[observation.child_edges[1]]])[:, children],
        child_positions=observation.child_positions[children],
        binding_edges=np.stack([eclass[observation.binding_edges[0]], candidate[observation.binding_edges[1]]])[
            :, bindings
        ],
        binding_slots=observation.binding_slots[bindings],
        root_eclasses=rng.permutation(eclass[observation.root_eclasses]),
        action_mask=observation.action_mask[actions],
    )
    return changed, actions
