"""A training goes on where it was, and what does not say where is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from eqsat.errors import UsageError
from rl.training.state import OPTIMIZER, STATE, TrainingState, load_state, save_state

NOW = TrainingState(
    update=3, seconds=1.5, num_steps=40, best_gain=0.1, first_gains={"a": 0.0}, best_gains={"a": 0.1}
)  # fmt: skip


def stepped() -> torch.optim.Optimizer:
    layer = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return optimizer


def test_it_comes_back(tmp_path: Path) -> None:
    save_state(tmp_path, NOW, stepped())
    optimizer = torch.optim.Adam(nn.Linear(3, 2).parameters())
    assert load_state(tmp_path, optimizer) == NOW
    assert len(optimizer.state_dict()["state"]) == 2


@pytest.mark.parametrize(
    "change",
    [{"update": -1}, {"update": "three"}, {"seconds": float("nan")}, {"first_gains": 7}, {"best_gains": {"a": "much"}},
     {"more": 1}],
)  # fmt: skip
def test_another_state_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    save_state(tmp_path, NOW, stepped())
    path = tmp_path / STATE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UsageError, match="holds no training to go on with"):
        load_state(tmp_path, stepped())


@pytest.mark.parametrize("tensors", [{"0.exp_avg": torch.ones(5)}, {"9.step": torch.ones(())}, {"x": torch.ones(())}])
def test_another_optimizer_is_refused(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_state(tmp_path, NOW, stepped())
    save_file(tensors, tmp_path / OPTIMIZER)
    with pytest.raises(UsageError, match="holds no training to go on with"):
        load_state(tmp_path, stepped())
