"""The formulas of the world model that are about one distribution or one sequence; each names its source.

Losses come back one a row, in nats, so that the caller chooses how to average.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

_LOG_TWO_PI: Final = math.log(2.0 * math.pi)


def gaussian_nll(target: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Return the negative log-density of a diagonal Gaussian, summed over the last axis.

    ``sum_d (x_d - m_d)^2 / (2 s_d^2) + log s_d + log(2 pi) / 2``

    Args:
        target: What came; float (..., width).
        mean: Of each column; float (..., width).
        log_std: Logarithm of the standard deviation of each column; float (..., width).

    Returns:
        float (...,).
    """
    scaled = (target - mean) * (-log_std).exp()
    return (0.5 * scaled.square() + log_std + 0.5 * _LOG_TWO_PI).sum(dim=-1)


def mixture_nll(target: Tensor, logits: Tensor, means: Tensor, log_stds: Tensor) -> Tensor:
    """Return the negative log-density of a mixture of diagonal Gaussians: ``-log sum_k pi_k N(x; m_k, s_k)``.

    Bishop 1994, "Mixture density networks", equation 29; as in RLFlow (Parker, Alabed, Yoneki 2022).

    Args:
        target: What came; float (batch, width).
        logits: Unnormalised log-weights of the components; float (batch, num_components).
        means: float (batch, num_components, width).
        log_stds: float (batch, num_components, width).

    Returns:
        float (batch,).
    """
    each = gaussian_nll(target[:, None, :], means, log_stds)
    return -torch.logsumexp(torch.log_softmax(logits, dim=1) - each, dim=1)


def mixture_mean(logits: Tensor, means: Tensor) -> Tensor:
    """Return the mean of a mixture: ``sum_k pi_k m_k``; float (batch, width).

    Args:
        logits: See :func:`mixture_nll`.
        means: Likewise.
    """
    return (torch.softmax(logits, dim=1)[:, :, None] * means).sum(dim=1)


def uniform_mix(logits: Tensor, share: float) -> Tensor:
    """Return log-probabilities of a distribution with a share of the uniform one mixed in.

    ``log((1 - eps) softmax(l) + eps / M)``; Hafner et al. 2023, "Mastering diverse domains through world models"
    (DreamerV3), "unimix": no class ever gets so improbable that its divergence explodes.

    Args:
        logits: Unnormalised; float (..., num_classes).
        share: ``eps``, from 0 to 1.

    Returns:
        float (..., num_classes).
    """
    probabilities = torch.softmax(logits, dim=-1)
    return ((1.0 - share) * probabilities + share / logits.shape[-1]).log()


