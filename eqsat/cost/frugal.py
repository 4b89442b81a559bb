"""Prices an e-graph and measures no more than the answer depends on.

Most prices of an e-graph decide nothing: what they belong to is far too dear, or is in every cheap graph. Which they
are, is asked of what is believed (:mod:`eqsat.cost.beliefs`): prices are drawn together from the belief, some times,
and for each draw the cheapest graph is extracted (posterior sampling, Thompson 1933). Where it is cheaper than the
graph that is cheapest by the medians, that one is regretted, and the prices in which the two differ are worth
measuring: the more, the more uncertain and the larger they are. It ends where the mean regret is small (the expected
opportunity cost; Chick and Inoue 2001). As in the lazy search of shortest paths (Dellin and Srinivasa 2016), what is
not on the way of any good answer is never looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol, final

import numpy as np

from eqsat.cost.beliefs import Beliefs, Kernel
from eqsat.cost.micro import UnpriceableError
from eqsat.cost.pricing import VIEW_US, flat_price
from eqsat.cost.problem import lay_out
from eqsat.cost.roofline import kernel, roofline_us
from eqsat.extraction.greedy import greedy_dag

if TYPE_CHECKING:
    from eqsat.cost.micro import Cluster, MicroMaker
    from eqsat.cost.problem import Layout, PricedProblem
    from eqsat.egraph.session import Session
    from eqsat.extraction.problem import ExtractionProblem

TOLERANCE: Final = 3e-3
"""Regret, as a share of the price of the graph, at which nothing more is measured."""

NUM_DRAWS: Final = 8
BATCH: Final = 4
"""Prices measured between two looks at what is worth measuring."""


class Meter(Protocol):
    """Measures prices, and remembers them."""

    def known(self, session: Session, clusters: Sequence[Cluster], maker: MicroMaker) -> Mapping[Cluster, float]:
        """Return the prices, in microseconds, of those clusters that need not be measured.

        Args:
            session: Where the e-nodes come from.
            clusters: Any.
            maker: Makes their micro-models.
        """
        ...

    def measure(self, session: Session, clusters: Sequence[Cluster], maker: MicroMaker) -> Mapping[Cluster, float]:
        """Return the price of each cluster in microseconds, infinite where it cannot run.

        Args:
            session: Where the e-nodes come from.
            clusters: Any.
            maker: Makes their micro-models.
        """
        ...


@final
@dataclass(slots=True)
class _Goods:
    """What has a price.

    Attributes:
        flat: Prices of what is never measured.
        signatures: Signature of every other cluster.
        samples: One cluster of each signature.
    """

    flat: dict[Cluster, float] = field(default_factory=dict)
    signatures: dict[Cluster, str] = field(default_factory=dict)
    samples: dict[str, Cluster] = field(default_factory=dict)


@final
class Frugal:
    """The prices of one model on one device.

    Attributes:
        num_believed: Distinct prices that the last settled problem had and that were not measured.
    """

    def __init__(self, meter: Meter, *, seed: int = 0, tolerance: float = TOLERANCE) -> None:
        """Measure nothing yet.

        Args:
            meter: Measures.
            seed: Seed of every draw.
            tolerance: Regret, as a share of the price of the graph, at which nothing more is measured.
        """
        self.num_believed = 0
        self._meter = meter
        self._rng = np.random.default_rng(seed)
        self._tolerance = tolerance
        self._beliefs = Beliefs()
        self._known: dict[str, float] = {}

    def price(self, session: Session, clusters: Sequence[Cluster], maker: MicroMaker) -> dict[Cluster, float]:
        """Return the price of each cluster in microseconds, known or believed; nothing is measured.

        Args:
            session: Where the e-nodes come from.
            clusters: What to price.
            maker: Knows the sizes.
        """
        goods = _goods(clusters, maker)
        self._look_up(session, goods, maker)
        missing = self._missing(goods)
        believed: dict[str, float] = {}
        if missing:
            medians = self._beliefs.about(_kernels(session, goods, missing, maker)).medians_us()
            believed = dict(zip(missing, medians.tolist(), strict=True))
        return self._prices(goods, believed)

    def problem(self, session: Session, maker: MicroMaker, provider: str) -> PricedProblem:
        """Return a session with prices known or believed; nothing is measured.

        Args:
            session: The e-graph.
            maker: Knows the sizes.
            provider: Whose fusions count.
        """
        layout = lay_out(session, maker, provider)
        return layout.priced(self.price(session, layout.wanted(), maker))

    def settle(
        self,
        session: Session,
        maker: MicroMaker,
        provider: str,
        *,
        is_late: Callable[[], bool] = lambda: False,
        on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> PricedProblem:
        """Return a session with prices, of which those are measured that its cheapest graph depends on.

        Args:
            session: The e-graph.
            maker: Knows the sizes.
            provider: Whose fusions count.
            is_late: Whether nothing more may be measured.
            on_progress: Is told how many of how many distinct prices are known.
        """
        layout = lay_out(session, maker, provider)
        goods = _goods(layout.wanted(), maker)
        self._look_up(session, goods, maker)
        found = layout.priced(self._prices(goods, dict.fromkeys(self._missing(goods), 0.0)))
        while True:
            missing = self._missing(goods)
            believed: dict[str, float] = {}
            asked: list[str] = []
            if missing:
                posterior = self._beliefs.about(_kernels(session, goods, missing, maker))
                believed = dict(zip(missing, posterior.medians_us().tolist(), strict=True))
                draws = posterior.drawn_us(NUM_DRAWS, self._rng).tolist()
                costs_us = layout.costs_us(self._prices(goods, believed))
                drawn = (layout.costs_us(self._prices(goods, dict(zip(missing, draw, strict=True)))) for draw in draws)
                weights = _weights(found.problem, costs_us, drawn, self._tolerance)
                spread = dict(zip(missing, posterior.stds().tolist(), strict=True))
                asked = _most_wanted(weights, layout, goods, spread)
            if not asked or is_late():
                self.num_believed = len(missing)
                costs_us = layout.costs_us(self._prices(goods, believed))
                return replace(found, problem=replace(found.problem, cost_us=costs_us))
            self._measure(session, goods, asked, maker)
            on_progress(len(goods.samples) - len(missing) + len(asked), len(goods.samples))

    def _missing(self, goods: _Goods) -> list[str]:
        return [signature for signature in goods.samples if signature not in self._known]

    def _prices(self, goods: _Goods, others: Mapping[str, float]) -> dict[Cluster, float]:
        """Return the price of every cluster, from ``others`` where it is not known."""
        known = self._known
        priced = {
            cluster: known[signature] if signature in known else others[signature]
            for cluster, signature in goods.signatures.items()
        }
        return goods.flat | priced

    def _look_up(self, session: Session, goods: _Goods, maker: MicroMaker) -> None:
        """Learn what needs no measurement."""
        samples = {goods.samples[signature]: signature for signature in self._missing(goods)}
        known = self._meter.known(session, list(samples), maker)
        self._learn(session, {samples[cluster]: price for cluster, price in known.items()}, goods, maker)

    def _measure(self, session: Session, goods: _Goods, signatures: Sequence[str], maker: MicroMaker) -> None:
        samples = {goods.samples[signature]: signature for signature in signatures}
        measured = self._meter.measure(session, list(samples), maker)
        self._learn(session, {samples[cluster]: price for cluster, price in measured.items()}, goods, maker)

    def _learn(self, session: Session, prices: Mapping[str, float], goods: _Goods, maker: MicroMaker) -> None:
        kernels = _kernels(session, goods, list(prices), maker)
        for each, (signature, price_us) in zip(kernels, prices.items(), strict=True):
            self._known[signature] = price_us
            self._beliefs.observe(each, price_us)


def _goods(clusters: Sequence[Cluster], maker: MicroMaker) -> _Goods:
    goods = _Goods()
    for cluster in clusters:
        flat = flat_price(cluster)
        if flat is not None:
            goods.flat[cluster] = flat
            continue
        try:
            signature = maker.micro(cluster).signature
        except UnpriceableError:
            goods.flat[cluster] = VIEW_US
            continue
        goods.signatures[cluster] = signature
        goods.samples.setdefault(signature, cluster)
    return goods


def _kernels(session: Session, goods: _Goods, signatures: Sequence[str], maker: MicroMaker) -> list[Kernel]:
    samples = [goods.samples[signature] for signature in signatures]
    return [Kernel(kernel(session, sample), roofline_us(session, sample, maker)) for sample in samples]


def _weights(
    problem: ExtractionProblem, costs_us: list[float], drawn: Iterable[list[float]], tolerance: float
) -> dict[int, float]:
    """Return how much of the price each e-node is, where the cheapest graphs of a draw and of the medians differ.

    Args:
        problem: The e-graph; its prices do not count.
        costs_us: Prices by the medians.
        drawn: Prices by each draw.
        tolerance: Mean regret up to which nothing is returned.

    Returns:
        Shares of the graph's price, added up over the draws, by e-node.
    """
    first = frozenset(greedy_dag(replace(problem, cost_us=costs_us)).enodes)
    weights: dict[int, float] = {}
    regret, num_draws = 0.0, 0
    for draw in drawn:
        num_draws += 1
        other = frozenset(greedy_dag(replace(problem, cost_us=draw)).enodes)
        total_us = math.fsum(draw[enode] for enode in first)
        saved_us = math.fsum(draw[enode] for enode in first - other) - math.fsum(draw[enode] for enode in other - first)
        if saved_us <= 0.0 or not math.isfinite(total_us):
            continue
        regret += saved_us / total_us
        for enode in first ^ other:
            weights[enode] = weights.get(enode, 0.0) + draw[enode] / total_us
    return weights if regret > tolerance * num_draws else {}


def _most_wanted(weights: Mapping[int, float], layout: Layout, goods: _Goods, spread: Mapping[str, float]) -> list[str]:
    """Return the signatures that are most worth measuring, the best first.

    Args:
        weights: See :func:`_weights`.
        layout: Says which cluster an e-node stands for.
        goods: What has a price.
        spread: Standard deviation of the logarithm of each price that is not known.
    """
    worth: dict[str, float] = {}
    for enode, weight in weights.items():
        for index in layout.stand_ins.get(enode, (enode,)):
            signature = goods.signatures.get(layout.behind[index][1], "")
            if signature in spread:
                worth[signature] = worth.get(signature, 0.0) + weight * spread[signature]
    return sorted(worth, key=lambda signature: (-worth[signature], signature))[:BATCH]
