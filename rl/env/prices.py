"""Where the prices of an episode come from: measurements, or a fixed table that needs no device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, final

from typing_extensions import override

from eqsat.prices.roofline import roofline_us

if TYPE_CHECKING:
    from eqsat.egraph.session import Session
    from eqsat.prices.micro import Cluster, MicroMaker
    from eqsat.prices.pricing import Pricer


class PriceSource(Protocol):
    """Prices clusters of e-nodes; equal clusters get equal prices, in whatever order they are asked for."""

    def price(self, session: Session, clusters: Sequence[Cluster], maker: MicroMaker) -> Mapping[Cluster, float]:
        """Return the price of each cluster in microseconds, infinite where it cannot run.

        Args:
            session: Where the e-nodes come from.
            clusters: What to price.
            maker: Knows the sizes of symbolic dimensions.
        """
        ...


@final
class MeasuredPrices(PriceSource):
    """Prices measured on the device, and kept in the price database.

    Deterministic as long as everything asked for is in the database already: a measurement is made once and kept.
    """

    def __init__(self, pricer: Pricer) -> None:
        """Take prices from ``pricer``, which is for models of one opset."""
        self._pricer = pricer

    @override
    def price(self, session: Session, clusters: Sequence[Cluster], maker: MicroMaker) -> Mapping[Cluster, float]:
        return self._pricer.price(clusters, maker)


@final
class TablePrices(PriceSource):
    """A fixed roofline-like table: the start of a kernel, and the longer of arithmetic and memory traffic.

    It depends on operators and shapes alone, so that tests and training are fast and the same on every machine. It is
    a stand-in for a device that does not exist: its numbers have the unit of a latency and are never reported as one.
    """

    @override
    def price(self, session: Session, clusters: Sequence[Cluster], maker: MicroMaker) -> Mapping[Cluster, float]:
        return {cluster: roofline_us(session, cluster, maker) for cluster in clusters}
