"""Several observations as one graph of tensors: indices are shifted, nothing is padded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from torch import Tensor

from rl.env.observation import FIRST_CANDIDATE

if TYPE_CHECKING:
    from rl.env.observation import Observation


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Observations side by side.

    Attributes:
        num_observations: How many.
        enode_operator: int64 (num_enodes,).
        enode_features: float32 (num_enodes, NUM_ENODE_FEATURES).
        enode_observation: Observation of each e-node; int64 (num_enodes,).
        eclass_features: float32 (num_eclasses, NUM_ECLASS_FEATURES).
        eclass_observation: Observation of each e-class; int64 (num_eclasses,).
        candidate_rule: int64 (num_candidates,).
        candidate_features: float32 (num_candidates, NUM_CANDIDATE_FEATURES).
        candidate_observation: Observation of each candidate; int64 (num_candidates,).
        candidate_action: Where each candidate stands among the actions; int64 (num_candidates,).
        member_edges: E-node, e-class; int64 (2, num_enodes).
        child_edges: E-class, e-node; int64 (2, num_child_edges).
        child_positions: int64 (num_child_edges,).
        binding_edges: E-class, candidate; int64 (2, num_binding_edges).
        binding_slots: int64 (num_binding_edges,).
        root_eclasses: int64 (num_roots,).
        root_observation: Observation of each root; int64 (num_roots,).
        action_mask: The actions of all observations, one after the other; True = allowed; bool (num_actions,).
        action_observation: Observation of each action; int64 (num_actions,).
        first_action: Where the actions of each observation begin; int64 (num_observations,).
    """

    num_observations: int
    enode_operator: Tensor
    enode_features: Tensor
    enode_observation: Tensor
    eclass_features: Tensor
    eclass_observation: Tensor
    candidate_rule: Tensor
    candidate_features: Tensor
    candidate_observation: Tensor
    candidate_action: Tensor
    member_edges: Tensor
    child_edges: Tensor
    child_positions: Tensor
    binding_edges: Tensor
    binding_slots: Tensor
    root_eclasses: Tensor
    root_observation: Tensor
    action_mask: Tensor
    action_observation: Tensor
    first_action: Tensor

    def places(self, actions: np.ndarray) -> Tensor:
        """Return where actions, numbered within their observations, stand among those of the batch.

        Args:
            actions: One an observation; int64 (num_observations,).
        """
        return self.first_action + torch.from_numpy(np.asarray(actions, np.int64)).to(self.first_action.device)


def collate(observations: Sequence[Observation], device: torch.device) -> Batch:
    """Return observations as one batch.

    Args:
        observations: At least one.
        device: Where its tensors go.
    """
    enodes = _counts(each.num_enodes for each in observations)
    eclasses = _counts(each.num_eclasses for each in observations)
    candidates = _counts(each.num_candidates for each in observations)
    roots = _counts(len(each.root_eclasses) for each in observations)
    actions = _counts(each.num_actions for each in observations)

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(each, name) for each in observations])

    def edges(name: str, sources: _Counts, targets: _Counts) -> np.ndarray:
        shifts = np.stack([sources.first, targets.first], axis=1)[:, :, None]
        return np.concatenate(
            [getattr(each, name) + shift for each, shift in zip(observations, shifts, strict=True)], axis=1
        )

    of_candidate = candidates.owner
    within = np.arange(len(of_candidate)) - candidates.first[of_candidate]
    arrays = {
        "enode_operator": joined("enode_operator"),
        "enode_features": joined("enode_features"),
        "enode_observation": enodes.owner,
        "eclass_features": joined("eclass_features"),
        "eclass_observation": eclasses.owner,
        "candidate_rule": joined("candidate_rule"),
        "candidate_features": joined("candidate_features"),
        "candidate_observation": of_candidate,
        "candidate_action": actions.first[of_candidate] + FIRST_CANDIDATE + within,
        "member_edges": edges("member_edges", enodes, eclasses),
        "child_edges": edges("child_edges", eclasses, enodes),
        "child_positions": joined("child_positions"),
        "binding_edges": edges("binding_edges", eclasses, candidates),
        "binding_slots": joined("binding_slots"),
        "root_eclasses": joined("root_eclasses") + eclasses.first[roots.owner],
        "root_observation": roots.owner,
        "action_mask": joined("action_mask"),
        "action_observation": actions.owner,
        "first_action": actions.first,
    }
    tensors = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
    return Batch(num_observations=len(observations), **tensors)


@dataclass(frozen=True, slots=True)
class _Counts:
    """How many of a kind each observation has: where they begin in the batch, and whose each one is."""

    first: np.ndarray
    owner: np.ndarray


def _counts(numbers: Iterable[int]) -> _Counts:
    counts = np.fromiter(numbers, np.int64)
    return _Counts(first=np.cumsum(counts) - counts, owner=np.repeat(np.arange(len(counts)), counts))
