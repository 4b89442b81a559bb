"""States as the world model knows them: a summary and a set of candidates each, many side by side.

Sets differ in size: the candidates of all states stand in one row, state by state, and nothing is padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LatentState:
    """Some states.

    Attributes:
        summaries: What each is like as a whole; float (num_states, width).
        candidates: What each candidate is like; float (num_candidates, width).
        rules: Bucket of each candidate's rule; int64 (num_candidates,).
        owner: State of each candidate, ascending; int64 (num_candidates,).
        log_costs: Logarithm of the price, relative to that of the model; float (num_states,).
        num_enodes: Size of the e-graph, which the model need not get whole; float (num_states,).
    """

    summaries: Tensor
    candidates: Tensor
    rules: Tensor
    owner: Tensor
    log_costs: Tensor
    num_enodes: Tensor

    @property
    def num_states(self) -> int:
        """Number of states."""
        return len(self.summaries)

    @property
    def potentials(self) -> Tensor:
        """Relative drop of the price since the model, see :func:`rl.env.rewards.potential`; float (num_states,)."""
        return -torch.expm1(self.log_costs)

    @property
    def counts(self) -> Tensor:
        """Candidates of each state; int64 (num_states,)."""
        return torch.bincount(self.owner, minlength=self.num_states)

    def first(self) -> Tensor:
        """Return where the candidates of each state begin; int64 (num_states,)."""
        counts = self.counts
        return counts.cumsum(0) - counts

    def rows_of(self, places: Tensor) -> Tensor:
        """Return the rows of the candidates of some states, state by state; int64 (.,).

        Args:
            places: States, in any order and as often as wanted; int64 (num_places,).
        """
        counts = self.counts[places]
        shifts = self.first()[places] - (counts.cumsum(0) - counts)
        return torch.arange(int(counts.sum()), device=places.device) + shifts.repeat_interleave(counts)

    def select(self, places: Tensor) -> LatentState:
        """Return some of the states.

        Args:
            places: Which, in any order and as often as wanted; int64 (num_places,).
        """
        rows = self.rows_of(places)
        number = torch.arange(len(places), device=places.device)
        return LatentState(
            summaries=self.summaries[places],
            candidates=self.candidates[rows],
            rules=self.rules[rows],
            owner=number.repeat_interleave(self.counts[places]),
            log_costs=self.log_costs[places],
            num_enodes=self.num_enodes[places],
        )

    def detached(self) -> LatentState:
        """Return the same states without a gradient."""
        return LatentState(
            summaries=self.summaries.detach(),
            candidates=self.candidates.detach(),
            rules=self.rules,
            owner=self.owner,
            log_costs=self.log_costs.detach(),
            num_enodes=self.num_enodes.detach(),
        )


def joined(states: Sequence[LatentState]) -> LatentState:
    """Return all states as one, in their order; at least one."""
    shift, owners = 0, []
    for each in states:
        owners.append(each.owner + shift)
        shift += each.num_states
    return LatentState(
        summaries=torch.cat([each.summaries for each in states]),
        candidates=torch.cat([each.candidates for each in states]),
        rules=torch.cat([each.rules for each in states]),
        owner=torch.cat(owners),
        log_costs=torch.cat([each.log_costs for each in states]),
        num_enodes=torch.cat([each.num_enodes for each in states]),
    )


def mean_of_each(rows: Tensor, owner: Tensor, num_states: int) -> Tensor:
    """Return the mean of the rows of each state, zeros where it has none; float (num_states, width).

    Args:
        rows: float (num_rows, width).
        owner: State of each row; int64 (num_rows,).
        num_states: How many.
    """
    total = torch.zeros(num_states, rows.shape[1], dtype=rows.dtype, device=rows.device).index_add(0, owner, rows)
    counts = torch.bincount(owner, minlength=num_states).clamp_min(1)
    return total / counts[:, None]
