"""What reality was asked for, exactly: steps, prices and seconds; and what imagination did in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, final

from typing_extensions import override

from rl.env.prices import PriceSource

if TYPE_CHECKING:
    from eqsat.egraph.session import Session
    from eqsat.prices.micro import Cluster, MicroMaker
    from rl.env.tasks import Task


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Sums.

    Attributes:
        num_episodes: Real ones.
        num_steps: Real steps.
        num_prices: Clusters of e-nodes of which a price was asked; at most as many were measured, since what is known
            is not measured again.
        real_s: Seconds of real episodes.
        num_imagined_steps: Imagined steps.
        imagined_s: Seconds of imagining them and of learning from them.
        fit_s: Seconds of learning the world.
    """

    num_episodes: int = 0
    num_steps: int = 0
    num_prices: int = 0
    real_s: float = 0.0
    num_imagined_steps: int = 0
    imagined_s: float = 0.0
    fit_s: float = 0.0

    def plus(self, other: Account) -> Account:
        """Return the sum of both."""
        mine, its = asdict(self), asdict(other)
        return Account(**{name: mine[name] + its[name] for name in mine})


@final
class CountedPrices(PriceSource):
    """Prices by another source, and counts.

    Attributes:
        num_prices: Clusters of e-nodes of which a price was asked so far.
    """

    def __init__(self, source: PriceSource) -> None:
        """Count what a source is asked for."""
        self.num_prices = 0
        self._source = source

    @override
    def price(self, session: Session, clusters: Sequence[Cluster], maker: MicroMaker) -> Mapping[Cluster, float]:
        self.num_prices += len(clusters)
        return self._source.price(session, clusters, maker)


def counted(task: Task) -> tuple[Task, CountedPrices]:
    """Return a task that counts the prices it asks for, and where they are counted."""
    prices = CountedPrices(task.prices)
    return replace(task, prices=prices), prices
