"""A training that was interrupted, and goes on where it was."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, final

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from eqsat.errors import UsageError
from ir.atomic_file import replacing, write_text

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor

STATE: Final = "training.json"
OPTIMIZER: Final = "optimizer.safetensors"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingState:
    """Where a training stands, apart from its policy and its optimiser.

    Attributes:
        update: The next update.
        seconds: Seconds that it took so far.
        num_steps: Steps that were played.
        best_gain: Mean gain of the best validation.
        first_gains: Gain by validation task before anything was learnt: of drawn actions, or of the policy given.
        best_gains: Gain by validation task of the best validation.
        last_gains: Of the last one.
    """

    update: int
    seconds: float
    num_steps: int
    best_gain: float
    first_gains: dict[str, float]
    best_gains: dict[str, float]
    last_gains: dict[str, float] = field(default_factory=dict)


def save_state(folder: Path, state: TrainingState, optimizer: torch.optim.Optimizer) -> None:
    """Write where a training stands; the state comes last, so that it is never ahead of the optimiser."""
    described = optimizer.state_dict()["state"]
    tensors = {f"{index}.{name}": each for index, parts in described.items() for name, each in parts.items()}
    with replacing(folder / OPTIMIZER) as part:
        save_file({name: each.cpu().contiguous() for name, each in tensors.items()}, part)
    write_text(folder / STATE, json.dumps(asdict(state), indent=1) + "\n")


def load_state(folder: Path, optimizer: torch.optim.Optimizer) -> TrainingState:
    """Return where a training stands, and bring the optimiser there.

    Args:
        folder: What :func:`save_state` wrote.
        optimizer: Of the same network.

    Raises:
        UsageError: There is nothing to go on with.
    """
    try:
        state = TrainingState(**json.loads((folder / STATE).read_text(encoding="utf-8")))
        tensors = load_file(folder / OPTIMIZER)
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise UsageError(f"{folder} holds no training to go on with: {error}") from error
    parts: dict[int, dict[str, Tensor]] = {}
    for key, each in tensors.items():
        index, _, name = key.partition(".")
        parts.setdefault(int(index), {})[name] = each
    whole: dict[str, Any] = optimizer.state_dict()
    optimizer.load_state_dict({"state": parts, "param_groups": whole["param_groups"]})
    return state
