"""What is believed of prices that were not measured, from those that were: a Gaussian process.

The logarithm of a price over what a roofline makes of it (:mod:`eqsat.cost.roofline`) is the sum of four parts, each
independent and normal: one of the device, one of the kernel, one of the kernel at sizes like these, and one of its own.

    cov(x, x') = g^2 + [same kernel] (k^2 + s^2 exp(-(log w - log w')^2 / 2)) + [x = x'] o^2

with the roofline ``w``. Rasmussen and Williams 2006, "Gaussian processes for machine learning", algorithm 2.1. So one
price says how fast the device is, a few say it of a kernel, and a kernel that was never measured stays uncertain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

DEVICE_STD: Final = 1.0
"""Standard deviation of the logarithm of how much slower a device is than the roofline."""

KERNEL_STD: Final = 0.5
SIZE_STD: Final = 0.3
OWN_STD: Final = 0.3
"""Those of the other parts: with larger ones more is measured, with smaller ones a good graph is missed more often."""

_LEAST_US: Final = 1e-3
_JITTER: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Kernel:
    """What is known of a price before it is measured.

    Attributes:
        name: Of the kernel, see :func:`eqsat.cost.roofline.kernel`.
        roofline_us: What a roofline makes of it, in microseconds.
    """

    name: str
    roofline_us: float


@final
@dataclass(frozen=True, slots=True)
class Posterior:
    """What is believed of some prices together.

    Attributes:
        log_us: Mean of the logarithm of each; float (num_kernels,).
        covariance: Of these; float (num_kernels, num_kernels).
    """

    log_us: np.ndarray
    covariance: np.ndarray

    def medians_us(self) -> np.ndarray:
        """Return the price that is as likely too low as too high; float (num_kernels,)."""
        medians: np.ndarray = np.exp(self.log_us)
        return medians

    def drawn_us(self, num_draws: int, rng: np.random.Generator) -> np.ndarray:
        """Return prices drawn from the belief, together; float (num_draws, num_kernels).

        Args:
            num_draws: How many of each.
            rng: The only source of chance.
        """
        lower = np.linalg.cholesky(self.covariance + _JITTER * np.eye(len(self.log_us)))
        drawn: np.ndarray = np.exp(self.log_us + rng.standard_normal((num_draws, len(self.log_us))) @ lower.T)
        return drawn

    def stds(self) -> np.ndarray:
        """Return the standard deviation of the logarithm of each; float (num_kernels,)."""
        found: np.ndarray = np.sqrt(np.diag(self.covariance))
        return found


@final
class Beliefs:
    """Prices that were measured on a device, and what follows for others."""

    def __init__(self) -> None:
        """Know nothing."""
        self._kernels: list[Kernel] = []
        self._log_ratios: list[float] = []

    def observe(self, kernel: Kernel, price_us: float) -> None:
        """Learn a price; one that is infinite, of what cannot run, says nothing of others.

        Args:
            kernel: Whose it is.
            price_us: Microseconds.
        """
        if math.isfinite(price_us):
            self._kernels.append(kernel)
            self._log_ratios.append(math.log(max(price_us, _LEAST_US)) - _log_us(kernel))

    def about(self, kernels: Sequence[Kernel]) -> Posterior:
        """Return what is believed of some prices.

        Args:
            kernels: Whose prices; at least one.
        """
        log_us = np.array([_log_us(kernel) for kernel in kernels])
        own = OWN_STD**2 * np.eye(len(kernels))
        covariance = _shared(kernels, kernels)
        if not self._kernels:
            return Posterior(log_us, covariance + own)
        known = _shared(self._kernels, self._kernels) + OWN_STD**2 * np.eye(len(self._kernels))
        across = _shared(kernels, self._kernels)
        weights = np.linalg.solve(known, across.T).T
        return Posterior(log_us + weights @ np.array(self._log_ratios), covariance - weights @ across.T + own)


def _log_us(kernel: Kernel) -> float:
    return math.log(max(kernel.roofline_us, _LEAST_US))


def _shared(some: Sequence[Kernel], others: Sequence[Kernel]) -> np.ndarray:
    """Return the covariance of what two prices share; float (num_some, num_others)."""
    names, other_names = (np.array([each.name for each in kernels]) for kernels in (some, others))
    sizes, other_sizes = (np.array([_log_us(each) for each in kernels]) for kernels in (some, others))
    likeness = np.exp(-0.5 * (sizes[:, None] - other_sizes[None, :]) ** 2)
    is_same = names[:, None] == other_names[None, :]
    shared: np.ndarray = DEVICE_STD**2 + is_same * (KERNEL_STD**2 + SIZE_STD**2 * likeness)
    return shared
