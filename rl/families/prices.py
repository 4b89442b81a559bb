"""Prices for training: a roofline, bent for every kernel to what ONNX Runtime was measured to take.

Training asks for millions of prices of shapes that were never measured. What a kernel takes is written as

    ``start + scale * work``

where ``work`` is what the roofline of :mod:`eqsat.prices.roofline` finds beyond the start of a kernel, the longer of
arithmetic and memory traffic, and the two numbers were fitted to measurements of that kernel at many shapes;
``bench.calibrate`` makes them, and ``latencies.json`` keeps them. The prices of one task are those of a made-up device:
every kernel is faster or slower by a random factor, so that an agent has to look at prices: it cannot learn by heart
which rules pay.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final, final

import numpy as np
from typing_extensions import override

from eqsat.prices.pricing import flat_price
from eqsat.prices.roofline import LAUNCH_US, kernel
from rl.env.prices import PriceSource, TablePrices

if TYPE_CHECKING:
    from eqsat.egraph.session import Session
    from eqsat.prices.micro import Cluster, MicroMaker

ANY: Final = "*"
"""The kernel that stands for all that were not measured."""

DATA: Final = "latencies.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What a kernel takes.

    Attributes:
        start_us: Time without any work, in microseconds.
        scale: Time over the work of the table.
    """

    start_us: float
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """How a made-up device differs from the one that was measured.

    Attributes:
        seed: Seed of the factor of each kernel.
        spread: Standard deviation of the logarithm of these factors.
        slowness: Factor of all work, but not of the start of kernels: larger models have a larger share of work.
    """

    seed: int = 0
    spread: float = 0.0
    slowness: float = 1.0


@cache
def measured_fits() -> Mapping[str, Fit]:
    """Return the fits that ship."""
    document = json.loads(files(__package__).joinpath(DATA).read_text(encoding="utf-8"))
    return {name: Fit(start_us=fit["start_us"], scale=fit["scale"]) for name, fit in document["fits"].items()}


@final
class CalibratedPrices(PriceSource):
    """Prices by a fit for each kernel; the same on every machine."""

    def __init__(self, fits: Mapping[str, Fit], device: Device | None = None) -> None:
        """Price by fits.

        Args:
            fits: By kernel; :data:`ANY` among them.
            device: A made-up device; the measured one where it is left out.
        """
        self._fits = fits
        self._device = device or Device()
        self._table = TablePrices()
        self._factors: dict[str, float] = {}

    @override
    def price(self, session: Session, clusters: Sequence[Cluster], maker: MicroMaker) -> Mapping[Cluster, float]:
        plain = self._table.price(session, clusters, maker)
        return {cluster: self._price_us(session, cluster, us) for cluster, us in plain.items()}

    def _price_us(self, session: Session, cluster: Cluster, table_us: float) -> float:
        flat = flat_price(cluster)
        if flat is not None:
            return flat
        name = kernel(session, cluster)
        fit = self._fits.get(name) or self._fits[ANY]
        return self._factor(name) * (fit.start_us + self._device.slowness * fit.scale * work_us(table_us))

    def _factor(self, name: str) -> float:
        if name not in self._factors:
            rng = np.random.default_rng([self._device.seed, zlib.crc32(name.encode())])
            self._factors[name] = math.exp(self._device.spread * float(rng.standard_normal()))
        return self._factors[name]


def work_us(table_us: float) -> float:
    """Return what the table finds beyond the start of a kernel."""
    return max(table_us - LAUNCH_US, 0.0)


STARTS_US: Final = np.geomspace(0.02, 200.0, 120)
SCALES: Final = np.geomspace(1e-3, 300.0, 160)
"""What a fit may be; the steps are about 8 %."""

PRIOR: Final = 0.3
"""Weight of the fit of all kernels against one measurement of a kernel."""


def fitted(measured: Sequence[tuple[float, float]], prior: Fit | None = None) -> Fit:
    """Return the fit with the least absolute errors of the logarithm of a latency.

    Args:
        measured: Work by the table and latency, both in microseconds; latencies above 0.
        prior: A fit that few measurements must not lead far away from; None for none.

    Raises:
        ValueError: There is nothing to fit.
    """
    if not measured:
        raise ValueError("there is nothing to fit")
    loss = np.zeros((len(STARTS_US), len(SCALES)))
    for work, latency_us in measured:
        loss += np.abs(np.log((STARTS_US[:, None] + SCALES * work) / latency_us))
    if prior is not None:
        loss += PRIOR * np.abs(np.log(STARTS_US / prior.start_us))[:, None]
        loss += PRIOR * np.abs(np.log(SCALES / prior.scale))
    row, column = np.unravel_index(int(loss.argmin()), loss.shape)
    return Fit(start_us=float(STARTS_US[row]), scale=float(SCALES[column]))
