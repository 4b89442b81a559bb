"""A policy on disk: ``policy.safetensors`` (weights) and ``policy.json`` (shape, feature statistics, where it is from).

The weights are float32 and hold no code, so that a file from anywhere can be read safely.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, final

import torch
from safetensors.torch import save_file
from torch import Tensor

from eqsat.errors import UsageError
from ir.atomic_file import replacing, write_text
from rl.agent.network import Network, NetworkConfig
from rl.agent.settings import filled
from rl.agent.statistics import FeatureStatistics
from rl.agent.stored import StoredError, read_description, read_tensors

FORMAT: Final = 2
"""Version of the files' layout and of the meaning of every feature."""

WEIGHTS: Final = "policy.safetensors"
DESCRIPTION: Final = "policy.json"

SHIPPED: Final = Path(__file__).parents[1] / "shipped"
"""The policy that comes with the package."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A network at one point of its training.

    Attributes:
        network: Its shape.
        statistics: What its features are normalised by.
        weights: Its parameters by name, float32, on the CPU.
        notes: Where it comes from: settings and results of its training, for people to read.
    """

    network: NetworkConfig
    statistics: FeatureStatistics
    weights: Mapping[str, Tensor]
    notes: Mapping[str, object] = field(default_factory=dict)

    @staticmethod
    def of(network: Network, statistics: FeatureStatistics, notes: Mapping[str, object] | None = None) -> Checkpoint:
        """Return a network as it is now, copied."""
        return Checkpoint(
            network=network.config,
            statistics=statistics,
            weights={name: each.detach().cpu().clone() for name, each in network.state_dict().items()},
            notes=dict(notes or {}),
        )

    def build(self, device: torch.device | None = None) -> Network:
        """Return the network, ready to act.

        Args:
            device: Where it goes; the CPU where it is left out.
        """
        network = Network(self.network)
        network.load_state_dict(dict(self.weights))
        network.normalise_by(self.statistics)
        network.to(device or torch.device("cpu"))
        return network.eval()


def save(checkpoint: Checkpoint, folder: Path) -> None:
    """Write a checkpoint into a folder, which is made where it is missing; a reader never sees half of a file."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / WEIGHTS) as weights:
        save_file({name: each.contiguous() for name, each in checkpoint.weights.items()}, weights)
    described = {
        "format": FORMAT,
        "network": asdict(checkpoint.network),
        "notes": dict(checkpoint.notes),
        "statistics": json.loads(checkpoint.statistics.to_json()),
    }
    write_text(folder / DESCRIPTION, json.dumps(described, indent=1) + "\n")


def load(folder: Path) -> Checkpoint:
    """Return the checkpoint that a folder holds.

    Raises:
        UsageError: There is none, or it is broken, or of another version.
    """
    try:
        described = read_description(folder / DESCRIPTION)
    except StoredError as error:
        raise UsageError(f"{folder} holds no policy that can be read: {error}") from error
    if described.get("format") != FORMAT:
        raise UsageError(f"the policy in {folder} was written by another version: train it again")
    try:
        network = filled(NetworkConfig(), described["network"], "network")
        return Checkpoint(
            network=network,
            statistics=FeatureStatistics.from_json(json.dumps(described["statistics"])),
            weights=read_tensors(folder / WEIGHTS, _expected(network)),
            notes=dict(described["notes"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise UsageError(f"the policy in {folder} is broken: {error!s}") from error


def _expected(network: NetworkConfig) -> Mapping[str, Tensor]:
    """Return the weights of a network, without values and without their memory."""
    with torch.device("meta"):
        return Network(network).state_dict()


def shipped() -> Checkpoint:
    """Return the policy that comes with the package.

    Raises:
        UsageError: This installation has none.
    """
    return load(SHIPPED)
