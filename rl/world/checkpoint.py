"""A world model on disk: a policy (see :mod:`rl.agent.checkpoint`), ``world.safetensors`` and ``world.json``.

The policy of that folder is a policy like any other: ``--search ppo`` acts by it without a world model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import torch
from safetensors.torch import save_file

from eqsat.errors import UsageError
from ir.atomic_file import replacing, write_text
from rl.agent import checkpoint as policies
from rl.agent.network import Network
from rl.agent.settings import filled
from rl.agent.stored import StoredError, read_description, read_tensors
from rl.world.config import ModelConfig, with_openness
from rl.world.model import WorldModel

if TYPE_CHECKING:
    from pathlib import Path

    from rl.agent.statistics import FeatureStatistics

FORMAT: Final = 3
"""Version of the files' layout and of the meaning of every number in them."""

WEIGHTS: Final = "world.safetensors"
DESCRIPTION: Final = "world.json"

_POLICY: Final = "network."


def save(model: WorldModel, statistics: FeatureStatistics, folder: Path, notes: Mapping[str, object]) -> None:
    """Write a world model and its policy into a folder, which is made where it is missing.

    Args:
        model: The world model.
        statistics: What features are normalised by.
        folder: Where.
        notes: Where it comes from, for people to read.
    """
    policies.save(policies.Checkpoint.of(model.network, statistics, notes), folder)
    tensors = {name: each.cpu().contiguous() for name, each in _own(model).items()}
    with replacing(folder / WEIGHTS) as weights:
        save_file(tensors, weights)
    described = {"format": FORMAT, "model": asdict(model.config), "notes": dict(notes)}
    write_text(folder / DESCRIPTION, json.dumps(described, indent=1) + "\n")


def load(folder: Path, device: torch.device | None = None) -> tuple[WorldModel, FeatureStatistics]:
    """Return the world model of a folder, ready to be used, and what its features are normalised by.

    Args:
        folder: What :func:`save` wrote.
        device: Where it goes; the CPU where it is left out.

    Raises:
        UsageError: There is none, or it is broken, or of another version.
    """
    policy = policies.load(folder)
    try:
        described = read_description(folder / DESCRIPTION)
    except StoredError as error:
        raise UsageError(f"{folder} holds no world model that can be read: {error}") from error
    if described.get("format") != FORMAT:
        raise UsageError(f"the world model in {folder} was written by another version: train it again")
    try:
        shape = filled(ModelConfig(), with_openness(described["model"], "model"), "model")
        with torch.device("meta"):
            expected = _own(WorldModel(Network(policy.network), shape))
        tensors = read_tensors(folder / WEIGHTS, expected)
        model = WorldModel(policy.build(), shape)
        model.load_state_dict(tensors, strict=False)
        model.check_buffers()
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise UsageError(f"the world model in {folder} is broken: {error!s}") from error
    return model.to(device or torch.device("cpu")).eval(), policy.statistics


def _own(model: WorldModel) -> dict[str, torch.Tensor]:
    """Return the weights that are not the policy's, which has files of its own."""
    return {name: each.detach() for name, each in model.state_dict().items() if not name.startswith(_POLICY)}
