"""Episodes that no environment plays: the policy acts on latent states, and the world model says what comes.

Nothing here has an environment, a session or a price; all of it is tensors, for a whole batch of episodes at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

import torch
from torch import Tensor

from rl.agent.network import Assessment
from rl.agent.segments import segment_argmax, segment_log_softmax, segment_sample
from rl.world.formulas import disagreement
from rl.world.latent import LatentState, joined
from rl.world.step import imagine_step

if TYPE_CHECKING:
    from rl.agent.network import Network
    from rl.world.model import WorldModel

STOPPED: Final = -1
"""Stands for the candidate where STOP was chosen."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a policy says of latent states. The actions are STOP of every state, then every candidate.

    Attributes:
        assessment: Log-probabilities, float (num_states + num_candidates,), and values.
        segments: State of each action; int64 (num_states + num_candidates,).
    """

    assessment: Assessment
    segments: Tensor


def judge(network: Network, state: LatentState) -> Judgement:
    """Return what the heads of a network say of latent states: the policy that acts in the real environment too.

    Args:
        network: Its encoder is not used.
        state: The states.
    """
    count, owner = state.num_states, state.owner
    scores = network.score(torch.cat([state.candidates, state.summaries[owner]], dim=1)).squeeze(1)
    logits = torch.cat([network.stop(state.summaries).squeeze(1), scores])
    segments = torch.cat([torch.arange(count, device=owner.device), owner])
    log_probs = segment_log_softmax(logits, torch.ones_like(segments, dtype=torch.bool), segments, count)
    values = network.value(state.summaries).squeeze(1)
    return Judgement(assessment=Assessment(log_probs=log_probs, values=values), segments=segments)


def chosen_actions(judgement: Judgement, generator: torch.Generator | None) -> Tensor:
    """Return where the action taken in each state stands among all actions; int64 (num_states,).

    Args:
        judgement: Of the states.
        generator: Draws; where it is left out, the likeliest action is taken.
    """
    log_probs, count = judgement.assessment.log_probs, len(judgement.assessment.values)
    if generator is None:
        return segment_argmax(log_probs, judgement.segments, count)
    return segment_sample(log_probs, judgement.segments, count, generator)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ImaginedStep:
    """One step of the episodes that still went on.

    Attributes:
        episodes: Which they are; int64 (num_active,).
        state: Where they were, without gradients.
        actions: See :func:`chosen_actions`; int64 (num_active,).
        log_probs: Of the actions, by the policy that took them; float (num_active,).
        rewards: What was paid, after the penalty; float (num_active,).
        continues: 1 where the episode goes on, 0 where STOP ended it; float (num_active,).
        next_values: Of the states after the step, 0 where nothing comes after it; float (num_active,).
        uncertainties: Disagreement about the drop of the price, 0 for STOP; float (num_active,).
        novelties: Disagreement about the change of the summary, 0 for STOP; float (num_active,).
    """

    episodes: Tensor
    state: LatentState
    actions: Tensor
    log_probs: Tensor
    rewards: Tensor
    continues: Tensor
    next_values: Tensor
    uncertainties: Tensor
    novelties: Tensor


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Imagined:
    """A batch of imagined episodes.

    Attributes:
        num_episodes: How many.
        steps: From the first on.
        last: Where each of them was at last; in their order.
    """

    num_episodes: int
    steps: Sequence[ImaginedStep]
    last: LatentState

    @property
    def num_steps(self) -> int:
        """Steps of all episodes together."""
        return sum(len(each.episodes) for each in self.steps)

    def total(self, name: str) -> Tensor:
        """Return the sum of ``rewards``, ``uncertainties`` or ``novelties`` of each episode; float (num_episodes,)."""
        found = torch.zeros(self.num_episodes, device=self.last.owner.device)
        for each in self.steps:
            found = found.index_add(0, each.episodes, getattr(each, name))
        return found


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What imagined episodes are like.

    Attributes:
        horizon: Steps at most.
        gamma: Discount.
        penalty: What one unit of disagreement about the drop of the price costs; other than 0, every member is asked
            at every step.
        max_enodes: Size of the e-graph at which an episode ends, as a limit does it.
        is_room: Whether that is the room that a task gives, as in :class:`rl.training.rollout.Episode`.
    """

    horizon: int
    gamma: float
    penalty: float = 0.0
    max_enodes: float = float("inf")
    is_room: bool = False


def imagine(
    model: WorldModel,
    start: LatentState,
    terms: Terms,
    generator: torch.Generator | None,
    *,
    first: Tensor | None = None,
) -> Imagined:
    """Return episodes imagined from some states; each is played in the world of one member.

    Args:
        model: The world and the policy.
        start: Where they begin.
        terms: What they are like.
        generator: Draws actions and outcomes, on the CPU; where it is left out, the likeliest come.
        first: Actions of the first step, see :func:`chosen_actions`, the policy's where it is left out;
            int64 (num_states,).
    """
    with torch.no_grad():
        return _imagine(model, start.detached(), terms, generator, first)


