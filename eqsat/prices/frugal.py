"""Prices an e-graph and measures no more than the answer depends on.

Most prices of an e-graph decide nothing: what they belong to is far too dear, or is in every cheap graph. Which they
are, is asked of what is believed (:mod:`eqsat.prices.beliefs`): prices are drawn together from the belief, some times,
and for each draw the cheapest graph is extracted (posterior sampling, Thompson 1933). Where it is cheaper than the
graph that is cheapest by the medians, that one is regretted, and the prices in which the two differ are worth
measuring: the more, the more uncertain and the larger they are. It ends where the mean regret is small (the expected
opportunity cost; Chick and Inoue 2001). As in the lazy search of shortest paths (Dellin and Srinivasa 2016), what is
not on the way of any good answer is never looked at. What is known of other models is learnt from first, and of
another device before that (:mod:`eqsat.prices.reference`).
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol, final

import numpy as np

from eqsat.extraction.cpsat import solve
from eqsat.extraction.greedy import greedy_dag
from eqsat.prices.beliefs import Beliefs, Kernel, Posterior
from eqsat.prices.pricing import micro_or_price
from eqsat.prices.problem import lay_out
from eqsat.prices.roofline import kernel, roofline_us

if TYPE_CHECKING:
    from eqsat.egraph.session import Session
    from eqsat.extraction.problem import ExtractionProblem, Selection
    from eqsat.prices.micro import Cluster, MicroMaker
    from eqsat.prices.problem import Layout, PricedProblem

TOLERANCE: Final = 2e-3
"""Regret, as a share of the price of the graph, at which nothing more is measured."""

_MIN_SEEN: Final = 8
"""Prices that tell how long one takes; the first takes longer than others."""

Extract = Callable[["ExtractionProblem"], "Selection"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """How it is asked what is worth measuring.

    Attributes:
        extract: Finds the cheapest graph of a draw.
        num_draws: Draws for each question.
        num_rounds: Questions, at most.
        batch: Prices measured between two questions.
    """

    extract: Extract
    num_draws: int
    num_rounds: int
    batch: int


def _exactly(problem: ExtractionProblem) -> Selection:
    return solve(problem, time_limit_s=_SOLVE_S, work_limit=_SOLVE_WORK, hint=greedy_dag(problem)).selection


_SOLVE_S: Final = 1.0
_SOLVE_WORK: Final = 0.5

_STAGES: Final = (
    _Stage(extract=greedy_dag, num_draws=16, num_rounds=1_000, batch=2),
    _Stage(extract=_exactly, num_draws=4, num_rounds=3, batch=4),
)
"""The greedy extraction is quick, but does not see what pays only where several e-classes take it; the exact one does
that."""


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

    def measure(self, session: Session, cluster: Cluster, maker: MicroMaker) -> float:
        """Return the price of a cluster in microseconds, infinite where it cannot run.

        Args:
            session: Where its e-nodes come from.
            cluster: Any.
            maker: Makes its micro-model.
        """
        ...

    def describe(self, kernels: Mapping[str, Kernel]) -> None:
        """Remember what prices are of, so that those of other models can be learnt from.

        Args:
            kernels: By signature, of prices that are known.
        """
        ...

    def others(self, names: Collection[str]) -> Mapping[str, tuple[Kernel, float]]:
        """Return prices of other models, in microseconds, and what they are of, by signature.

        Args:
            names: Names of the kernels that are of interest.
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

    def __init__(  # noqa: PLR0913  # one keyword for each setting
        self,
        meter: Meter,
        *,
        reference: Iterable[tuple[Kernel, float]] = (),
        patience_s: float = 0.0,
        seed: int = 0,
        tolerance: float = TOLERANCE,
        is_late: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        on_progress: Callable[[int, int], None] = lambda _done, _total: None,
        on_question: Callable[[Layout, ExtractionProblem], None] = lambda _layout, _problem: None,
    ) -> None:
        """Measure nothing yet.

        Args:
            meter: Measures.
            reference: Prices in microseconds on the device of reference, and what they are of.
            patience_s: Seconds: where measuring everything takes no longer, everything is measured, needed or not.
            seed: Seed of every draw.
            tolerance: Regret, as a share of the price of the graph, at which nothing more is measured.
            is_late: Whether nothing more may be measured.
            clock: Seconds on a clock that only goes forward.
            on_progress: Is told how many of how many distinct prices are known.
            on_question: Is told the e-graph with its prices as they are believed now, each time before it is asked what
                is worth measuring.
        """
        self.num_believed = 0
        self._meter = meter
        self._patience_s = patience_s
        self._rng = np.random.default_rng(seed)
        self._tolerance = tolerance
        self._is_late = is_late
        self._clock = clock
        self._on_progress = on_progress
        self._on_question = on_question
        self._beliefs = Beliefs(reference)
        self._kernels: dict[str, Kernel] = {}
        self._known: dict[str, float] = {}
        self._studied: set[str] = set()
        self._seconds: list[float] = []

    def price(self, session: Session, clusters: Sequence[Cluster], maker: MicroMaker) -> dict[Cluster, float]:
        """Return the price of each cluster in microseconds, believed where it is neither known nor quickly measured.

        Args:
            session: Where the e-nodes come from.
            clusters: What to price.
            maker: Knows the sizes.
        """
        return self._priced(self._offered(session, clusters, maker))

    def problem(self, session: Session, maker: MicroMaker, provider: str) -> PricedProblem:
        """Return a session with prices, see :meth:`price`.

        Args:
            session: The e-graph.
            maker: Knows the sizes.
            provider: Whose fusions count.
        """
        layout = lay_out(session, maker, provider)
        return layout.priced(self.price(session, layout.wanted(), maker))

    def settle(self, session: Session, maker: MicroMaker, provider: str) -> PricedProblem:
        """Return a session with prices, of which those are measured that its cheapest graph depends on.

        Args:
            session: The e-graph.
            maker: Knows the sizes.
            provider: Whose fusions count.
        """
        layout = lay_out(session, maker, provider)
        goods = self._offered(session, layout.wanted(), maker)
        found, num_open = layout.priced(self._priced(goods)), len(self._missing(goods))
        for stage in _STAGES:
            for _ in range(stage.num_rounds):
                asked = [] if self._is_late() else self._needed(layout, found.problem, goods, stage)
                if not asked:
                    break
                self._measure(session, goods, asked, maker)
        self.num_believed = len(self._missing(goods))
        if self.num_believed == num_open:
            return found
        return replace(found, problem=replace(found.problem, cost_us=layout.costs_us(self._priced(goods))))

    def _offered(self, session: Session, clusters: Sequence[Cluster], maker: MicroMaker) -> _Goods:
        """Return what has a price, with those prices learnt that are known or quickly measured."""
        goods = _goods(clusters, maker)
        for signature in self._missing(goods):
            if signature not in self._kernels:
                sample = goods.samples[signature]
                self._kernels[signature] = Kernel(kernel(session, sample), roofline_us(session, sample, maker))
        self._look_up(session, goods, maker)
        self._measure_what_is_cheap(session, goods, maker)
        return goods

    def _needed(self, layout: Layout, problem: ExtractionProblem, goods: _Goods, stage: _Stage) -> list[str]:
        """Return signatures that are worth measuring, the best first."""
        missing = self._missing(goods)
        if not missing:
            return []
        posterior = self._believed(missing)
        costs_us, *drawn = (
            layout.costs_us(self._prices(goods, dict(zip(missing, prices, strict=True))))
            for prices in (posterior.medians_us(), *posterior.drawn_us(stage.num_draws, self._rng))
        )
        believed = replace(problem, cost_us=costs_us)
        self._on_question(layout, believed)
        weights = _weights(believed, drawn, self._tolerance, stage.extract)
        spread = dict(zip(missing, posterior.stds(), strict=True))
        return _most_wanted(weights, layout, goods, spread)[: stage.batch]

    def _measure_what_is_cheap(self, session: Session, goods: _Goods, maker: MicroMaker) -> None:
        """Measure everything, as long as that seems to take no longer than patience lasts."""
        while (missing := self._missing(goods)) and not self._is_late():
            each_s = statistics.median(self._seconds) if len(self._seconds) >= _MIN_SEEN else 0.0
            if math.fsum(self._seconds) + each_s * len(missing) >= self._patience_s:
                return
            self._measure(session, goods, missing[:1], maker)

    def _priced(self, goods: _Goods) -> dict[Cluster, float]:
        """Return the price of every cluster, believed where it is not known."""
        missing = self._missing(goods)
        if not missing:
            return self._prices(goods, {})
        medians = self._believed(missing).medians_us()
        return self._prices(goods, dict(zip(missing, medians.tolist(), strict=True)))

    def _believed(self, signatures: Sequence[str]) -> Posterior:
        """Return what is believed of prices that are not known, learning first what those of other models say."""
        kernels = [self._kernels[signature] for signature in signatures]
        names = {kernel.name for kernel in kernels} - self._studied
        if names:
            self._studied |= names
            for signature, (kernel, price_us) in self._meter.others(names).items():
                self._beliefs.observe(signature, kernel, price_us)
        return self._beliefs.about(kernels)

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
        self._learn({samples[cluster]: price_us for cluster, price_us in known.items()})

    def _measure(self, session: Session, goods: _Goods, signatures: Sequence[str], maker: MicroMaker) -> None:
        for signature in signatures:
            if self._is_late():
                return
            sample, began = goods.samples[signature], self._clock()
            price_us = self._meter.measure(session, sample, maker)
            self._seconds.append(self._clock() - began)
            self._learn({signature: price_us})
        total = len(goods.samples)
        self._on_progress(total - len(self._missing(goods)), total)

    def _learn(self, prices: Mapping[str, float]) -> None:
        self._known |= prices
        for signature, price_us in prices.items():
            self._beliefs.observe(signature, self._kernels[signature], price_us)
        if prices:
            self._meter.describe({signature: self._kernels[signature] for signature in prices})


