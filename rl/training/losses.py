"""The terms of the PPO objective (Schulman et al. 2017, "Proximal policy optimization algorithms") and its schedules.

Every tensor has the shape (batch,) and every loss is a mean over it, to be made smaller.
"""

from __future__ import annotations

import torch
from torch import Tensor


def policy_loss(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """Return minus the clipped surrogate objective: ``-mean(min(rho * A, clamp(rho, 1 - eps, 1 + eps) * A))``.

    Schulman et al. 2017, equation 7.

    Args:
        log_probs: Of the actions taken, by the policy as it is.
        old_log_probs: By the policy that took them.
        advantages: Of these actions.
        clip: How far the ratio of probabilities may move before it stops to count, ``eps``.
    """
    ratio = (log_probs - old_log_probs).exp()
    clipped = ratio.clamp(1.0 - clip, 1.0 + clip)
    return -torch.minimum(ratio * advantages, clipped * advantages).mean()


def value_loss(values: Tensor, returns: Tensor) -> Tensor:
    """Return ``mean((V - R)^2) / 2``. Clipping it did not help in Andrychowicz et al. 2021, so that it is not clipped.

    Args:
        values: What the value head says.
        returns: What it should have said.
    """
    return 0.5 * (values - returns).square().mean()


def approximate_kl(log_probs: Tensor, old_log_probs: Tensor) -> Tensor:
    """Return an estimate of KL(old, new) from actions of the old policy: ``mean((rho - 1) - log rho)``, never negative.

    Schulman 2020, "Approximating KL divergence", estimator k3.

    Args:
        log_probs: Of the actions taken, by the policy as it is.
        old_log_probs: By the policy that took them.
    """
    log_ratio = log_probs - old_log_probs
    return (log_ratio.exp() - 1.0 - log_ratio).mean()


def clip_fraction(log_probs: Tensor, old_log_probs: Tensor, clip: float) -> Tensor:
    """Return the share of actions whose ratio of probabilities has left ``[1 - eps, 1 + eps]``.

    Args:
        log_probs: Of the actions taken, by the policy as it is.
        old_log_probs: By the policy that took them.
        clip: ``eps``.
    """
    return (((log_probs - old_log_probs).exp() - 1.0).abs() > clip).to(log_probs.dtype).mean()


def linear_schedule(start: float, end: float, progress: float) -> float:
    """Return the point on the line from ``start`` to ``end`` at ``progress``, which counts from 0 to 1 and stays there.

    Args:
        start: At progress 0.
        end: At progress 1.
        progress: Share of the training that is done.
    """
    return start + (end - start) * min(max(progress, 0.0), 1.0)