def _imagine(
    model: WorldModel, start: LatentState, terms: Terms, generator: torch.Generator | None, first: Tensor | None
) -> Imagined:
    count, device = start.num_states, start.owner.device
    episodes = torch.arange(count, device=device)
    state, last, steps = start, [start.select(episodes[:0])], []
    ended = [episodes[:0]]
    for number in range(terms.horizon):
        if not state.num_states:
            break
        judgement = judge(model.network, state)
        actions = first if number == 0 and first is not None else chosen_actions(judgement, generator)
        step, after, goes_on = _act(model, state, actions, terms, generator, episodes=episodes, judgement=judgement)
        steps.append(step)
        halted = (~goes_on).nonzero().squeeze(1)
        last.append(after.select(halted))
        ended.append(episodes[halted])
        going = goes_on.nonzero().squeeze(1)
        state, episodes = after.select(going), episodes[going]
    last.append(state)
    ended.append(episodes)
    order = torch.argsort(torch.cat(ended))
    return Imagined(num_episodes=count, steps=steps, last=joined(last).select(order))


def _act(
    model: WorldModel,
    state: LatentState,
    actions: Tensor,
    terms: Terms,
    generator: torch.Generator | None,
    *,
    episodes: Tensor,
    judgement: Judgement,
) -> tuple[ImaginedStep, LatentState, Tensor]:
    """Return a step, the states after it (those before it where STOP was chosen), and which of them go on."""
    count, device = state.num_states, state.owner.device
    is_stop = actions < count
    moving, stopping = (~is_stop).nonzero().squeeze(1), is_stop.nonzero().squeeze(1)
    before = state.select(moving)
    chosen = before.first() + (actions - count - state.first())[moving]
    moved, uncertainty, novelty = _move(model, before, chosen, episodes[moving], terms, generator)
    rewards = torch.zeros(count, device=device)
    rewards[moving] = terms.gamma * moved.potentials - before.potentials - terms.penalty * uncertainty
    rewards[stopping] = _paid_at_stop(model, state.select(stopping), episodes[stopping])
    after = _merged(state, moved, moving, stopping)
    is_full = after.num_enodes >= terms.max_enodes
    next_values = model.network.value(after.summaries).squeeze(1)
    next_values = torch.where(is_stop | (is_full & terms.is_room), 0.0, next_values)
    imagined = ImaginedStep(
        episodes=episodes,
        state=state,
        actions=actions,
        log_probs=judgement.assessment.log_probs[actions],
        rewards=rewards,
        continues=(~is_stop).to(rewards.dtype),
        next_values=next_values,
        uncertainties=torch.zeros(count, device=device).index_copy(0, moving, uncertainty),
        novelties=torch.zeros(count, device=device).index_copy(0, moving, novelty),
    )
    return imagined, after, ~is_stop & ~is_full


def _move(
    model: WorldModel,
    state: LatentState,
    chosen: Tensor,
    episodes: Tensor,
    terms: Terms,
    generator: torch.Generator | None,
) -> tuple[LatentState, Tensor, Tensor]:
    """Return the states after a step, each episode in the world of its member, and how far the members are apart."""
    num_members = len(model.members)
    uncertainty, novelty = torch.zeros_like(state.log_costs), torch.zeros_like(state.log_costs)
    if terms.penalty and state.num_states:
        counsel = consult(model, state, chosen)
        uncertainty, novelty = counsel.uncertainties, counsel.novelties
    parts: list[LatentState] = []
    places: list[Tensor] = []
    for number in range(num_members):
        own = (episodes % num_members == number).nonzero().squeeze(1)
        some = state.select(own)
        rows = some.first() + (chosen - state.first())[own]
        parts.append(imagine_step(model, model.member(number), some, rows, generator).state)
        places.append(own)
    order = torch.argsort(torch.cat(places))
    return joined(parts).select(order), uncertainty, novelty


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Counsel:
    """What all members together say of an action.

    Attributes:
        drops: Mean drop of the log-price; float (num_states,).
        uncertainties: Standard deviation of that among the members; float (num_states,).
        novelties: Disagreement about the change of the summary; float (num_states,).
    """

    drops: Tensor
    uncertainties: Tensor
    novelties: Tensor


def consult(model: WorldModel, state: LatentState, chosen: Tensor) -> Counsel:
    """Return what all members say of an action.

    Args:
        model: The members.
        state: Where; at least one state.
        chosen: Row of the candidate that is applied in each state; int64 (num_states,).
    """
    situation = model.situation(state, chosen)
    members = [model.member(number) for number in range(len(model.members))]
    outlooks = [each.foresee(situation, None) for each in members]
    drops = torch.stack([each.mean_drop(said.drops) for each, said in zip(members, outlooks, strict=True)])
    changes = torch.stack([said.outcome.change for said in outlooks])
    return Counsel(
        drops=drops.mean(dim=0), uncertainties=drops.std(dim=0, correction=0), novelties=disagreement(changes)
    )


def _paid_at_stop(model: WorldModel, state: LatentState, episodes: Tensor) -> Tensor:
    """Return what STOP pays beyond what the prices say; float (num_states,)."""
    paid = torch.zeros_like(state.log_costs)
    for number in range(len(model.members)):
        own = (episodes % len(model.members) == number).nonzero().squeeze(1)
        member = model.member(number)
        paid[own] = member.mean_drop(member.finals(model.ends(state.select(own))))
    return paid


def _merged(before: LatentState, moved: LatentState, moving: Tensor, stopping: Tensor) -> LatentState:
    """Return the states after a step, in the order of those before it."""
    order = torch.argsort(torch.cat([moving, stopping]))
    return joined([moved, before.select(stopping)]).select(order)
