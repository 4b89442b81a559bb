"""What is believed of prices that were not measured, from those that were: a Gaussian process.

The logarithm of a price over what a roofline makes of it (:mod:`eqsat.prices.roofline`) is the sum of four parts, each
independent and normal: one of the device, one of the kernel, one of the kernel at sizes like these, and one of its own.

    cov(x, x') = g^2 + [same kernel] (k^2 + s^2 exp(-(log w - log w')^2 / 2)) + [x = x'] o^2

with the roofline ``w``. Rasmussen and Williams 2006, "Gaussian processes for machine learning", algorithm 2.1. So one
price says how fast the device is, a few say it of a kernel, and a kernel that was never measured stays uncertain.

Prices of another device, the device of reference, tell how kernels compare. Between the two the part of the device says
nothing, and each kernel has a fifth part, its own on each device:

    cov(x, x') = [same device] (g^2 + [same kernel] t^2) + [same kernel] (k^2 + s^2 exp(...)) + [x = x'] o^2
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

DEVICE_STD: Final = 1.0
"""Standard deviation of the logarithm of how much slower a device is than the roofline."""

KERNEL_STD: Final = 0.8
SIZE_STD: Final = 0.5
OWN_STD: Final = 0.3
"""Those of the other parts, the likeliest ones (marginal likelihood) for 566 prices of six models after
those of reference."""

TRANSFER_STD: Final = 0.3
"""That of what a kernel has of its own on each device, the likeliest one for prices with two threads after those of
reference with one; 0.2 would be likelier for one machine on two days."""

KERNEL_VERSION: Final = 3
"""Of the names of kernels and their rooflines: prices described by another version are not learnt from."""

_LEAST_US: Final = 1.0
"""Shorter times are taken for this one: they are mostly what ONNX Runtime takes for a run, taken off again."""

_JITTER: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Kernel:
    """What is known of a price before it is measured.

    Attributes:
        name: Of the kernel, see :func:`eqsat.prices.roofline.kernel`.
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
    """Prices that were measured on a device, and what follows for others.

    Given the parts of the devices, the prices of one kernel say nothing of another, so that each is solved alone.
    """

    def __init__(self, reference: Iterable[tuple[Kernel, float]] = ()) -> None:
        """Know nothing of the device.

        Args:
            reference: Prices in microseconds on the device of reference, and what they are of: so many that the part
                of that device is taken as known.
        """
        self._samples: dict[str, _Samples] = {}
        for number, (kernel, price_us) in enumerate(reference):
            self.observe(str(number), kernel, price_us)
        if self._samples:
            precision, weighted = self._evidence()
            self._samples = {name: each.elsewhere(weighted / precision) for name, each in self._samples.items()}

    def observe(self, signature: str, kernel: Kernel, price_us: float) -> None:
        """Learn a price; one that is infinite, of what cannot run, says nothing of others.

        Args:
            signature: What it is the price of; what is learnt again replaces what was learnt before.
            kernel: Whose it is.
            price_us: Microseconds.
        """
        if math.isfinite(price_us):
            samples = self._samples.setdefault(kernel.name, _Samples())
            samples.add(signature, _log_us(kernel), math.log(max(price_us, _LEAST_US)) - _log_us(kernel))

    def about(self, kernels: Sequence[Kernel]) -> Posterior:
        """Return what is believed of some prices.

        Args:
            kernels: Whose prices; at least one.
        """
        precision, weighted = self._evidence()
        precision += DEVICE_STD**-2
        log_us = np.array([_log_us(kernel) for kernel in kernels])
        names = np.array([kernel.name for kernel in kernels])
        means, covariance = log_us.copy(), np.zeros((len(kernels), len(kernels)))
        open_share = np.ones(len(kernels))  # of the part of the device, beyond what prices of the same kernel say
        for name in dict.fromkeys(names.tolist()):
            places = np.flatnonzero(names == name)
            sizes = log_us[places]
            within = _shared(sizes, sizes) + TRANSFER_STD**2 + OWN_STD**2 * np.eye(len(places))
            found = self._samples.get(name)
            if found is not None:
                across = _shared(sizes, found.sizes) + TRANSFER_STD**2 * found.is_here
                weights = np.linalg.solve(found.covariance, across.T).T
                within -= weights @ across.T
                means[places] += weights @ found.log_ratios
                open_share[places] -= weights @ found.is_here
            covariance[np.ix_(places, places)] = within
        means += open_share * weighted / precision
        return Posterior(means, covariance + np.outer(open_share, open_share) / precision)

    def _evidence(self) -> tuple[float, float]:
        """Return what all prices say of the part of the device: precision, and mean times precision."""
        precision, weighted = 0.0, 0.0
        for samples in self._samples.values():
            more_precision, more_weighted = samples.evidence
            precision += more_precision
            weighted += more_weighted
        return precision, weighted


@final
class _Samples:
    """The prices of one kernel that were measured, those of the device of reference first."""

    def __init__(self, reference: Sequence[tuple[float, float]] = ()) -> None:
        """Know the prices of reference, as the logarithms of the roofline and of the ratio to that."""
        self._reference = reference
        self._here: dict[str, tuple[float, float]] = {}
        self._evidence: tuple[float, float] | None = None
        self._covariance: np.ndarray | None = None

    def add(self, signature: str, log_size: float, log_ratio: float) -> None:
        """Add a price, as the logarithms of its roofline and of its ratio to that."""
        if self._here.get(signature) != (log_size, log_ratio):
            self._here[signature] = log_size, log_ratio
            self._evidence = self._covariance = None

    def elsewhere(self, log_device: float) -> _Samples:
        """Return these as prices of the device of reference, whose own part of the logarithm is taken off."""
        return _Samples([(log_size, log_ratio - log_device) for log_size, log_ratio in self._here.values()])

    @property
    def sizes(self) -> np.ndarray:
        """Logarithms of the rooflines; float (num_samples,)."""
        return np.array([log_size for log_size, _ in (*self._reference, *self._here.values())])

    @property
    def log_ratios(self) -> np.ndarray:
        """Logarithms of the prices over their rooflines; float (num_samples,)."""
        return np.array([log_ratio for _, log_ratio in (*self._reference, *self._here.values())])

    @property
    def is_here(self) -> np.ndarray:
        """1 for the prices of this device, 0 for those of reference; float (num_samples,)."""
        return np.repeat([0.0, 1.0], [len(self._reference), len(self._here)])

    @property
    def covariance(self) -> np.ndarray:
        """Covariance of these without the parts of the devices; float (num_samples, num_samples)."""
        if self._covariance is None:
            is_same = np.equal.outer(self.is_here, self.is_here)
            shared = _shared(self.sizes, self.sizes) + TRANSFER_STD**2 * is_same
            self._covariance = shared + OWN_STD**2 * np.eye(len(shared))
        return self._covariance

    @property
    def evidence(self) -> tuple[float, float]:
        """What they say of the part of this device: precision, and mean times precision."""
        if self._evidence is None:
            weights = np.linalg.solve(self.covariance, self.is_here)
            self._evidence = float(weights @ self.is_here), float(weights @ self.log_ratios)
        return self._evidence


def _log_us(kernel: Kernel) -> float:
    return math.log(max(kernel.roofline_us, _LEAST_US))


def _shared(sizes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the covariance of what prices of one kernel share on all devices; float (num_sizes, num_others)."""
    likeness = np.exp(-0.5 * (sizes[:, None] - others[None, :]) ** 2)
    shared: np.ndarray = KERNEL_STD**2 + SIZE_STD**2 * likeness
    return shared
