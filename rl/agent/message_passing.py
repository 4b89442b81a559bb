"""Message passing over an e-graph: what e-nodes and e-classes learn from each other in one round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing
from typing_extensions import override

from rl.agent.batch import Batch
from rl.env.observation import NUM_POSITIONS


@final
class PlainConv(MessagePassing):  # type: ignore[misc]
    """Each target gets ``aggregate(relu(W source))`` over its edges; what it is itself, it adds later."""

    def __init__(self, hidden: int, aggregations: Sequence[str]) -> None:
        """Make the layer.

        Args:
            hidden: Columns of a node's state.
            aggregations: How the messages of a target become one vector; each adds ``hidden`` columns.
        """
        super().__init__(aggr=list(aggregations))
        self.source = nn.Linear(hidden, hidden)

    @override
    def forward(self, x: tuple[Tensor, Tensor], edge_index: Tensor) -> Tensor:
        """Return what each target is told; float (num_targets, hidden * number of aggregations).

        Args:
            x: States of the sources and of the targets, of which only the number counts; float (., hidden).
            edge_index: Source and target of each edge; int64 (2, num_edges).
        """
        sources, targets = x
        messages = torch.relu(self.source(sources))
        told: Tensor = self.propagate(edge_index, x=(messages, None), size=(len(sources), len(targets)))
        return told

    @override
    def message(self, x_j: Tensor) -> Tensor:
        """Return what goes along each edge; float (num_edges, hidden)."""
        return x_j


@final
class PositionConv(MessagePassing):  # type: ignore[misc]
    """Each target gets ``aggregate(relu(W source + position))`` over its edges; what it is itself, it adds later.

    A node's inputs are not interchangeable, so that each position has a vector of its own.
    """

    def __init__(self, hidden: int, num_positions: int, aggregations: Sequence[str]) -> None:
        """Make the layer.

        Args:
            hidden: Columns of a node's state.
            num_positions: Different positions of an edge.
            aggregations: How the messages of a target become one vector; each adds ``hidden`` columns.
        """
        super().__init__(aggr=list(aggregations))
        self.source = nn.Linear(hidden, hidden)
        self.position = nn.Embedding(num_positions, hidden)
        nn.init.normal_(self.position.weight, std=0.1)

    @override
    def forward(self, x: tuple[Tensor, Tensor], edge_index: Tensor, position: Tensor) -> Tensor:
        """Return what each target is told; float (num_targets, hidden * number of aggregations).

        Args:
            x: States of the sources and of the targets, of which only the number counts; float (., hidden).
            edge_index: Source and target of each edge; int64 (2, num_edges).
            position: Position of each edge; int64 (num_edges,).
        """
        sources, targets = x
        told: Tensor = self.propagate(
            edge_index, x=(self.source(sources), None), position=position, size=(len(sources), len(targets))
        )
        return told

    @override
    def message(self, x_j: Tensor, position: Tensor) -> Tensor:
        """Return what goes along each edge; float (num_edges, hidden)."""
        return torch.relu(x_j + self.position(position))


@final
class Round(nn.Module):
    """One round: e-classes hear their members and their users, then e-nodes hear their inputs and their e-class.

    After it a state knows of one more operator, down and up.
    """

    def __init__(self, hidden: int) -> None:
        """Make a round for states of ``hidden`` columns."""
        super().__init__()
        self.members = PlainConv(hidden, ("mean", "max"))
        self.users = PositionConv(hidden, NUM_POSITIONS, ("mean",))
        self.inputs = PositionConv(hidden, NUM_POSITIONS, ("sum",))
        self.own = PlainConv(hidden, ("mean",))
        self.update_eclasses = _Update(hidden, num_told=3 * hidden)
        self.update_enodes = _Update(hidden, num_told=2 * hidden)

    @override
    def forward(self, enodes: Tensor, eclasses: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the states after the round.

        Args:
            enodes: States of the e-nodes; float (num_enodes, hidden).
            eclasses: States of the e-classes; float (num_eclasses, hidden).
            batch: The edges.
        """
        member, child, position = batch.member_edges, batch.child_edges, batch.child_positions
        up = (enodes, eclasses)
        told = [self.members(up, member), self.users(up, child.flip(0), position)]
        eclasses = self.update_eclasses(eclasses, torch.cat(told, dim=1))
        down = (eclasses, enodes)
        told = [self.inputs(down, child, position), self.own(down, member.flip(0))]
        return self.update_enodes(enodes, torch.cat(told, dim=1)), eclasses


@final
class _Update(nn.Module):
    """A state and what it was told become the next state."""

    def __init__(self, hidden: int, num_told: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.mix = nn.Sequential(nn.Linear(hidden + num_told, hidden), nn.ReLU(), nn.Linear(hidden, hidden))

    @override
    def forward(self, state: Tensor, told: Tensor) -> Tensor:
        mixed: Tensor = state + self.mix(torch.cat([self.norm(state), told], dim=1))
        return mixed
