"""Real episodes retold by the world model: from a real state on, with the real actions, and nothing else from reality.

The candidate that was really chosen is looked for among the imagined ones: by its predecessors, back to the state that
the retelling began with; where it appeared later, as one of its rule that appeared in imagination. Where there is none,
a blank one of its rule is put there, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from torch import Tensor

from rl.world.identity import NEW
from rl.world.latent import LatentState, joined
from rl.world.replay import chosen_candidate
from rl.world.step import imagine_step

if TYPE_CHECKING:
    from rl.world.dynamics import Dynamics
    from rl.world.fit import Encoded, Piece
    from rl.world.model import WorldModel


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Retelling:
    """What a member makes of some pieces of real episodes, all of the same length.

    Attributes:
        log_costs: Of every state, the first included; float64 (num_steps + 1, num_pieces).
        drops: Probability of each bin of the drop of the log-price in each step, in the state that was foreseen;
            float64 (num_steps, num_pieces, NUM_BINS).
        rules: Buckets of the rules that have a candidate in each state after a step, a list for each step.
        num_blanks: Candidates that had to be put there.
    """

    log_costs: np.ndarray
    drops: np.ndarray
    rules: Sequence[Sequence[frozenset[int]]]
    num_blanks: int


def retell(
    model: WorldModel, member: Dynamics, pieces: Sequence[Piece], encoded: Encoded, generator: torch.Generator | None
) -> Retelling:
    """Return pieces of real episodes as a member foresees them.

    Args:
        model: Scales and rules.
        member: Foresees.
        pieces: Of the same length, at least one.
        encoded: Their trajectories; only the first state of each piece is looked at.
        generator: Draws what is open; where it is left out, what is to be expected comes.
    """
    with torch.no_grad():
        return _retell(model, member, pieces, encoded, generator)


def _retell(
    model: WorldModel, member: Dynamics, pieces: Sequence[Piece], encoded: Encoded, generator: torch.Generator | None
) -> Retelling:
    state = joined([encoded.states[piece.trajectory][piece.start] for piece in pieces])
    known = [{place: place for place in range(count)} for count in state.counts.tolist()]
    log_costs, drops, rules, num_blanks = [state.log_costs], list[Tensor](), [], 0
    for step in range(pieces[0].num_steps):
        chosen = [_chosen(encoded, piece, step) for piece in pieces]
        state, rows, num_new = _found(model, state, known, chosen)
        num_blanks += num_new
        first = state.first()
        after = imagine_step(model, member, state, first + torch.tensor(rows, device=first.device), generator)
        links = [encoded.trajectories[piece.trajectory].predecessors[piece.start + step] for piece in pieces]
        known = _carried(known, links, after.origins, first, after.state)
        state = after.state
        log_costs.append(state.log_costs)
        drops.append(torch.softmax(after.drops, dim=1))
        rules.append(rule_sets(state))
    return Retelling(
        log_costs=torch.stack(log_costs).double().cpu().numpy(),
        drops=torch.stack(drops).double().cpu().numpy(),
        rules=rules,
        num_blanks=num_blanks,
    )


def rule_sets(state: LatentState) -> list[frozenset[int]]:
    """Return the buckets of the rules that have a candidate, of each state."""
    owner, rules = state.owner.tolist(), state.rules.tolist()
    found: list[set[int]] = [set() for _ in range(state.num_states)]
    for place, rule in zip(owner, rules, strict=True):
        found[place].add(rule)
    return [frozenset(each) for each in found]


def _chosen(encoded: Encoded, piece: Piece, step: int) -> tuple[int, int]:
    """Return the real candidate that was chosen, and its rule."""
    trajectory, at = encoded.trajectories[piece.trajectory], piece.start + step
    candidate = chosen_candidate(int(trajectory.actions[at]))
    return candidate, int(trajectory.observations[at].arrays["candidate_rule"][candidate])


def _found(
    model: WorldModel, state: LatentState, known: list[dict[int, int]], chosen: Sequence[tuple[int, int]]
) -> tuple[LatentState, list[int], int]:
    """Return the states with blanks where they are needed, the place of each chosen candidate, and the blanks."""
    owner, rules = state.owner.cpu().numpy(), state.rules.cpu().numpy()
    counts = state.counts.tolist()
    places: list[int] = []
    blanks: list[tuple[int, int]] = []
    for number, (candidate, rule) in enumerate(chosen):
        place = known[number].get(candidate)
        if place is None:
            taken = set(known[number].values())
            free = [each for each in np.flatnonzero(rules[owner == number] == rule).tolist() if each not in taken]
            place = free[0] if free else counts[number]
            known[number][candidate] = place
            if not free:
                blanks.append((number, rule))
        places.append(place)
    return (_with_blanks(model, state, blanks) if blanks else state), places, len(blanks)


def _with_blanks(model: WorldModel, state: LatentState, blanks: Sequence[tuple[int, int]]) -> LatentState:
    """Return the states with candidates added at the end of theirs, of which nothing is known but the rule."""
    device = state.owner.device
    owners, rules = (torch.tensor(column, device=device) for column in zip(*blanks, strict=True))
    owner = torch.cat([state.owner, owners])
    order = torch.argsort(owner, stable=True)
    blank = model.scale("candidate").mean.expand(len(blanks), -1)
    return LatentState(
        summaries=state.summaries,
        candidates=torch.cat([state.candidates, blank])[order],
        rules=torch.cat([state.rules, rules])[order],
        owner=owner[order],
        log_costs=state.log_costs,
        num_enodes=state.num_enodes,
    )


def _carried(
    known: Sequence[dict[int, int]], links: Sequence[np.ndarray], origins: Tensor, first: Tensor, after: LatentState
) -> list[dict[int, int]]:
    """Return which imagined candidate stands for which real one after a step, numbered within their states."""
    found: list[dict[int, int]] = []
    firsts, own = first.tolist(), origins.cpu().numpy()
    ends = after.counts.cumsum(0).tolist()
    begins = after.first().tolist()
    for number, before in enumerate(known):
        rows = own[begins[number] : ends[number]]
        stayed = {int(row) - firsts[number]: place for place, row in enumerate(rows) if row != NEW}
        pairs = ((new, before.get(int(old))) for new, old in enumerate(links[number]) if old != NEW)
        found.append({new: stayed[place] for new, place in pairs if place is not None and place in stayed})
    return found
