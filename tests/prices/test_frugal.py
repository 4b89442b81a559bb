"""Prices on which the cheapest graph depends are measured, others are not, and the graph is about as cheap."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from typing_extensions import override

from eqsat.egraph.session import Session
from eqsat.extraction.greedy import greedy_dag
from eqsat.extraction.problem import select
from eqsat.prices.beliefs import Kernel
from eqsat.prices.frugal import Frugal, Meter
from eqsat.prices.micro import Cluster, MicroMaker
from eqsat.prices.problem import PricedProblem, lay_out
from eqsat.runtime import CPU_PROVIDER
from tests.pipeline import models, pricing
from tests.pipeline.fake_runtime import FakeRuntime

OPERATORS = ("Neg", "Abs", "Sigmoid", "Tanh", "Sqrt", "Exp")
NUM_VALUES = 8


class Table(Meter):
    """A device three times as slow as the roofline, each operator by a factor of its own, and what was measured on it.

    Attributes:
        asked: Signatures, in the order in which they were measured.
        failing: Operators that cannot run.
        free: Operators whose prices are known.
        elsewhere: Prices of other models, and what they are of, by signature.
        described: What is known of measured prices, by signature.
        studied: Names of kernels of which prices of other models were asked for.
    """

    def __init__(
        self, seed: int = 0, *, failing: frozenset[str] = frozenset(), free: frozenset[str] = frozenset()
    ) -> None:
        self.asked: list[str] = []
        self.failing = failing
        self.free = free
        self.elsewhere: dict[str, tuple[Kernel, float]] = {}
        self.described: dict[str, Kernel] = {}
        self.studied: list[str] = []
        self._seed = seed

    def price_us(self, cluster: Cluster, maker: MicroMaker) -> float:
        operator, micro = cluster.enodes[0].operator, maker.micro(cluster)
        if operator in self.failing:
            return math.inf
        factor, own = (
            np.random.default_rng([self._seed, *text.encode()]).standard_normal()
            for text in (operator, micro.signature)
        )
        num_elements = sum(math.prod(type_.shape) for type_ in micro.inputs.values())
        return float(3.0 * (1.0 + num_elements / 1000.0) * math.exp(0.6 * factor + 0.1 * own))

    @override
    def known(self, session: Session, clusters: Sequence[Cluster], maker: MicroMaker) -> Mapping[Cluster, float]:
        return {each: self.price_us(each, maker) for each in clusters if each.enodes[0].operator in self.free}

    @override
    def measure(self, session: Session, cluster: Cluster, maker: MicroMaker) -> float:
        self.asked.append(maker.micro(cluster).signature)
        return self.price_us(cluster, maker)

    @override
    def describe(self, kernels: Mapping[str, Kernel]) -> None:
        self.described |= kernels

    @override
    def others(self, names: Collection[str]) -> Mapping[str, tuple[Kernel, float]]:
        self.studied += names
        return {signature: told for signature, told in self.elsewhere.items() if told[0].name in names}


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """Some values, for each of which any operator will do: a choice of its own each, at a size of its own."""
    nodes = [models.node("Neg", f"x{number}", f"y{number}") for number in range(NUM_VALUES)]
    values = [(f"x{number}", [8, 2 ** (number + 3)]) for number in range(NUM_VALUES)]
    outputs = [(f"y{number}", shape) for number, (_, shape) in enumerate(values)]
    rules = [models.rewrite("(Neg x)", f"({each} x)", each.lower()) for each in OPERATORS[1:]]
    made = models.session(tmp_path, models.make(nodes, values, outputs), models.rules(*rules))
    for candidate in made.candidates():
        made.apply([candidate])
    return made


def settled(session: Session, meter: Table, **options: float) -> PricedProblem:
    return Frugal(meter, **options).settle(session, MicroMaker(session, {}), CPU_PROVIDER)  # type: ignore[arg-type]


def true_us(session: Session, meter: Table, chosen: PricedProblem | None) -> float:
    """What the graph that was chosen costs by the true prices; the cheapest one where none was."""
    maker = MicroMaker(session, {})
    layout = lay_out(session, maker, CPU_PROVIDER)
    true = layout.priced({each: meter.price_us(each, maker) for each in layout.wanted()}).problem
    if chosen is None:
        return greedy_dag(true).cost_us
    return select(true, greedy_dag(chosen.problem).choice).cost_us


def test_a_good_graph_is_found_with_some_of_the_prices(session: Session) -> None:
    regrets, shares = [], []
    for seed in range(10):
        meter = Table(seed)
        found = settled(session, meter)
        regrets.append(true_us(session, meter, found) / true_us(session, meter, None) - 1.0)
        assert len(set(meter.asked)) == len(meter.asked)
        shares.append(len(meter.asked) / (NUM_VALUES * len(OPERATORS)))
    assert np.mean(regrets) < 0.05
    assert np.mean(shares) < 0.8
    assert min(regrets) >= -1e-9


def test_prices_of_reference_save_measurements(session: Session) -> None:
    """Another device on which operators compare as on this one, ten times as slow, at other sizes."""
    maker = MicroMaker(session, {})
    counts: dict[bool, list[int]] = {True: [], False: []}
    regrets = []
    for seed in range(6):
        measured = Table(seed)
        settled(session, measured, patience_s=math.inf)
        prices = {
            maker.micro(each).signature: measured.price_us(each, maker)
            for each in lay_out(session, maker, CPU_PROVIDER).wanted()
        }
        reference = [
            (Kernel(kernel.name, 1.3 * kernel.roofline_us), 13.0 * prices[name])
            for name, kernel in measured.described.items()
        ]
        for has_reference, nums in counts.items():
            meter = Table(seed)
            frugal = Frugal(meter, reference=reference if has_reference else [])
            found = frugal.settle(session, maker, CPU_PROVIDER)
            nums.append(len(meter.asked))
            regrets.append(true_us(session, meter, found) / true_us(session, meter, None) - 1.0)
    assert sum(counts[True]) < 0.9 * sum(counts[False])
    assert np.mean(regrets) < 0.05


def test_less_is_measured_where_more_may_be_regretted(session: Session) -> None:
    counts = []
    for tolerance in (1e-3, 1e-2, 1e-1, 10.0):
        meter = Table()
        settled(session, meter, tolerance=tolerance)
        counts.append(len(meter.asked))
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] == 0


def test_nothing_is_measured_where_there_is_no_choice(tmp_path: Path) -> None:
    alone = models.session(tmp_path, models.chain(5), models.rules())
    meter = Table()
    found = settled(alone, meter)
    assert not meter.asked
    assert found.problem.cost_us


def test_what_cannot_run_is_not_chosen_however_cheap_it_looked(session: Session) -> None:
    meter = Table(failing=frozenset({"Abs", "Sigmoid", "Tanh", "Sqrt"}))
    found = settled(session, meter)
    assert math.isfinite(true_us(session, meter, found))


def test_prices_that_are_known_are_not_measured(session: Session) -> None:
    meter = Table(free=frozenset(OPERATORS))
    found = settled(session, meter)
    assert not meter.asked
    assert true_us(session, meter, found) == pytest.approx(true_us(session, meter, None))
    assert greedy_dag(found.problem).cost_us == pytest.approx(true_us(session, meter, None))


def test_a_search_sees_beliefs_and_measures_nothing(session: Session) -> None:
    meter = Table()
    frugal = Frugal(meter)
    maker = MicroMaker(session, {})
    believed = frugal.problem(session, maker, CPU_PROVIDER)
    assert not meter.asked
    assert all(0.0 <= price < math.inf for price in believed.problem.cost_us)
    late = Frugal(meter, is_late=lambda: True).settle(session, maker, CPU_PROVIDER)
    assert late.problem.cost_us == believed.problem.cost_us
    assert not meter.asked
    frugal.settle(session, maker, CPU_PROVIDER)
    assert meter.asked
    after = frugal.problem(session, maker, CPU_PROVIDER)
    assert after.problem.cost_us != believed.problem.cost_us
    wanted = lay_out(session, maker, CPU_PROVIDER).wanted()
    measured = [each for each in wanted if maker.micro(each).signature in meter.asked]
    assert frugal.price(session, measured, maker) == {each: meter.price_us(each, maker) for each in measured}


@pytest.mark.parametrize("price_s", [0.1, 10.0])
def test_what_is_quickly_measured_is_measured_needed_or_not(session: Session, price_s: float) -> None:
    meter, maker = Table(), MicroMaker(session, {})
    frugal = Frugal(meter, patience_s=6.0, clock=lambda: price_s * len(meter.asked))
    frugal.problem(session, maker, CPU_PROVIDER)
    total = NUM_VALUES * len(OPERATORS)
    assert len(meter.asked) == (total if price_s * total < 6.0 else 1)
    frugal.settle(session, maker, CPU_PROVIDER)
    assert frugal.num_believed == total - len(meter.asked)


def test_everything_is_measured_by_who_has_no_hurry(session: Session) -> None:
    meter = Table()
    found = settled(session, meter, patience_s=math.inf)
    assert len(meter.asked) == NUM_VALUES * len(OPERATORS)
    assert greedy_dag(found.problem).cost_us == pytest.approx(true_us(session, meter, None))


def test_equal_seeds_measure_the_same(session: Session) -> None:
    first, second, other = Table(), Table(), Table()
    settled(session, first, seed=3)
    settled(session, second, seed=3)
    settled(session, other, seed=4)
    assert first.asked == second.asked != other.asked


def test_less_is_measured_where_other_models_were_and_the_graph_is_as_good(session: Session) -> None:
    nums, regrets = [], []
    for seed in range(5):
        first, second = Table(seed), Table(seed)
        settled(session, first, patience_s=math.inf)
        maker = MicroMaker(session, {})
        prices = {
            maker.micro(each).signature: first.price_us(each, maker)
            for each in lay_out(session, maker, CPU_PROVIDER).wanted()
        }
        told = {f"other {name}": (kernel, 1.02 * prices[name]) for name, kernel in first.described.items()}
        second.elsewhere = told
        alone = Table(seed)
        settled(session, alone)
        found = settled(session, second)
        assert set(second.studied) == {kernel.name for kernel in first.described.values()}
        assert len(set(second.studied)) == len(second.studied), "asked for once"
        assert set(second.described) == set(second.asked)
        nums.append((len(second.asked), len(alone.asked)))
        regrets.append(true_us(session, second, found) / true_us(session, second, None) - 1.0)
    assert sum(few for few, _ in nums) < 0.7 * sum(many for _, many in nums)
    assert np.mean(regrets) < 0.05


def test_a_pricer_tells_the_next_model_what_this_one_cost(session: Session, tmp_path: Path) -> None:
    maker, runtime = MicroMaker(session, {}), FakeRuntime()
    by = pricing.pricer(runtime, tmp_path / "db.sqlite")
    wanted = lay_out(session, maker, CPU_PROVIDER).wanted()
    prices = {maker.micro(each).signature: us for each, us in by.price(wanted, maker).items()}
    assert not by.others(["Neg"])
    by.describe({signature: Kernel("Neg", 3.0) for signature in list(prices)[:2]})
    again = pricing.pricer(FakeRuntime(), tmp_path / "db.sqlite")
    assert again.others(["Neg", "Abs"]) == {name: (Kernel("Neg", 3.0), prices[name]) for name in list(prices)[:2]}


def test_what_was_not_measured_is_counted_and_told(session: Session) -> None:
    meter, told = Table(), list[tuple[int, int]]()
    frugal = Frugal(meter, on_progress=lambda *at: told.append(at))
    frugal.settle(session, MicroMaker(session, {}), CPU_PROVIDER)
    total = NUM_VALUES * len(OPERATORS)
    assert frugal.num_believed == total - len(meter.asked)
    assert told[-1] == (len(meter.asked), total)


def test_every_question_is_told_with_the_prices_as_they_are_believed_then(session: Session) -> None:
    meter, maker, told = Table(), MicroMaker(session, {}), list[tuple[int, Sequence[float]]]()
    frugal = Frugal(meter, on_question=lambda _, problem: told.append((len(meter.asked), problem.cost_us)))
    believed = frugal.problem(session, maker, CPU_PROVIDER).problem.cost_us
    settled = frugal.settle(session, maker, CPU_PROVIDER)
    nums = [num for num, _ in told]
    assert nums == sorted(nums)
    assert (nums[0], nums[-1]) == (0, len(meter.asked))
    assert told[0][1] == pytest.approx(believed)
    assert told[-1][1] == pytest.approx(settled.problem.cost_us)


def test_a_layout_with_prices_is_the_problem_that_is_built_at_once(session: Session, tmp_path: Path) -> None:
    prices = {name: float(number + 1) for number, name in enumerate(OPERATORS)}
    by = pricing.pricer(FakeRuntime(prices), tmp_path / "db.sqlite")
    layout = lay_out(session, MicroMaker(session, {}), CPU_PROVIDER)
    wanted = by.price(layout.wanted(), MicroMaker(session, {}))
    assert layout.priced(wanted) == pricing.priced(session, by)
    assert by.known(layout.wanted(), MicroMaker(session, {})) == wanted


def test_a_new_pricer_knows_what_the_database_knows(session: Session, tmp_path: Path) -> None:
    wanted = lay_out(session, MicroMaker(session, {}), CPU_PROVIDER).wanted()
    by = pricing.pricer(FakeRuntime(), tmp_path / "db.sqlite")
    assert not by.known(wanted, MicroMaker(session, {}))
    by.price(wanted[:2], MicroMaker(session, {}))
    runtime = FakeRuntime()
    again = pricing.pricer(runtime, tmp_path / "db.sqlite")
    assert list(again.known(wanted, MicroMaker(session, {}))) == wanted[:2]
    assert not runtime.num_priced
