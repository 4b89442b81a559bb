"""What an agent sees: the e-graph and its candidates as one heterogeneous graph, in numpy arrays.

Three kinds of nodes (e-nodes, e-classes, candidates) and three kinds of edges:

========== ===================== ===========================================================================
edges      from, to              meaning
========== ===================== ===========================================================================
member     e-node, e-class       the e-node is one of the forms of the e-class
child      e-class, e-node       the e-node reads the e-class as its input number ``child_positions``
binding    e-class, candidate    the candidate's rule binds the e-class to its variable number ``binding_slots``
========== ===================== ===========================================================================

The order of e-nodes, e-classes and candidates carries no meaning. Nothing is padded: sizes change from step to step.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import Final, final

import numpy as np
from typing_extensions import override

NUM_OPERATOR_BUCKETS: Final = 512
"""Numbers that names of operators are hashed into; a new operator needs no new number."""

NUM_RULE_BUCKETS: Final = 1024
"""Numbers that names of rules are hashed into."""

NUM_ENODE_FEATURES: Final = 16
NUM_ECLASS_FEATURES: Final = 24
NUM_CANDIDATE_FEATURES: Final = 56

NUM_POSITIONS: Final = 8
"""Inputs from this one on count as the last."""

NUM_SLOTS: Final = 8
"""Variables of a rule from this one on count as the last."""

STOP: Final = 0
"""Action that ends the episode."""

FIRST_CANDIDATE: Final = 1
"""Action that applies the first candidate; the others follow."""


def bucket(name: str, num_buckets: int) -> int:
    """Return the number of a name, the same on every machine and in every run."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % num_buckets


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observation:
    """One state of an episode.

    Attributes:
        enode_operator: Bucket of the operator's name, below :data:`NUM_OPERATOR_BUCKETS`; int64 (num_enodes,).
        enode_features: See :mod:`rl.env.features`; float32 (num_enodes, NUM_ENODE_FEATURES).
        eclass_features: Likewise; float32 (num_eclasses, NUM_ECLASS_FEATURES).
        candidate_rule: Bucket of the rule's name, below :data:`NUM_RULE_BUCKETS`; int64 (num_candidates,).
        candidate_features: See :mod:`rl.env.features`; float32 (num_candidates, NUM_CANDIDATE_FEATURES).
        member_edges: E-node and the e-class it belongs to; int64 (2, num_enodes).
        child_edges: E-class and an e-node that reads it; int64 (2, num_child_edges).
        child_positions: Number of that input, below :data:`NUM_POSITIONS`; int64 (num_child_edges,).
        binding_edges: E-class and a candidate that it is bound by; int64 (2, num_binding_edges).
        binding_slots: Number of that variable, below :data:`NUM_SLOTS`; int64 (num_binding_edges,).
        root_eclasses: E-classes of the model's outputs; int64 (num_roots,).
        action_mask: True = allowed; bool (1 + num_candidates,). The actions are STOP and one a candidate.
    """

    enode_operator: np.ndarray
    enode_features: np.ndarray
    eclass_features: np.ndarray
    candidate_rule: np.ndarray
    candidate_features: np.ndarray
    member_edges: np.ndarray
    child_edges: np.ndarray
    child_positions: np.ndarray
    binding_edges: np.ndarray
    binding_slots: np.ndarray
    root_eclasses: np.ndarray
    action_mask: np.ndarray

    @property
    def num_enodes(self) -> int:
        """Number of e-nodes."""
        return len(self.enode_operator)

    @property
    def num_eclasses(self) -> int:
        """Number of e-classes."""
        return len(self.eclass_features)

    @property
    def num_candidates(self) -> int:
        """Number of candidates."""
        return len(self.candidate_rule)

    @property
    def num_actions(self) -> int:
        """Number of actions, allowed or not."""
        return FIRST_CANDIDATE + self.num_candidates

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Observation):
            return NotImplemented
        return all(np.array_equal(one, two) for one, two in zip(arrays(self), arrays(other), strict=True))

    __hash__ = None  # type: ignore[assignment]


def arrays(observation: Observation) -> tuple[np.ndarray, ...]:
    """Return the arrays of an observation, in the order of its fields."""
    return tuple(getattr(observation, field.name) for field in fields(observation))


def problems(observation: Observation) -> list[str]:
    """Return what is wrong with an observation: shapes, element types or indices that do not fit."""
    enodes, eclasses, candidates = observation.num_enodes, observation.num_eclasses, observation.num_candidates
    num_children = observation.child_positions.shape[0] if observation.child_positions.ndim == 1 else -1
    num_bindings = observation.binding_slots.shape[0] if observation.binding_slots.ndim == 1 else -1
    shapes = {
        "enode_operator": (np.int64, (enodes,)),
        "enode_features": (np.float32, (enodes, NUM_ENODE_FEATURES)),
        "eclass_features": (np.float32, (eclasses, NUM_ECLASS_FEATURES)),
        "candidate_rule": (np.int64, (candidates,)),
        "candidate_features": (np.float32, (candidates, NUM_CANDIDATE_FEATURES)),
        "member_edges": (np.int64, (2, enodes)),
        "child_edges": (np.int64, (2, num_children)),
        "child_positions": (np.int64, (num_children,)),
        "binding_edges": (np.int64, (2, num_bindings)),
        "binding_slots": (np.int64, (num_bindings,)),
        "root_eclasses": (np.int64, (observation.root_eclasses.size,)),
        "action_mask": (np.bool_, (FIRST_CANDIDATE + candidates,)),
    }
    found = []
    for name, (dtype, shape) in shapes.items():
        array = getattr(observation, name)
        if array.dtype != dtype or array.shape != shape:
            found.append(f"{name} is {array.dtype} {array.shape}, not {np.dtype(dtype)} {shape}")
    return found or _out_of_range(observation)


def _out_of_range(observation: Observation) -> list[str]:
    enodes, eclasses, candidates = observation.num_enodes, observation.num_eclasses, observation.num_candidates
    limits = {
        "enode_operator": (observation.enode_operator, NUM_OPERATOR_BUCKETS),
        "candidate_rule": (observation.candidate_rule, NUM_RULE_BUCKETS),
        "member_edges[0]": (observation.member_edges[0], enodes),
        "member_edges[1]": (observation.member_edges[1], eclasses),
        "child_edges[0]": (observation.child_edges[0], eclasses),
        "child_edges[1]": (observation.child_edges[1], enodes),
        "child_positions": (observation.child_positions, NUM_POSITIONS),
        "binding_edges[0]": (observation.binding_edges[0], eclasses),
        "binding_edges[1]": (observation.binding_edges[1], candidates),
        "binding_slots": (observation.binding_slots, NUM_SLOTS),
        "root_eclasses": (observation.root_eclasses, eclasses),
    }
    found = [
        f"{name} is not within 0 and {limit - 1}"
        for name, (array, limit) in limits.items()
        if array.size and not (array.min() >= 0 and array.max() < limit)
    ]
    features = (observation.enode_features, observation.eclass_features, observation.candidate_features)
    if not all(np.isfinite(array).all() for array in features):
        found.append("a feature is not finite")
    if not observation.action_mask[STOP]:
        found.append("STOP is masked; it is allowed in every state")
    return found
