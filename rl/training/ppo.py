"""Proximal policy optimisation: from episodes to a better policy.

Schulman et al. 2017, "Proximal policy optimization algorithms". Every formula is in :mod:`rl.training.returns`,
:mod:`rl.agent.segments` and :mod:`rl.training.losses`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from torch import Tensor, nn

from rl.agent.batch import collate
from rl.agent.packing import PackedObservation, unpack
from rl.agent.segments import segment_entropy
from rl.training.config import PpoConfig
from rl.training.losses import approximate_kl, clip_fraction, linear_schedule, policy_loss, value_loss
from rl.training.returns import explained_variance, gae, normalised, td_errors

if TYPE_CHECKING:
    from rl.agent.batch import Batch
    from rl.agent.network import Network
    from rl.training.rollout import Episode


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The steps of some episodes, one after the other.

    Attributes:
        observations: State before each step.
        actions: int64 (num_steps,).
        log_probs: By the policy that took them; float64 (num_steps,).
        advantages: Not normalised; float64 (num_steps,).
        returns: What the value of each state should have been; float64 (num_steps,).
        values: What it was; float64 (num_steps,).
    """

    observations: Sequence[PackedObservation]
    actions: np.ndarray
    log_probs: np.ndarray
    advantages: np.ndarray
    returns: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What one update did, each a mean over its minibatches.

    Attributes:
        policy_loss: See :func:`rl.training.losses.policy_loss`.
        value_loss: See :func:`rl.training.losses.value_loss`.
        entropy: Of the policy, in nats.
        kl: How far the policy has moved at the last minibatch.
        clip_fraction: Share of steps whose ratio was cut off.
        grad_norm: Length of the gradient, before it is cut.
        explained_variance: Of the returns by the values, before the update.
        num_minibatches: Gradient steps made.
    """

    policy_loss: float
    value_loss: float
    entropy: float
    kl: float
    clip_fraction: float
    grad_norm: float
    explained_variance: float
    num_minibatches: int


def steps_of(episodes: Sequence[Episode], gamma: float, lambda_: float) -> Steps:
    """Return the steps of episodes with their advantages.

    A truncated episode is taken to go on: the value of the state it was cut off at stands for the rest.

    Args:
        episodes: At least one.
        gamma: Discount.
        lambda_: See :func:`rl.training.returns.gae`.
    """
    advantages = [_advantages(episode, gamma, lambda_) for episode in episodes]
    values = np.concatenate([episode.values for episode in episodes])
    joined = np.concatenate(advantages)
    return Steps(
        observations=[packed for episode in episodes for packed in episode.observations],
        actions=np.concatenate([episode.actions for episode in episodes]),
        log_probs=np.concatenate([episode.log_probs for episode in episodes]),
        advantages=joined,
        returns=joined + values,
        values=values,
    )


def _advantages(episode: Episode, gamma: float, lambda_: float) -> np.ndarray:
    is_last = np.zeros(episode.num_steps, np.bool_)
    is_last[-1] = True
    errors = td_errors(
        episode.rewards,
        episode.values,
        np.append(episode.values[1:], episode.last_value),
        is_last & episode.is_terminated,
        gamma,
    )
    return gae(errors, is_last, gamma, lambda_)


def minibatches(sizes: np.ndarray, rng: np.random.Generator, max_size: int, max_total: int) -> Iterator[np.ndarray]:
    """Yield the places of all steps once, in random order, a minibatch at a time.

    Args:
        sizes: E-nodes of each observation; int64 (num_steps,).
        rng: Shuffles.
        max_size: Observations of a minibatch, at most.
        max_total: E-nodes of a minibatch, at most, where one observation does not have more already.
    """
    chosen: list[int] = []
    total = 0
    for place in rng.permutation(len(sizes)).tolist():
        if chosen and (len(chosen) == max_size or total + sizes[place] > max_total):
            yield np.array(chosen)
            chosen, total = [], 0
        chosen.append(place)
        total += int(sizes[place])
    if chosen:
        yield np.array(chosen)


@final
class Learner:
    """A network in training, with the state of its optimiser.

    Attributes:
        network: Is changed in place.
        optimizer: Adam.
        config: How.
    """

    def __init__(self, network: Network, config: PpoConfig) -> None:
        """Train a network where it is."""
        self.network = network
        self.config = config
        self.optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, eps=1e-5)

    def update(
        self,
        steps: Steps,
        progress: float,
        rng: np.random.Generator,
        is_over: Callable[[], bool] = lambda: False,
    ) -> Progress:
        """Make the policy better by what happened; return what the update did.

        Args:
            steps: What the policy did since the last update.
            progress: Share of the training that is done.
            rng: Shuffles the steps.
            is_over: Asked after each minibatch; True ends the update.
        """
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = linear_schedule(config.learning_rate, 0.0, progress)
        entropy_weight = linear_schedule(config.entropy_start, config.entropy_end, progress)
        advantages = normalised(steps.advantages)
        sizes = np.array([len(each.arrays["enode_operator"]) for each in steps.observations])
        told: list[dict[str, float]] = []
        self.network.train()
        passes = (
            minibatches(sizes, rng, config.minibatch_size, config.minibatch_enodes) for _ in range(config.num_epochs)
        )
        for places in chain.from_iterable(passes):
            told.append(self._descend(steps, advantages, places, entropy_weight))
            if told[-1]["kl"] > 1.5 * config.target_kl or is_over():
                break
        self.network.eval()
        means = {name: float(np.mean([each[name] for each in told])) for name in told[0]}
        means["kl"] = told[-1]["kl"]
        return Progress(
            **means,
            explained_variance=explained_variance(steps.values, steps.returns),
            num_minibatches=len(told),
        )

    def _descend(
        self, steps: Steps, advantages: np.ndarray, places: np.ndarray, entropy_weight: float
    ) -> dict[str, float]:
        """Make one gradient step; nothing moves where the policy has moved too far already."""
        config, device = self.config, next(self.network.parameters()).device

        def tensor(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array[places].astype(np.float32)).to(device)

        batch: Batch = collate([unpack(steps.observations[place]) for place in places], device)
        said = self.network(batch)
        log_probs = said.log_probs[batch.places(steps.actions[places])]
        old_log_probs = tensor(steps.log_probs)
        of_policy = policy_loss(log_probs, old_log_probs, tensor(advantages), config.clip)
        of_value = value_loss(said.values, tensor(steps.returns))
        entropy = segment_entropy(said.log_probs, batch.action_observation, batch.num_observations).mean()
        kl = approximate_kl(log_probs.detach(), old_log_probs)
        grad_norm = torch.zeros(())
        if kl <= 1.5 * config.target_kl:
            loss = of_policy + config.value_weight * of_value - entropy_weight * entropy
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            grad_norm = nn.utils.clip_grad_norm_(self.network.parameters(), config.max_grad_norm)
            self.optimizer.step()
        return {
            "policy_loss": of_policy.item(),
            "value_loss": of_value.item(),
            "entropy": entropy.item(),
            "kl": kl.item(),
            "clip_fraction": clip_fraction(log_probs.detach(), old_log_probs, config.clip).item(),
            "grad_norm": grad_norm.item(),
        }
