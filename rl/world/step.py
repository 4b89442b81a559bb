"""One imagined step: a member's outlook becomes the next state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor

from rl.world.hurdle import drawn_counts, likely_counts
from rl.world.identity import NEW
from rl.world.latent import LatentState
from rl.world.model import GROWTH_SCALE
from rl.world.stochastic import drawn_class

if TYPE_CHECKING:
    from rl.world.dynamics import Dynamics, Outlook
    from rl.world.model import WorldModel


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What an imagined step came to.

    Attributes:
        state: The states after it.
        origins: Row that each candidate had before, :data:`~rl.world.identity.NEW` where it appeared;
            int64 (num_candidates after it,).
        changes: Mean change of the summaries, in units of their typical change; float (num_states, width).
        drops: Logits of the bins of the drop of the log-price; float (num_states, NUM_BINS).
    """

    state: LatentState
    origins: Tensor
    changes: Tensor
    drops: Tensor


def imagine_step(
    model: WorldModel, member: Dynamics, state: LatentState, chosen: Tensor, generator: torch.Generator | None
) -> Step:
    """Return what comes of a step in the world of one member. No environment takes part.

    Args:
        model: Scales and rules.
        member: Foresees.
        state: Where.
        chosen: Row of the candidate that is applied in each state; int64 (num_states,).
        generator: Draws what is open; where it is left out, what is to be expected comes.
    """
    outlook = member.foresee(model.situation(state, chosen), generator)
    scale = model.scale("summary")
    if generator is None:
        drops = member.mean_drop(outlook.drops)
    else:
        drops = member.get_buffer("bins")[drawn_class(outlook.drops, generator)]
    candidates, rules, owner, origins = _next_set(model, member, state, outlook, generator)
    after = LatentState(
        summaries=state.summaries + outlook.outcome.change * scale.change,
        candidates=candidates,
        rules=rules,
        owner=owner,
        log_costs=state.log_costs - drops,
        num_enodes=state.num_enodes * (outlook.growths / GROWTH_SCALE).exp(),
    )
    return Step(
        state=after,
        origins=origins,
        changes=outlook.outcome.change,
        drops=outlook.drops,
    )


def _next_set(
    model: WorldModel, member: Dynamics, state: LatentState, outlook: Outlook, generator: torch.Generator | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the candidates after a step, their rules, their owners and their origins."""
    scale = model.scale("candidate")
    if generator is None:
        persists = outlook.persists > 0
    else:
        uniform = torch.rand(len(outlook.persists), generator=generator).to(outlook.persists.device)
        persists = uniform < torch.sigmoid(outlook.persists)
    kept = persists.nonzero().squeeze(1)
    stayed = state.candidates[kept] + outlook.changes[kept] * scale.change
    new_owner, numbers = _appearing(model, outlook, generator)
    mean, log_std = member.newcomers(outlook.decided[new_owner], numbers)
    if generator is not None:
        mean = mean + log_std.exp() * torch.randn(mean.shape, generator=generator).to(mean.device)
    appeared = scale.mean + mean * scale.std
    owner = torch.cat([state.owner[kept], new_owner])
    rows = _within(owner, state.num_states, model.config.max_candidates)
    return (
        torch.cat([stayed, appeared])[rows],
        torch.cat([state.rules[kept], model.buckets_of(numbers)])[rows],
        owner[rows],
        torch.cat([kept, torch.full_like(new_owner, NEW)])[rows],
    )


def _appearing(model: WorldModel, outlook: Outlook, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Return the state and the number of the rule of every candidate that appears; a rule without a number has none."""
    known = model.num_known_rules
    logits, log_rates = outlook.appears[:, 1:known], outlook.log_rates[:, 1:known]
    counts = likely_counts(logits, log_rates) if generator is None else drawn_counts(logits, log_rates, generator)
    owner, number = counts.nonzero(as_tuple=True)
    times = counts[owner, number]
    return owner.repeat_interleave(times), number.repeat_interleave(times) + 1


def _within(owner: Tensor, num_states: int, max_candidates: int) -> Tensor:
    """Return the rows in the order of their owners, no more than a number of each; those that were there come first.

    Args:
        owner: State of each row; int64 (num_rows,).
        num_states: How many.
        max_candidates: Rows of a state, at most.
    """
    order = torch.argsort(owner, stable=True)
    counts = torch.bincount(owner, minlength=num_states)
    place = torch.arange(len(owner), device=owner.device) - (counts.cumsum(0) - counts)[owner[order]]
    return order[place < max_candidates]
