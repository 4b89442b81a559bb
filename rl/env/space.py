"""Gymnasium spaces of the environment: observations of any size, and actions whose number the observation gives.

Gymnasium's own ``Graph`` has one kind of node and one kind of edge, and its ``Discrete`` a fixed number of actions;
these spaces are for a graph of three kinds of nodes whose candidates are the actions. They keep to Gymnasium's rules
for spaces without a fixed size:

* ``shape`` and ``dtype`` of :class:`ObservationSpace` are None, ``is_np_flattenable`` is False, ``flatdim`` raises
  ``ValueError``;
* ``flatten`` returns a dictionary of arrays, one row an item (an e-node, an edge, an action), ``flatten_space`` the
  ``Dict`` of ``Sequence`` spaces that it lies in, and ``unflatten`` is its inverse;
* a batch of either space is a ``Tuple``, and a batch of observations a tuple, so that the vector environments of
  Gymnasium take them with ``shared_memory=False``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, Final, final

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, Sequence, utils
from typing_extensions import override

from rl.env.observation import (
    FIRST_CANDIDATE,
    NUM_CANDIDATE_FEATURES,
    NUM_ECLASS_FEATURES,
    NUM_ENODE_FEATURES,
    NUM_OPERATOR_BUCKETS,
    NUM_POSITIONS,
    NUM_RULE_BUCKETS,
    NUM_SLOTS,
    STOP,
    Observation,
    problems,
)

_MAX_SAMPLED: Final = 8
"""Nodes of a kind in a random observation."""


@final
class ObservationSpace(Space[Observation]):
    """Every well-formed :class:`~rl.env.observation.Observation`, of any size."""

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(None, None, seed)

    @property
    @override
    def is_np_flattenable(self) -> bool:
        """False: there is no array of a fixed size for it."""
        return False

    @override
    def contains(self, x: Any) -> bool:
        """Return whether ``x`` is an observation whose arrays fit each other."""
        return isinstance(x, Observation) and not problems(x)

    @override
    def sample(self, mask: Any | None = None, probability: Any | None = None) -> Observation:
        """Return a small random observation.

        Raises:
            ValueError: A mask or probabilities are given; there is nothing that they could mean.
        """
        if mask is not None or probability is not None:
            raise ValueError("observations cannot be sampled with a mask or with probabilities")
        rng = self.np_random
        enodes, eclasses, candidates = (int(rng.integers(1, _MAX_SAMPLED + 1)) for _ in range(3))
        children, bindings = int(rng.integers(_MAX_SAMPLED)), int(rng.integers(_MAX_SAMPLED))
        action_mask = rng.random(FIRST_CANDIDATE + candidates) < 0.5
        action_mask[STOP] = True
        return Observation(
            enode_operator=rng.integers(NUM_OPERATOR_BUCKETS, size=enodes),
            enode_features=rng.standard_normal((enodes, NUM_ENODE_FEATURES), np.float32),
            eclass_features=rng.standard_normal((eclasses, NUM_ECLASS_FEATURES), np.float32),
            candidate_rule=rng.integers(NUM_RULE_BUCKETS, size=candidates),
            candidate_features=rng.standard_normal((candidates, NUM_CANDIDATE_FEATURES), np.float32),
            member_edges=np.stack([np.arange(enodes), rng.integers(eclasses, size=enodes)]),
            child_edges=np.stack([rng.integers(eclasses, size=children), rng.integers(enodes, size=children)]),
            child_positions=rng.integers(NUM_POSITIONS, size=children),
            binding_edges=np.stack([rng.integers(eclasses, size=bindings), rng.integers(candidates, size=bindings)]),
            binding_slots=rng.integers(NUM_SLOTS, size=bindings),
            root_eclasses=rng.integers(eclasses, size=1),
            action_mask=action_mask,
        )

    @override
    def to_jsonable(self, sample_n: Iterable[Observation]) -> list[dict[str, Any]]:
        """Return observations as lists of numbers, each with its element type."""
        return [
            {
                field.name: [str(getattr(each, field.name).dtype), getattr(each, field.name).tolist()]
                for field in fields(Observation)
            }
            for each in sample_n
        ]

    @override
    def from_jsonable(self, sample_n: Iterable[Mapping[str, Any]]) -> list[Observation]:
        """Return the observations that :meth:`to_jsonable` made lists of."""
        columns = {
            "enode_features": NUM_ENODE_FEATURES,
            "eclass_features": NUM_ECLASS_FEATURES,
            "candidate_features": NUM_CANDIDATE_FEATURES,
        }
        return [
            Observation(
                **{
                    name: np.array(values, dtype).reshape((-1, columns[name]) if name in columns else np.shape(values))
                    for name, (dtype, values) in each.items()
                }
            )
            for each in sample_n
        ]

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObservationSpace)

    @override
    def __hash__(self) -> int:
        return hash(ObservationSpace)

    @override
    def __repr__(self) -> str:
        return "ObservationSpace()"


@final
class ActionSpace(Space[np.int64]):
    """The whole numbers from 0: STOP, then one a candidate. How many there are, the action mask says."""

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        super().__init__((), np.int64, seed)

    @property
    @override
    def is_np_flattenable(self) -> bool:
        """False: the number of actions is not fixed, so that none can be one-hot."""
        return False

    @override
    def contains(self, x: Any) -> bool:
        """Return whether ``x`` can be an action in some state."""
        is_integer = isinstance(x, (int, np.integer)) and not isinstance(x, (bool, np.bool_))
        return is_integer and bool(x >= STOP)

    @override
    def sample(self, mask: np.ndarray | None = None, probability: np.ndarray | None = None) -> np.int64:
        """Return a random action of those allowed; without a mask STOP, which is the only one allowed in every state.

        Args:
            mask: True or 1 for each action that is allowed: the observation's ``action_mask``; (num_actions,).
            probability: Probability of each action; (num_actions,).

        Raises:
            ValueError: Both are given, or the mask allows nothing.
        """
        if mask is not None and probability is not None:
            raise ValueError("give a mask or probabilities, not both")
        if probability is not None:
            return np.int64(self.np_random.choice(len(probability), p=probability))
        if mask is None:
            return np.int64(STOP)
        allowed = np.flatnonzero(mask)
        if not allowed.size:
            raise ValueError("the mask allows no action")
        return np.int64(self.np_random.choice(allowed))

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActionSpace)

    @override
    def __hash__(self) -> int:
        return hash(ActionSpace)

    @override
    def __repr__(self) -> str:
        return f"ActionSpace(stop={STOP}, first_candidate={FIRST_CANDIDATE})"


@utils.flatdim.register
def _flatdim(space: ObservationSpace) -> int:
    raise ValueError(f"{space} has no fixed size")


@utils.flatten.register
def _flatten(space: ObservationSpace, x: Observation) -> dict[str, Any]:  # type: ignore[misc]
    if x not in space:
        raise ValueError("this is no observation")
    items = {field.name: getattr(x, field.name) for field in fields(Observation)}
    return {name: array.T if name in _EDGES else array.astype(_ITEMS[name].dtype) for name, array in items.items()}


@utils.unflatten.register
def _unflatten(space: ObservationSpace, x: dict[str, Any]) -> Observation:  # type: ignore[misc]
    items = {name: array.T if name in _EDGES else array for name, array in x.items()}
    observation = Observation(**{**items, "action_mask": items["action_mask"].astype(np.bool_)})
    if observation not in space:
        raise ValueError("these arrays do not fit each other")
    return observation


@utils.flatten_space.register
def _flatten_space(_: ObservationSpace) -> Dict[Any]:
    return Dict({name: Sequence(item, stack=True) for name, item in _ITEMS.items()})


def _vector(num_features: int) -> Box[np.float32]:
    return Box(-np.inf, np.inf, (num_features,), np.float32)


_INDEX: Final = Discrete(np.iinfo(np.int64).max)
_EDGE: Final = Box(0, np.iinfo(np.int64).max, (2,), np.int64)

_ITEMS: Final[Mapping[str, Space[Any]]] = {
    "enode_operator": Discrete(NUM_OPERATOR_BUCKETS),
    "enode_features": _vector(NUM_ENODE_FEATURES),
    "eclass_features": _vector(NUM_ECLASS_FEATURES),
    "candidate_rule": Discrete(NUM_RULE_BUCKETS),
    "candidate_features": _vector(NUM_CANDIDATE_FEATURES),
    "member_edges": _EDGE,
    "child_edges": _EDGE,
    "child_positions": Discrete(NUM_POSITIONS),
    "binding_edges": _EDGE,
    "binding_slots": Discrete(NUM_SLOTS),
    "root_eclasses": _INDEX,
    "action_mask": Discrete(2),
}
"""One item of each array of an observation, when it is flattened."""

_EDGES: Final = frozenset({"member_edges", "child_edges", "binding_edges"})
"""Arrays whose items stand along the second axis."""
