"""From observations to latent states, by the agent's own network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import torch

from rl.agent.batch import collate
from rl.world.latent import LatentState

if TYPE_CHECKING:
    import numpy as np

    from rl.agent.network import Network
    from rl.env.observation import Observation

HEADS: Final = ("score", "stop", "value")
"""Parts of a network that judge a state; all others encode it."""


def encode(
    network: Network, observations: Sequence[Observation], log_costs: np.ndarray, num_enodes: np.ndarray
) -> LatentState:
    """Return the latent states of observations.

    Args:
        network: Encodes.
        observations: At least one.
        log_costs: See :class:`~rl.world.latent.LatentState`; float (num_observations,).
        num_enodes: Likewise.
    """
    device = next(network.parameters()).device
    batch = collate(observations, device)
    encoding = network.encode(batch)
    return LatentState(
        summaries=encoding.summary,
        candidates=encoding.candidates,
        rules=batch.candidate_rule,
        owner=batch.candidate_observation,
        log_costs=torch.as_tensor(log_costs, dtype=torch.float32, device=device),
        num_enodes=torch.as_tensor(num_enodes, dtype=torch.float32, device=device),
    )
