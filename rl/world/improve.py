"""A better policy from imagined episodes: PPO on lambda-returns, for the heads alone.

The policy's gradient is that of Schulman et al. 2017; advantages are lambda-returns less values, as the discrete actors
of Hafner et al. 2021 have them. The encoder stays as the world model wants it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor, nn

from rl.agent.segments import segment_entropy
from rl.training.losses import approximate_kl, policy_loss, value_loss
from rl.world.formulas import lambda_returns
from rl.world.imagination import Imagined, Terms, imagine, judge
from rl.world.latent import LatentState, joined

if TYPE_CHECKING:
    from rl.world.config import ImagineConfig
    from rl.world.model import WorldModel


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Improvement:
    """What one batch of imagined episodes did, means over its steps.

    Attributes:
        num_steps: Imagined steps.
        mean_return: Sum of the rewards of an episode, after penalties.
        gain: Relative drop of the price at the end of an episode.
        length: Steps of an episode.
        uncertainty: Disagreement about the drop.
        novelty: Disagreement about the summary.
        policy_loss: See :func:`rl.training.losses.policy_loss`.
        value_loss: See :func:`rl.training.losses.value_loss`.
        entropy: Of the policy, in nats.
        kl: How far the policy has moved.
    """

    num_steps: int
    mean_return: float
    gain: float
    length: float
    uncertainty: float
    novelty: float
    policy_loss: float
    value_loss: float
    entropy: float
    kl: float


def returns_of(imagined: Imagined, gamma: float, lambda_: float) -> list[Tensor]:
    """Return the lambda-return of every imagined step, step by step: for those episodes that took it.

    Args:
        imagined: The episodes; one that ended early has its last value stand for the rest, unless STOP ended it.
        gamma: Discount.
        lambda_: See :func:`rl.world.formulas.lambda_returns`.
    """
    shape, device = (len(imagined.steps), imagined.num_episodes), imagined.last.owner.device
    rewards, values, continues, is_there = (torch.zeros(shape, device=device) for _ in range(4))
    for step, each in enumerate(imagined.steps):
        rewards[step, each.episodes] = each.rewards
        values[step, each.episodes] = each.next_values
        continues[step, each.episodes] = each.continues
        is_there[step, each.episodes] = 1.0
    follows = torch.cat([is_there[1:], torch.zeros_like(is_there[:1])]) > 0
    returns = lambda_returns(rewards, values, continues, follows, gamma, lambda_)
    return [returns[step, each.episodes] for step, each in enumerate(imagined.steps)]


@final
class Improver:
    """A policy in training, with the state of its optimiser.

    Attributes:
        model: The world; only the heads of its network change.
    """

    def __init__(self, model: WorldModel, config: ImagineConfig) -> None:
        """Train the heads of a model's network where they are."""
        self.model = model
        self._config = config
        self._optimizer = torch.optim.Adam(model.head_parameters(), lr=config.learning_rate, eps=1e-5)

    def improve(self, starts: LatentState, generator: torch.Generator) -> Improvement:
        """Imagine a batch of episodes and learn from them.

        Args:
            starts: States to begin with, drawn with replacement.
            generator: The only source of chance, on the CPU.
        """
        config = self._config
        drawn = torch.randint(starts.num_states, (config.num_states,), generator=generator).to(starts.owner.device)
        terms = Terms(
            horizon=config.horizon,
            gamma=config.gamma,
            penalty=config.penalty,
            max_enodes=config.max_enodes,
            is_room=config.is_room,
        )
        imagined = imagine(self.model, starts.select(drawn), terms, generator)
        return self._learn(imagined)

    def _learn(self, imagined: Imagined) -> Improvement:
        config, network, steps = self._config, self.model.network, imagined.steps
        state, actions = _all_steps(imagined)
        old = torch.cat([each.log_probs for each in steps])
        returns = torch.cat(returns_of(imagined, config.gamma, config.lambda_))
        with torch.no_grad():
            advantages = returns - judge(network, state).assessment.values
            advantages = (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-8)
        of_policy = of_value = entropy = kl = torch.zeros(())
        for _ in range(config.num_epochs):
            judged = judge(network, state)
            log_probs = judged.assessment.log_probs[actions]
            kl = approximate_kl(log_probs.detach(), old)
            if kl > 1.5 * config.target_kl:
                break
            of_policy = policy_loss(log_probs, old, advantages, config.clip)
            of_value = value_loss(judged.assessment.values, returns)
            entropy = segment_entropy(judged.assessment.log_probs, judged.segments, state.num_states).mean()
            loss = of_policy + config.value_weight * of_value - config.entropy_weight * entropy
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.model.head_parameters(), config.max_grad_norm)
            self._optimizer.step()
        num_steps = imagined.num_steps
        return Improvement(
            num_steps=num_steps,
            mean_return=imagined.total("rewards").mean().item(),
            gain=imagined.last.potentials.mean().item(),
            length=num_steps / imagined.num_episodes,
            uncertainty=imagined.total("uncertainties").sum().item() / num_steps,
            novelty=imagined.total("novelties").sum().item() / num_steps,
            policy_loss=of_policy.item(),
            value_loss=of_value.item(),
            entropy=entropy.item(),
            kl=kl.item(),
        )


def _all_steps(imagined: Imagined) -> tuple[LatentState, Tensor]:
    """Return the states of all steps as one, and where the action taken in each stands among all their actions."""
    state = joined([each.state for each in imagined.steps])
    count, states_before, rows_before, actions = state.num_states, 0, 0, []
    for each in imagined.steps:
        own = each.state.num_states
        is_stop = each.actions < own
        actions.append(torch.where(is_stop, each.actions + states_before, each.actions - own + count + rows_before))
        states_before += own
        rows_before += len(each.state.owner)
    return state, torch.cat(actions)
