"""A world model on disk: a folder with its policy (see :mod:`rl.checkpoint`), ``world.safetensors`` and ``world.json``.

The policy of that folder is a policy like any other: ``--search ppo`` acts by it without a world model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from eqsat.errors import UsageError
from ir.atomic_file import replacing, write_text
from rl import checkpoint as policies
from rl.world.config import ModelConfig
from rl.world.model import WorldModel
from rl.world.stochastic import Openness

if TYPE_CHECKING:
    from pathlib import Path

    from rl.statistics import FeatureStatistics

FORMAT: Final = 2
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
        described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise UsageError(f"{folder} holds no world model that can be read: {error}") from error
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        raise UsageError(f"the world model in {folder} was written by another version: train it again")
    try:
        shape = described["model"]
        config = ModelConfig(**{**shape, "openness": Openness(shape["openness"])})
        model = WorldModel(policy.build(), config)
        missing, unknown = model.load_state_dict(tensors, strict=False)
        if unknown or [name for name in missing if not name.startswith(_POLICY)]:
            raise UsageError(f"the weights in {folder} are not those of the world model that is described")
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"the world model in {folder} is broken: {error!r}") from error
    return model.to(device or torch.device("cpu")).eval(), policy.statistics


def _own(model: WorldModel) -> dict[str, torch.Tensor]:
    """Return the weights that are not the policy's, which has files of its own."""
    return {name: each.detach() for name, each in model.state_dict().items() if not name.startswith(_POLICY)}
