"""How many candidates of each rule appear: first whether any, then how many.

Mullahy 1986, "Specification and testing of some modified count data models". A step of a rule makes none of most
others, and of a few it makes many at once: one Poisson distribution does not fit both.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def hurdle_nll(counts: Tensor, logits: Tensor, log_rates: Tensor) -> Tensor:
    """Return the negative log-probability of counts.

    ``-log(1 - p)`` where there is none; else ``-log p - (k log u - u - log k! - log(1 - exp(-u)))``, a Poisson
    distribution of which zero was taken away.

    Args:
        counts: Whole numbers from 0; float (...,).
        logits: Of ``p``, the probability of any; float (...,).
        log_rates: ``log u``; float (...,).

    Returns:
        float (...,).
    """
    is_any = (counts > 0).to(logits.dtype)
    hurdle = binary_cross_entropy_with_logits(logits, is_any, reduction="none")
    rates = log_rates.exp()
    positive = counts * log_rates - rates - torch.lgamma(counts + 1.0) - log_positive(log_rates)
    return hurdle - is_any * positive


def log_positive(log_rates: Tensor) -> Tensor:
    """Return the log-probability that a Poisson number is not zero, ``log(1 - exp(-u))``; the same shape.

    Args:
        log_rates: ``log u``.
    """
    return (-torch.expm1(-log_rates.exp())).clamp_min(1e-20).log()


def positive_mean(log_rates: Tensor) -> Tensor:
    """Return the mean of a Poisson number that is not zero, ``u / (1 - exp(-u))``; the same shape.

    Args:
        log_rates: ``log u``.
    """
    return (log_rates - log_positive(log_rates)).exp()


def likely_counts(logits: Tensor, log_rates: Tensor) -> Tensor:
    """Return the counts to expect: none where none is likelier, else the mean, rounded; int64, the same shape.

    Args:
        logits: See :func:`hurdle_nll`.
        log_rates: Likewise.
    """
    return torch.where(logits > 0, positive_mean(log_rates).round().clamp_min(1.0), 0.0).long()


def drawn_counts(logits: Tensor, log_rates: Tensor, generator: torch.Generator) -> Tensor:
    """Return counts drawn from the distribution; int64, the same shape.

    A Poisson process on ``[0, u]`` that is not empty has its first point at ``t = -log(1 - v (1 - exp(-u)))`` for a
    uniform ``v``, and after that it goes on as before.

    Args:
        logits: See :func:`hurdle_nll`.
        log_rates: Likewise.
        generator: The only source of chance, on the CPU: a seed draws the same on every device.
    """
    device = logits.device
    uniform = torch.rand((2, *logits.shape), generator=generator, dtype=torch.float64).to(device)
    rates = log_rates.double().exp()
    first = -torch.log1p(uniform[1] * torch.expm1(-rates))
    rest = torch.poisson((rates - first).clamp_min(0.0).cpu(), generator=generator).to(device)
    is_any = uniform[0] < torch.sigmoid(logits.double())
    return torch.where(is_any, 1.0 + rest, 0.0).long()