def _goods(clusters: Sequence[Cluster], maker: MicroMaker) -> _Goods:
    goods = _Goods()
    for cluster in clusters:
        micro = micro_or_price(cluster, maker)
        if isinstance(micro, float):
            goods.flat[cluster] = micro
        else:
            goods.signatures[cluster] = micro.signature
            goods.samples.setdefault(micro.signature, cluster)
    return goods


def _weights(
    problem: ExtractionProblem,
    drawn: Sequence[list[float]],
    tolerance: float,
    extract: Extract,
) -> dict[int, float]:
    """Return how much of the price each e-node is, where the cheapest graphs of a draw and of the medians differ.

    Args:
        problem: The e-graph with the medians.
        drawn: Prices by each draw.
        tolerance: Mean regret up to which nothing is returned.
        extract: Finds cheap graphs.

    Returns:
        Shares of the graph's price, added up over the draws, by e-node.
    """
    first = extract(problem).enodes
    weights: dict[int, float] = {}
    regret = 0.0
    for draw in drawn:
        other = extract(replace(problem, cost_us=draw)).enodes
        total_us = math.fsum(draw[enode] for enode in first)
        saved_us = math.fsum(draw[enode] for enode in first - other) - math.fsum(draw[enode] for enode in other - first)
        if saved_us <= 0.0 or not math.isfinite(total_us):
            continue
        regret += saved_us / total_us
        for enode in first ^ other:
            weights[enode] = weights.get(enode, 0.0) + draw[enode] / total_us
    return weights if regret > tolerance * len(drawn) else {}


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
    return sorted(worth, key=lambda signature: (-worth[signature], signature))