def categorical_kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return ``KL(p, q) = sum p (log p - log q)`` over the last axis, summed over the groups before it.

    Args:
        log_p: Log-probabilities; float (batch, num_groups, num_classes).
        log_q: Likewise.

    Returns:
        float (batch,).
    """
    return (log_p.exp() * (log_p - log_q)).sum(dim=(-2, -1))


def balanced_kl(posterior: Tensor, prior: Tensor, *, prior_weight: float, free_nats: float) -> Tensor:
    """Return the divergence of posterior and prior, learnt faster by the prior than by the posterior.

    ``a max(f, KL(sg(q), p)) + (1 - a) max(f, KL(q, sg(p)))``, where ``sg`` stops the gradient. Hafner et al. 2021,
    "Mastering Atari with discrete world models" (DreamerV2), algorithm 2; free nats as in DreamerV3, equation 5.

    Args:
        posterior: Log-probabilities ``q``, which know what came; float (batch, num_groups, num_classes).
        prior: Log-probabilities ``p``, which do not; the same shape.
        prior_weight: ``a``.
        free_nats: ``f``: below it nothing is gained by agreeing more.

    Returns:
        float (batch,).
    """
    towards_posterior = categorical_kl(posterior.detach(), prior).clamp_min(free_nats)
    towards_prior = categorical_kl(posterior, prior.detach()).clamp_min(free_nats)
    return prior_weight * towards_posterior + (1.0 - prior_weight) * towards_prior


def straight_through(sample: Tensor, log_probs: Tensor) -> Tensor:
    """Return a one-hot sample whose gradient is that of the probabilities: ``s + p - sg(p)``.

    Bengio, Léonard, Courville 2013, "Estimating or propagating gradients through stochastic neurons".

    Args:
        sample: One-hot; float (..., num_classes).
        log_probs: Of the distribution it was drawn from; the same shape.
    """
    probabilities = log_probs.exp()
    return sample + probabilities - probabilities.detach()


def symmetric_bins(num_bins: int, largest: float) -> Tensor:
    """Return bins that lie close together around zero, which is one of them: ``largest * x |x|``, x from -1 to 1.

    DreamerV3 spaces the bins of a reward by the exponential, for rewards of any size; a relative drop of a price is
    at most of the order of one and mostly far below, and the square does for it what the exponential does there.

    Args:
        num_bins: An odd number.
        largest: Value of the last bin.

    Returns:
        float (num_bins,), ascending.

    Raises:
        ValueError: The number is even, so that no bin is zero.
    """
    if num_bins % 2 == 0:
        raise ValueError(f"{num_bins} bins have none in the middle")
    places = torch.linspace(-1.0, 1.0, num_bins)
    bins = largest * places * places.abs()
    bins[num_bins // 2] = 0.0
    return bins


def two_hot(values: Tensor, bins: Tensor) -> Tensor:
    """Return each value as weights of the two bins around it, whose mean is the value.

    Bellemare, Dabney, Munos 2017; Hafner et al. 2023, equation 9. What lies outside counts as the outermost bin.

    Args:
        values: float (batch,).
        bins: Ascending; float (num_bins,).

    Returns:
        float (batch, num_bins); each row sums to 1.
    """
    inside = values.clamp(float(bins[0]), float(bins[-1]))
    above = torch.searchsorted(bins, inside, right=True).clamp(1, len(bins) - 1)
    low, high = bins[above - 1], bins[above]
    share = (inside - low) / (high - low)
    weights = torch.zeros(len(values), len(bins), dtype=values.dtype, device=values.device)
    weights.scatter_(1, (above - 1)[:, None], (1.0 - share)[:, None])
    return weights.scatter(1, above[:, None], share[:, None])


def two_hot_loss(logits: Tensor, values: Tensor, bins: Tensor) -> Tensor:
    """Return the cross-entropy of predicted bins and the two-hot values; float (batch,).

    Args:
        logits: float (batch, num_bins).
        values: float (batch,).
        bins: float (num_bins,).
    """
    return -(two_hot(values, bins) * torch.log_softmax(logits, dim=1)).sum(dim=1)


def two_hot_mean(logits: Tensor, bins: Tensor) -> Tensor:
    """Return the mean of predicted bins: ``sum_i p_i b_i``; float (batch,).

    Args:
        logits: float (batch, num_bins).
        bins: float (num_bins,).
    """
    return torch.softmax(logits, dim=1) @ bins


def two_hot_median(probabilities: Tensor, bins: Tensor) -> Tensor:
    """Return the median of predicted bins, the first below or at which half of the probability lies; float (batch,).

    What is off by least on average, and exactly zero where zero is likelier than not; a mean hardly ever is.

    Args:
        probabilities: Of each bin; float (batch, num_bins).
        bins: Ascending; float (num_bins,).
    """
    reaches = probabilities.cumsum(dim=1) >= 0.5 * probabilities.sum(dim=1, keepdim=True)
    return bins[reaches.to(torch.int8).argmax(dim=1)]


def lambda_returns(
    rewards: Tensor, next_values: Tensor, continues: Tensor, follows: Tensor, gamma: float, lambda_: float
) -> Tensor:
    """Return ``R_t = r_t + gamma c_t ((1 - lambda) V(s_(t+1)) + lambda R_(t+1))``, with ``V`` where nothing follows.

    Sutton and Barto 2018, equation 12.18; as in Hafner et al. 2021, equation 4. Episodes side by side may be cut off at
    different steps.

    Args:
        rewards: Time runs down; float (num_steps, batch).
        next_values: Of the state after each step; float (num_steps, batch).
        continues: 0 where the step ended the episode, else 1; float (num_steps, batch).
        follows: True where the episode has another step after this one; bool (num_steps, batch).
        gamma: Discount.
        lambda_: 0 trusts the values, 1 trusts the rewards.

    Returns:
        float (num_steps, batch).
    """
    following = next_values[-1]
    returns = []
    for step in reversed(range(len(rewards))):
        rest = torch.where(follows[step], following, next_values[step])
        mixed = (1.0 - lambda_) * next_values[step] + lambda_ * rest
        following = rewards[step] + gamma * continues[step] * mixed
        returns.append(following)
    return torch.stack(returns[::-1])


def disagreement(predictions: Tensor) -> Tensor:
    """Return how far the members of an ensemble are apart: their variance, averaged over the columns.

    Sekar et al. 2020, "Planning to explore via self-supervised world models", equation 1; with deep ensembles as in
    Lakshminarayanan, Pritzel, Blundell 2017.

    Args:
        predictions: Mean that each member predicts; float (num_members, batch, width).

    Returns:
        float (batch,).
    """
    return predictions.var(dim=0, correction=0).mean(dim=-1)
