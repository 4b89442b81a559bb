"""A training that was interrupted, and goes on where it was."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, final

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from eqsat.errors import UsageError
from ir.atomic_file import replacing, write_text
from rl.agent.stored import check_range, read_description

if TYPE_CHECKING:
    from collections.abc import Mapping
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
        state = _state_of(read_description(folder / STATE))
        tensors = load_file(folder / OPTIMIZER)
        parts = _parts_of(tensors, optimizer)
        whole: dict[str, Any] = optimizer.state_dict()
        optimizer.load_state_dict({"state": parts, "param_groups": whole["param_groups"]})
    except (OSError, ValueError, TypeError, AttributeError, LookupError, SafetensorError) as error:
        raise UsageError(f"{folder} holds no training to go on with: {error}") from error
    return state


def _parts_of(tensors: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> dict[int, dict[str, Tensor]]:
    """Return what the optimiser keeps of each parameter.

    Raises:
        ValueError: It is of another network.
        LookupError: Likewise.
    """
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    parts: dict[int, dict[str, Tensor]] = {}
    for key, each in tensors.items():
        index, _, name = key.partition(".")
        if each.shape not in {parameters[int(index)].shape, ()}:
            raise ValueError(f"{key} is of another network")
        parts.setdefault(int(index), {})[name] = each
    return parts


def _state_of(record: Mapping[str, Any]) -> TrainingState:
    """Return the state that was written.

    Raises:
        TypeError: The record has other keys, or a value of another kind.
        ValueError: A number is below zero or not finite.
    """
    state = TrainingState(**record)
    gains = (state.first_gains, state.best_gains, state.last_gains)
    if not all(isinstance(each, int) for each in (state.update, state.num_steps)) or not all(
        isinstance(value, (int, float)) for each in gains for value in each.values()
    ):
        raise TypeError(f"{STATE} has a value of another kind")
    check_range(STATE, {"update": state.update, "seconds": state.seconds, "num_steps": state.num_steps}, 0, math.inf)
    return state
