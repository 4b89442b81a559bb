"""The recurrent cell found by neural architecture search (Zoph and Le 2017, arXiv 1611.01578), as TASO arranges it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.spec import Variant

NUM_GATES = 8


class NasCell(nn.Module):
    """Eight sums of two matrix products, combined pairwise in a tree of three levels."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.from_step = nn.ModuleList(nn.Linear(hidden, hidden, bias=False) for _ in range(NUM_GATES))
        self.from_state = nn.ModuleList(nn.Linear(hidden, hidden, bias=False) for _ in range(NUM_GATES))

    @override
    def forward(self, step: Tensor, state: Tensor) -> Tensor:
        """Map the input of a step and the state before it, both [N, hidden], to the state after it."""
        gates = [left(step) + right(state) for left, right in zip(self.from_step, self.from_state, strict=True)]
        first = torch.relu(gates[0]) + torch.sigmoid(gates[3])
        second = torch.sigmoid(gates[1]) + torch.tanh(gates[2])
        third = torch.sigmoid(gates[4]) * torch.tanh(gates[5])
        fourth = torch.sigmoid(gates[6]) * torch.relu(gates[7])
        left = torch.sigmoid(second) + torch.tanh(third)
        right = torch.tanh(first) * torch.tanh(fourth)
        return torch.tanh(torch.tanh(left) * torch.tanh(right))


class NasRnn(nn.Module):
    """The cell unrolled over the steps of its input."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.cell = NasCell(hidden)

    @override
    def forward(self, steps: Tensor, state: Tensor) -> Tensor:
        """Map steps [N, T, hidden] and the state before them [N, hidden] to the state after the last step."""
        for step in steps.unbind(1):
            state = self.cell(step, state)
        return state


def nasrnn(variant: Variant) -> nn.Module:
    """Return the recurrence of TASO's benchmark: hidden size 512."""
    return NasRnn(variant.pick(64, 512))
