"""The world model: an encoder, an ensemble of dynamics, and the scales that lie between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

import torch
from torch import Tensor, nn

from eqsat.errors import UsageError
from rl.env.observation import NUM_RULE_BUCKETS
from rl.world.dynamics import Dynamics, Situation
from rl.world.encoder import HEADS, encode
from rl.world.latent import LatentState

if TYPE_CHECKING:
    import numpy as np

    from rl.agent.network import Network
    from rl.env.observation import Observation
    from rl.world.config import ModelConfig

GROWTH_SCALE: Final = 10.0
"""The logarithm of the size of an e-graph grows by about a tenth in a step."""

COST_SCALE: Final = 5.0
"""The logarithm of a price relative to the model's own ends at about a fifth below zero."""

_LEAST_SCALE: Final = 1e-3


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What is subtracted from the columns of states and what they are divided by; and the scale of their changes.

    Attributes:
        mean: float (width,).
        std: float (width,).
        change: Root of the mean square of what a step changes; float (width,).
    """

    mean: Tensor
    std: Tensor
    change: Tensor

    @staticmethod
    def of(rows: Tensor, changes: Tensor) -> Scale:
        """Return the scale of what was seen.

        Args:
            rows: States; float (num_rows, width).
            changes: What steps changed; float (num_changes, width).
        """
        std = rows.std(dim=0, correction=0).clamp_min(_LEAST_SCALE)
        change = changes.square().mean(dim=0).sqrt() if len(changes) else std
        return Scale(mean=rows.mean(dim=0), std=std, change=torch.maximum(change, _LEAST_SHARE * std))


_LEAST_SHARE: Final = 0.01
"""A column changes by this share of its spread at least, as far as scales go: what never changes is not blown up."""


@final
class WorldModel(nn.Module):
    """Encodes states, and says what comes of a step.

    Attributes:
        config: Its shape.
        network: The agent's network: encoder, policy and value.
        members: The ensemble.
    """

    members: nn.ModuleList

    def __init__(self, network: Network, config: ModelConfig) -> None:
        """Make a world model around a network, with random weights; the caller seeds torch.

        Raises:
            UsageError: The network does not judge candidates one by one.
        """
        super().__init__()
        if network.config.is_rule_only:
            raise UsageError("a world model needs a network that scores each candidate, not each rule")
        self.config = config
        self.network = network
        self.width = network.config.hidden
        self.members = nn.ModuleList([Dynamics(config, self.width) for _ in range(config.num_members)])
        for kind in _KINDS:
            self.register_buffer(f"{kind}_mean", torch.zeros(self.width))
            self.register_buffer(f"{kind}_std", torch.ones(self.width))
            self.register_buffer(f"{kind}_change", torch.ones(self.width))
        self.register_buffer("rule_numbers", torch.zeros(NUM_RULE_BUCKETS, dtype=torch.int64))
        self.register_buffer("rule_buckets", torch.zeros(config.num_rules, dtype=torch.int64))

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.get_buffer("summary_mean").device

    def member(self, number: int) -> Dynamics:
        """Return a member of the ensemble."""
        found = self.members[number]
        assert isinstance(found, Dynamics)  # noqa: S101 - the list holds nothing else
        return found

    def encode(self, observations: Sequence[Observation], log_costs: np.ndarray, num_enodes: np.ndarray) -> LatentState:
        """Return the latent states of observations, see :func:`rl.world.encoder.encode`."""
        return encode(self.network, observations, log_costs, num_enodes)

    def encoder_parameters(self) -> list[nn.Parameter]:
        """Return what the encoder learns."""
        return [each for name, each in self.network.named_parameters() if name.partition(".")[0] not in HEADS]

    def head_parameters(self) -> list[nn.Parameter]:
        """Return what the policy and the value learn beyond the encoder."""
        return [each for name, each in self.network.named_parameters() if name.partition(".")[0] in HEADS]

    def learn_rules(self, buckets: Iterable[int]) -> None:
        """Give rules that have none a number, as long as there are numbers left; 0 stands for all others."""
        numbers, names = self.get_buffer("rule_numbers"), self.get_buffer("rule_buckets")
        following = int(numbers.max()) + 1
        for bucket in sorted(buckets):
            if numbers[bucket] == 0 and following < self.config.num_rules:
                numbers[bucket] = following
                names[following] = bucket
                following += 1

    def check_buffers(self) -> None:
        """Check what is looked up and divided by.

        Raises:
            ValueError: A rule has a number that there is not, or a scale is not above zero.
        """
        for name, end in (("rule_numbers", self.config.num_rules), ("rule_buckets", NUM_RULE_BUCKETS)):
            found = self.get_buffer(name)
            if int(found.min()) < 0 or int(found.max()) >= end:
                raise ValueError(f"{name} are not all from 0 to {end - 1}")
        for kind in _KINDS:
            for name in (f"{kind}_std", f"{kind}_change"):
                if not (self.get_buffer(name) > 0).all():
                    raise ValueError(f"{name} is not above 0")

    @property
    def num_known_rules(self) -> int:
        """Rules that have a number, and the one that stands for all others."""
        return int(self.get_buffer("rule_numbers").max()) + 1

    def numbers_of(self, buckets: Tensor) -> Tensor:
        """Return the number of each rule from its bucket; int64, the same shape."""
        return self.get_buffer("rule_numbers")[buckets]

    def buckets_of(self, numbers: Tensor) -> Tensor:
        """Return the bucket of each rule from its number; int64, the same shape."""
        return self.get_buffer("rule_buckets")[numbers]

    def scale(self, kind: str) -> Scale:
        """Return the scale of ``summary`` or ``candidate``."""
        return Scale(
            mean=self.get_buffer(f"{kind}_mean"),
            std=self.get_buffer(f"{kind}_std"),
            change=self.get_buffer(f"{kind}_change"),
        )

    def rescale(self, kind: str, scale: Scale) -> None:
        """Take another scale for ``summary`` or ``candidate``."""
        self.get_buffer(f"{kind}_mean").copy_(scale.mean)
        self.get_buffer(f"{kind}_std").copy_(scale.std)
        self.get_buffer(f"{kind}_change").copy_(scale.change)

    def situation(self, state: LatentState, chosen: Tensor) -> Situation:
        """Return states in scaled units, and what is done in them.

        Args:
            state: The states.
            chosen: Row of the candidate that is applied in each; int64 (num_states,).
        """
        candidates = self.scale("candidate")
        return Situation(
            summaries=self.scaled_summaries(state),
            candidates=(state.candidates - candidates.mean) / candidates.std,
            rules=self.numbers_of(state.rules),
            owner=state.owner,
            log_enodes=state.num_enodes.log1p(),
            chosen=chosen,
        )

    def ends(self, state: LatentState) -> Tensor:
        """Return what tells what STOP pays: summaries in scaled units, and the log-price.

        How much of what the prices promise the clock sees depends on how much they promise.

        Returns:
            float (num_states, width + 1).
        """
        return torch.cat([self.scaled_summaries(state), COST_SCALE * state.log_costs.unsqueeze(1)], dim=1)

    def scaled_summaries(self, state: LatentState) -> Tensor:
        """Return the summaries in scaled units; float (num_states, width)."""
        scale = self.scale("summary")
        return (state.summaries - scale.mean) / scale.std


_KINDS: Final = ("summary", "candidate")
