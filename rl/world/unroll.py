"""What a member of the ensemble should have foreseen: its loss over pieces of real trajectories.

A piece is unrolled from its first state. Each step starts from the model's own prediction of the state before (Silver
et al. 2017, "The predictron"; Schrittwieser et al. 2020, MuZero), along the candidates that were really there: one that
continues another starts from what was predicted of it, one that appeared starts from what it was encoded as.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from rl.world.formulas import gaussian_nll, two_hot_loss
from rl.world.hurdle import hurdle_nll
from rl.world.identity import NEW
from rl.world.latent import LatentState
from rl.world.model import GROWTH_SCALE

if TYPE_CHECKING:
    from rl.world.config import LossWeights
    from rl.world.dynamics import Dynamics, Outlook
    from rl.world.model import WorldModel


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One real step of some pieces.

    Attributes:
        active: Which of the states before it go on, ascending; int64 (num_active,).
        chosen: Candidate that is applied, numbered within its state; int64 (num_active,).
        after: The states it leads to; as many as are active.
        predecessors: Which candidate each candidate after it continues, numbered within the state before it;
            int64 (num_candidates after it,).
    """

    active: Tensor
    chosen: Tensor
    after: LatentState
    predecessors: Tensor


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """The parts of the loss, each a mean; see :class:`~rl.world.config.LossWeights`."""

    transition: Tensor
    persistence: Tensor
    candidate: Tensor
    appearance: Tensor
    generator: Tensor
    drop: Tensor
    growth: Tensor

    def total(self, weights: LossWeights) -> Tensor:
        """Return the weighted sum."""
        parts = [getattr(weights, each.name) * getattr(self, each.name) for each in fields(Losses)]
        return torch.stack(parts).sum()

    def numbers(self) -> dict[str, float]:
        """Return each part by its name."""
        return {each.name: getattr(self, each.name).item() for each in fields(Losses)}


def mean_losses(losses: Sequence[Losses]) -> Losses:
    """Return the mean of each part."""
    return Losses(
        **{each.name: torch.stack([getattr(one, each.name) for one in losses]).mean() for each in fields(Losses)}
    )


def unroll(
    model: WorldModel, member: Dynamics, start: LatentState, moves: Sequence[Move], generator: torch.Generator
) -> Losses:
    """Return the loss of a member over some pieces of trajectories.

    Args:
        model: Scales and rules.
        member: Foresees.
        start: Where the pieces begin.
        moves: What happened, step by step; at least one.
        generator: The only source of chance.
    """
    state, losses = start, []
    for move in moves:
        state = state.select(move.active)
        step, state = _step(model, member, state, move, generator)
        losses.append(step)
    return mean_losses(losses)


def _step(
    model: WorldModel, member: Dynamics, state: LatentState, move: Move, generator: torch.Generator
) -> tuple[Losses, LatentState]:
    """Return the loss of one step, and the predicted state after it."""
    after, known = move.after, move.predecessors != NEW
    first = state.first()
    summary_scale, candidate_scale = model.scale("summary"), model.scale("candidate")
    change = (after.summaries - state.summaries) / summary_scale.change
    outlook = member.explain(model.situation(state, first + move.chosen), change, generator)
    rows = (first[after.owner] + move.predecessors)[known]
    stays = torch.zeros(len(state.owner), device=state.owner.device).index_fill(0, rows, 1.0)
    candidate_change = (after.candidates[known] - state.candidates[rows]) / candidate_scale.change
    drops = state.log_costs - after.log_costs
    growths = (after.num_enodes / state.num_enodes).log() * GROWTH_SCALE
    losses = Losses(
        transition=outlook.outcome.loss.mean(),
        persistence=_mean(binary_cross_entropy_with_logits(outlook.persists, stays, reduction="none")),
        candidate=_mean((outlook.changes[rows] - candidate_change).square()),
        appearance=_appearance(model, outlook, after, known),
        generator=_generation(model, member, outlook, after, known),
        drop=two_hot_loss(outlook.drops, drops, member.get_buffer("bins")).mean(),
        growth=(outlook.growths - growths).square().mean(),
    )
    candidates = after.candidates.clone()
    candidates[known] = state.candidates[rows] + outlook.changes[rows] * candidate_scale.change
    predicted = LatentState(
        summaries=state.summaries + outlook.outcome.change * summary_scale.change,
        candidates=candidates,
        rules=after.rules,
        owner=after.owner,
        log_costs=after.log_costs,
        num_enodes=after.num_enodes,
    )
    return losses, predicted


def _appearance(model: WorldModel, outlook: Outlook, after: LatentState, known: Tensor) -> Tensor:
    """Return the loss of how many candidates of each rule appeared, a rule that did."""
    num_rules = outlook.appears.shape[1]
    cells = after.owner[~known] * num_rules + model.numbers_of(after.rules[~known])
    counts = torch.bincount(cells, minlength=after.num_states * num_rules).reshape(after.num_states, num_rules)
    seen = slice(0, model.num_known_rules)
    nll = hurdle_nll(counts[:, seen].to(outlook.appears.dtype), outlook.appears[:, seen], outlook.log_rates[:, seen])
    return nll.sum() / (counts > 0).sum().clamp_min(after.num_states)


def _generation(model: WorldModel, member: Dynamics, outlook: Outlook, after: LatentState, known: Tensor) -> Tensor:
    """Return the loss of what the candidates that appeared are like, a column."""
    scale = model.scale("candidate")
    mean, log_std = member.newcomers(outlook.decided[after.owner[~known]], model.numbers_of(after.rules[~known]))
    scaled = (after.candidates[~known] - scale.mean) / scale.std
    return _mean(gaussian_nll(scaled, mean, log_std) / model.width)


def _mean(values: Tensor) -> Tensor:
    """Return the mean; 0 of nothing."""
    return values.sum() / max(values.numel(), 1)


def final_loss(member: Dynamics, ends: Tensor, paid: Tensor) -> Tensor:
    """Return the loss of what STOP pays beyond what the prices say; nats.

    Args:
        member: Foresees.
        ends: The states in which it came, see :meth:`rl.world.model.WorldModel.ends`; float (num_states, width + 1).
        paid: What it paid beyond; float (num_states,).
    """
    return _mean(two_hot_loss(member.finals(ends), paid, member.get_buffer("bins")))
