"""A policy in use: observations in, actions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import torch

from eqsat.errors import UsageError
from rl.agent.batch import collate
from rl.agent.segments import segment_argmax, segment_sample

if TYPE_CHECKING:
    from rl.agent.checkpoint import Checkpoint
    from rl.agent.network import Network
    from rl.env.observation import Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a policy does in one state.

    Attributes:
        action: Index into the observation's actions.
        log_prob: Its log-probability.
        value: What the policy expects from here on.
    """

    action: int
    log_prob: float
    value: float


@final
class Policy:
    """A network that acts. It learns nothing, and keeps nothing from one state to the next."""

    def __init__(self, network: Network) -> None:
        """Act by a network, where it is and as it becomes."""
        self.network = network

    @staticmethod
    def of(checkpoint: Checkpoint, device: torch.device | None = None) -> Policy:
        """Return the policy of a checkpoint.

        Args:
            checkpoint: The network.
            device: Where it runs; the CPU where it is left out.
        """
        return Policy(checkpoint.build(device))

    def act(self, observations: Sequence[Observation], generator: torch.Generator | None = None) -> list[Decision]:
        """Return what to do in each of some states.

        Args:
            observations: The states, at least one.
            generator: Draws from the policy's distribution; where it is left out, the likeliest action is taken.
        """
        with torch.inference_mode():
            batch = collate(observations, self.device)
            said = self.network(batch)
            segments, count = batch.action_observation, batch.num_observations
            if generator is None:
                places = segment_argmax(said.log_probs, segments, count)
            else:
                places = segment_sample(said.log_probs, segments, count, generator)
            actions = (places - batch.first_action).tolist()
            log_probs = said.log_probs[places].tolist()
            values = said.values.tolist()
        return [
            Decision(action=action, log_prob=log_prob, value=value)
            for action, log_prob, value in zip(actions, log_probs, values, strict=True)
        ]

    def probabilities(self, observation: Observation) -> np.ndarray:
        """Return the probability of each action in one state; float64 (num_actions,).

        Raises:
            UsageError: They are no numbers.
        """
        with torch.inference_mode():
            found: np.ndarray = self.network(collate([observation], self.device)).log_probs.double().exp().cpu().numpy()
        if not np.isfinite(found).all():
            raise UsageError("the policy gives no probabilities: its weights are out of range")
        return found

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device
