"""A pricer as what the choice of measurements asks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from typing_extensions import override

from eqsat.prices.frugal import Meter

if TYPE_CHECKING:
    from eqsat.egraph.session import Session
    from eqsat.prices.beliefs import Kernel
    from eqsat.prices.micro import Cluster, MicroMaker
    from eqsat.prices.pricing import Pricer


@final
@dataclass(frozen=True, slots=True)
class Metered(Meter):
    """A pricer that measures what it is asked for."""

    pricer: Pricer

    @override
    def known(self, session: Session, clusters: Sequence[Cluster], maker: MicroMaker) -> Mapping[Cluster, float]:
        return self.pricer.known(clusters, maker)

    @override
    def measure(self, session: Session, cluster: Cluster, maker: MicroMaker) -> float:
        return self.pricer.price([cluster], maker)[cluster]

    @override
    def describe(self, kernels: Mapping[str, Kernel]) -> None:
        self.pricer.describe(kernels)

    @override
    def others(self, names: Collection[str]) -> Mapping[str, tuple[Kernel, float]]:
        return self.pricer.others(names)
