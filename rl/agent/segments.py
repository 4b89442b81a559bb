"""Soft choices among a number of actions that differs from observation to observation.

The actions of a whole batch stand in one row; ``segments`` says which observation each belongs to.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def segment_log_softmax(logits: Tensor, mask: Tensor, segments: Tensor, num_segments: int) -> Tensor:
    """Return the log-probability of each action among those of its observation; minus infinity where it is masked.

    Args:
        logits: One an action; float (num_actions,).
        mask: True = allowed; at least one in every segment; bool (num_actions,).
        segments: Observation of each action; int64 (num_actions,).
        num_segments: Observations in the batch.

    Returns:
        float (num_actions,).
    """
    masked = logits.masked_fill(~mask, -math.inf)
    largest = _reduce(masked.detach(), segments, num_segments, "amax", -math.inf)
    shifted = masked - largest[segments]
    total = torch.zeros(num_segments, dtype=logits.dtype, device=logits.device).index_add(0, segments, shifted.exp())
    return shifted - total.log()[segments]


def segment_entropy(log_probs: Tensor, segments: Tensor, num_segments: int) -> Tensor:
    """Return the entropy ``-sum p log p`` of each observation's distribution, in nats; float (num_segments,).

    Args:
        log_probs: See :func:`segment_log_softmax`; float (num_actions,).
        segments: Observation of each action; int64 (num_actions,).
        num_segments: Observations in the batch.
    """
    finite = torch.where(torch.isfinite(log_probs), log_probs, torch.zeros_like(log_probs))
    terms = -log_probs.exp() * finite
    return torch.zeros(num_segments, dtype=terms.dtype, device=terms.device).index_add(0, segments, terms)


def segment_argmax(scores: Tensor, segments: Tensor, num_segments: int) -> Tensor:
    """Return where in the row the largest score of each observation stands, the first of equals; int64 (num_segments,).

    Args:
        scores: One an action; float (num_actions,).
        segments: Observation of each action; int64 (num_actions,).
        num_segments: Observations in the batch, each with an action.
    """
    largest = _reduce(scores, segments, num_segments, "amax", -math.inf)
    places = torch.arange(len(scores), device=scores.device)
    places = torch.where(scores == largest[segments], places, torch.full_like(places, len(scores)))
    return _reduce(places, segments, num_segments, "amin", len(scores))


def segment_sample(log_probs: Tensor, segments: Tensor, num_segments: int, generator: torch.Generator) -> Tensor:
    """Return where in the row the action drawn for each observation stands; int64 (num_segments,).

    The largest log-probability plus Gumbel noise is a draw from the distribution (Gumbel 1954; Maddison et al. 2014).

    Args:
        log_probs: See :func:`segment_log_softmax`; float (num_actions,).
        segments: Observation of each action; int64 (num_actions,).
        num_segments: Observations in the batch.
        generator: The only source of chance, on the CPU: a seed draws the same on every device.
    """
    uniform = torch.rand(len(log_probs), generator=generator, dtype=torch.float64).clamp_min(1e-300)
    noise = -torch.log((-torch.log(uniform)).clamp_min(1e-300)).to(log_probs.device)
    return segment_argmax(log_probs.double() + noise, segments, num_segments)


def _reduce(source: Tensor, segments: Tensor, num_segments: int, how: str, start: float) -> Tensor:
    found = torch.full((num_segments,), start, dtype=source.dtype, device=source.device)
    return found.scatter_reduce(0, segments, source, reduce=how, include_self=True)
