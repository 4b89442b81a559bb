"""Contenders get equal budgets and pay for what they ask; what is said of them follows from what they found."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typing_extensions import override

from eqsat.egraph.session import Session
from eqsat.errors import UsageError
from eqsat.prices.micro import Cluster, MicroMaker
from eqsat.search.mcts import Mcts
from rl import evaluate
from rl.agent.checkpoint import Checkpoint, save
from rl.agent.network import Network, NetworkConfig
from rl.agent.statistics import FeatureStatistics
from rl.comparison.attempts import Attempt, Limits, Moment
from rl.comparison.baselines import BASELINES, baselines
from rl.comparison.command import policies
from rl.comparison.contenders import STOPPED, PolicyContender
from rl.comparison.contest import Comparison, compare, document
from rl.comparison.ledger import Ledger, PriceBook, clock_without_measuring
from rl.comparison.summary import Interval, gain_table, median_gains, standings, table
from rl.env.prices import PriceSource, TablePrices
from rl.env.tasks import Task
from tests.rl.worlds import branch_task, chain_task

SMALL = NetworkConfig(hidden=16, embedding=8, num_rounds=1)


class Counted(PriceSource):
    """The table, and a count of what it was asked."""

    def __init__(self) -> None:
        self.num_asked = 0

    @override
    def price(self, session: Session, clusters: Sequence[Cluster], maker: MicroMaker) -> Mapping[Cluster, float]:
        self.num_asked += len(clusters)
        return TablePrices().price(session, clusters, maker)


class Flat(PriceSource):
    """Every price is the same."""

    def __init__(self, price_us: float) -> None:
        self.price_us = price_us

    @override
    def price(self, session: Session, clusters: Sequence[Cluster], maker: MicroMaker) -> Mapping[Cluster, float]:
        return dict.fromkeys(clusters, self.price_us)


def attempt(contender: str, task: str, cost_us: float, *, seed: int = 0, initial_us: float = 100.0) -> Attempt:
    return Attempt(
        contender=contender,
        task=task,
        seed=seed,
        initial_us=initial_us,
        cost_us=cost_us,
        search_s=2.0,
        extract_s=1.0,
        num_measurements=7,
        num_enodes=40,
        num_steps=3,
        stop_reason="saturated",
    )


def checkpoint(config: NetworkConfig = SMALL) -> Checkpoint:
    """A network whose last layers are undecided."""
    torch.manual_seed(0)
    return Checkpoint.of(Network(config), FeatureStatistics.nothing())


def clusters(task: Task) -> tuple[Session, list[Cluster], MicroMaker]:
    session = Session(task.graph, task.rules)
    found = [Cluster((enode,)) for _, members in session.eclasses() for enode in members]
    return session, found, MicroMaker(session, task.sizes)


# --- prices ---------------------------------------------------------------------------------------------------


def test_a_price_is_asked_of_its_source_once_and_counts_for_every_attempt(tmp_path: Path) -> None:
    source = Counted()
    book = PriceBook(source=source)
    task = branch_task(tmp_path)
    session, found, maker = clusters(task)
    first, second = Ledger(book), Ledger(book)
    one = first.price(session, found, maker)
    num_asked = source.num_asked
    two = second.price(session, found, maker)
    assert source.num_asked == num_asked == len(book.known) == len(first.asked) == len(second.asked)
    assert one == two
    plain = TablePrices().price(session, found, maker)
    priced = [cluster for cluster in found if cluster.enodes[0].operator in {"MatMul", "Add", "Relu"}]
    assert len(priced) > num_asked
    assert all(one[cluster] == plain[cluster] for cluster in priced)


def test_beyond_the_allowance_the_fallback_prices_and_what_was_asked_keeps_its_price(tmp_path: Path) -> None:
    book = PriceBook(source=TablePrices())
    session, found, maker = clusters(branch_task(tmp_path))
    ledger = Ledger(book, allowance=2, fallback=Flat(1234.5))
    first = ledger.price(session, found, maker)
    assert len(ledger.asked) == len(book.known) == 2
    assert 1234.5 in first.values()
    assert ledger.price(session, found, maker) == first


def test_a_ledger_tells_of_other_models_what_its_own_does_not_have(tmp_path: Path) -> None:
    task = branch_task(tmp_path)
    book, other = PriceBook(source=TablePrices()), PriceBook(source=TablePrices())
    session, found, maker = clusters(task)
    Ledger(book).price(session, found, maker)
    described = book.described()
    assert set(described) == set(book.known)
    assert all(kernel.roofline_us == price_us for kernel, price_us in described.values()), "the table is the roofline"
    names = {kernel.name for kernel, _ in described.values()}
    other.others = described
    assert Ledger(other).others(names) == described
    assert not Ledger(other).others(["Neg"])
    known = next(iter(described))
    other.known[known] = 1.0
    assert set(Ledger(other).others(names)) == set(described) - {known}


def test_a_book_is_the_same_after_a_way_through_a_file(tmp_path: Path) -> None:
    book = PriceBook(source=TablePrices(), known={"a": 1.5, "b": math.inf})
    book.save(tmp_path / "deep" / "prices.json")
    other = PriceBook(source=TablePrices(), known={"c": 2.0})
    other.load(tmp_path / "deep" / "prices.json")
    other.load(tmp_path / "nothing.json")
    assert other.known == {"a": 1.5, "b": math.inf, "c": 2.0}


def test_the_clock_stands_still_while_prices_are_measured() -> None:
    book = PriceBook(source=TablePrices())
    clock = clock_without_measuring(book, lambda: 10.0)
    assert clock() == 10.0
    book.measuring_s = 4.0
    assert clock() == 6.0


# --- attempts -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return branch_task(tmp_path_factory.mktemp("task"))


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_finds_what_there_is_to_find(task: Task, name: str) -> None:
    (contender,) = baselines(TablePrices(), [name])
    if name == "mcts":
        contender = replace(contender, search=Mcts(num_simulations=8))
    found = contender.attempt(task, PriceBook(source=TablePrices()), Limits(max_steps=20), 0)
    assert found.contender == name
    assert found.task == task.name
    assert 0 < found.cost_us < found.initial_us
    assert found.gain == pytest.approx(1 - found.cost_us / found.initial_us)
    assert found.num_measurements > 0
    assert found.num_steps > 0
    assert found.seconds == found.search_s + found.extract_s


def test_an_allowance_of_measurements_holds_and_the_result_is_priced_in_full(task: Task) -> None:
    (contender,) = baselines(Flat(1.0), ["saturate"])
    free = contender.attempt(task, PriceBook(source=TablePrices()), Limits(), 0)
    bound = contender.attempt(task, PriceBook(source=TablePrices()), Limits(max_measurements=1), 0)
    assert bound.num_measurements == 1
    assert bound.initial_us == free.initial_us
    assert bound.cost_us >= free.cost_us


@pytest.mark.parametrize("name", ["saturate", "ppo"])
def test_what_measures_what_is_needed_measures_less_and_is_judged_by_the_true_prices(task: Task, name: str) -> None:
    every, needed = baselines(TablePrices(), [name, f"{name}:prices=needed"])
    book = PriceBook(source=TablePrices())
    whole = every.attempt(task, book, Limits(), 0)
    part = needed.attempt(task, book, Limits(), 0)
    assert needed.is_random
    assert part.num_measurements < whole.num_measurements
    assert part.initial_us == whole.initial_us
    assert whole.cost_us <= part.cost_us < 1.1 * whole.cost_us
    held = needed.attempt(task, book, Limits(max_measurements=1), 0)
    assert held.num_measurements <= 1


def test_what_would_have_come_of_a_search_is_told_on_the_way_and_changes_nothing(task: Task) -> None:
    (contender,) = baselines(TablePrices(), ["ppo:prices=needed"])
    times, told = itertools.count(), list[Moment]()
    seen = replace(contender, clock=lambda: float(next(times)), on_moment=told.append)
    unseen = replace(contender, clock=lambda: 0.0)
    one, other = (each.attempt(task, PriceBook(source=TablePrices()), Limits(), 0) for each in (seen, unseen))
    assert replace(one, search_s=0.0, extract_s=0.0) == replace(other, search_s=0.0, extract_s=0.0)
    assert len(told) > 1
    for name in ("num_steps", "num_measurements"):
        values = [getattr(moment, name) for moment in (*told, one)]
        assert values == sorted(values)
    assert 0.0 < told[0].seconds < one.seconds
    assert told[0].num_measurements == 0 < one.num_measurements
    assert told[-1].num_measurements == one.num_measurements
    assert told[-1].cost_us == one.cost_us


def test_a_search_that_comes_too_late_changes_nothing(task: Task) -> None:
    (contender,) = baselines(TablePrices(), ["saturate"])
    times = itertools.count()
    late = replace(contender, clock=lambda: float(next(times)))
    found = late.attempt(task, PriceBook(source=TablePrices()), Limits(max_seconds=1.0), 0)
    assert found.stop_reason == "time_limit"
    assert found.cost_us == found.initial_us


def test_a_result_that_is_dearer_gains_nothing() -> None:
    assert attempt("a", "t", 120.0).gain == 0.0
    assert attempt("a", "t", 75.0).gain == 0.25


def test_a_policy_plays_the_same_again_and_within_its_limits(task: Task) -> None:
    contender = PolicyContender(name="agent", checkpoint=checkpoint(), fallback=TablePrices(), clock=lambda: 0.0)
    limits = Limits(max_steps=4)
    book = PriceBook(source=TablePrices(), clock=lambda: 0.0)
    one, two = (contender.attempt(task, book, limits, seed) for seed in (0, 0))
    assert one == two
    assert not contender.is_random
    assert one.num_steps <= 4
    assert one.stop_reason in {STOPPED, "step_limit"}
    assert one.cost_us <= one.initial_us


def test_room_is_a_multiple_of_the_models_own_size_for_searches_and_policies(task: Task) -> None:
    saturate = baselines(TablePrices(), ["saturate"])[0]
    policy = PolicyContender(name="agent", checkpoint=checkpoint(), fallback=TablePrices())
    scarce, ample = Limits(max_steps=20, growth=1.0), Limits(max_steps=20, growth=100.0)
    for contender in (saturate, policy):
        tight, wide = (contender.attempt(task, PriceBook(source=TablePrices()), each, 0) for each in (scarce, ample))
        assert tight.num_enodes < wide.num_enodes
        assert tight.stop_reason == "enode_limit"


def test_of_several_episodes_the_best_one_counts(task: Task) -> None:
    book = PriceBook(source=TablePrices())
    single, many = (
        PolicyContender(
            name="agent", checkpoint=checkpoint(), num_episodes=count, fallback=TablePrices(), clock=lambda: 0.0
        )
        for count in (1, 6)
    )
    limits = Limits(max_steps=6)
    first, best = single.attempt(task, book, limits, 1), many.attempt(task, book, limits, 1)
    assert many.is_random
    assert best.cost_us <= first.cost_us
    assert best.num_steps > first.num_steps
    assert best.cost_us < best.initial_us


def test_a_policy_without_time_left_still_gives_a_result(task: Task) -> None:
    times = itertools.count()
    contender = PolicyContender(
        name="agent",
        checkpoint=checkpoint(),
        num_episodes=3,
        fallback=TablePrices(),
        clock=lambda: float(next(times)),
    )
    found = contender.attempt(task, PriceBook(source=TablePrices()), Limits(max_seconds=1.0), 0)
    assert found.stop_reason == "time_limit"
    assert found.num_steps == 0
    assert found.cost_us == found.initial_us


def test_a_policy_needs_an_episode() -> None:
    with pytest.raises(ValueError, match="0 episodes"):
        PolicyContender(name="agent", checkpoint=checkpoint(), num_episodes=0, fallback=TablePrices())


def test_only_what_draws_is_tried_with_every_seed(tmp_path: Path) -> None:
    tasks = [
        (chain_task(tmp_path / "chain"), PriceBook(source=TablePrices())),
        (branch_task(tmp_path / "branches"), PriceBook(source=TablePrices())),
    ]
    found = compare(tasks, baselines(TablePrices(), ["random", "saturate"]), Limits(max_steps=3), num_seeds=3)
    assert [(each.task, each.contender, each.seed) for each in found] == [
        (task.name, name, seed)
        for task, _ in tasks
        for name, seed in [*(("random", i) for i in range(3)), ("saturate", 0)]
    ]


# --- what is said of them -------------------------------------------------------------------------------------


def test_a_median_and_its_interval() -> None:
    gains = [0.1, 0.2, 0.3, 0.4, 0.5]
    attempts = [attempt("a", "t", 100 * (1 - gain), seed=seed) for seed, gain in enumerate(gains)]
    interval = median_gains(attempts)["t"]["a"]
    assert interval.middle == pytest.approx(0.3)
    assert 0.099 < interval.low < 0.25
    assert 0.35 < interval.high < 0.501
    single = median_gains(attempts[:1])["t"]["a"]
    assert single.low == single.middle == single.high


def test_an_interval_holds_95_percent_of_the_resamples() -> None:
    interval = Interval.of(0.5, np.linspace(0.0, 1.0, 1001))
    assert (interval.low, interval.high) == pytest.approx((0.025, 0.975))


def test_standings_are_geometric_means_and_shares_of_the_best() -> None:
    attempts = [
        *(attempt("agent", name, cost) for name, cost in (("one", 50.0), ("two", 80.0), ("three", 100.0))),
        *(attempt("saturate", name, cost) for name, cost in (("one", 80.0), ("two", 50.0), ("three", 100.0))),
        *(attempt("random", name, cost) for name, cost in (("one", 100.0), ("two", 100.0), ("three", 130.0))),
    ]
    found = {each.contender: each for each in standings(attempts)}
    speedup = (2.0 * 1.25 * 1.0) ** (1 / 3)
    best = (2.0 * 2.0 * 1.0) ** (1 / 3)
    assert found["agent"].speedup.middle == pytest.approx(speedup)
    assert found["agent"].share_of_best.middle == pytest.approx((speedup - 1) / (best - 1))
    assert (found["agent"].num_best, found["agent"].num_better, found["agent"].num_worse) == (2, 1, 1)
    assert found["random"].speedup.middle == 1.0
    assert (found["random"].num_best, found["random"].num_better, found["random"].num_worse) == (1, 0, 2)
    assert found["agent"].seconds == 3.0
    assert [each.contender for each in standings(attempts)][-1] == "random"


def test_a_graph_known_from_elsewhere_makes_every_share_smaller() -> None:
    attempts = [attempt("saturate", "t", 80.0)]
    (alone,), (beside,) = standings(attempts), standings(attempts, best_us={"t": 50.0})
    assert alone.share_of_best.middle == 1.0
    assert beside.share_of_best.middle == pytest.approx(0.25)
    assert (alone.num_best, beside.num_best) == (1, 0)


def test_where_nothing_can_be_gained_everybody_has_it_all() -> None:
    (only,) = standings([attempt("saturate", "t", 100.0)])
    assert only.share_of_best.middle == 1.0
    assert only.num_best == 1


def test_a_contender_that_left_out_a_task_has_no_standing() -> None:
    with pytest.raises(ValueError, match="b did not try two"):
        standings([attempt("a", "one", 50.0), attempt("b", "one", 50.0), attempt("a", "two", 50.0)])


def test_a_graph_that_costs_nothing_has_a_finite_standing() -> None:
    (only,) = standings([attempt("saturate", "t", 0.0)])
    assert only.speedup.middle == pytest.approx(1000.0)


def test_tables_name_everybody_and_every_task() -> None:
    attempts = [attempt("agent", "one", 50.0), attempt("saturate", "one", 100.0)]
    assert "2.0000" in table(standings(attempts))
    assert all(name in gain_table(attempts) for name in ("agent", "saturate", "one", "50.0%"))


def test_a_document_is_json_without_infinities() -> None:
    comparison = Comparison(limits=Limits(), attempts=[attempt("saturate", "t", 50.0)], best_us={})
    text = json.dumps(document([comparison], reference="saturate", notes={"tasks": ["t"]}), allow_nan=False)
    (only,) = json.loads(text)["comparisons"]
    assert only["limits"]["max_seconds"] is None
    assert only["median_gains"]["t"]["saturate"]["middle"] == 0.5
    assert only["attempts"][0]["cost_us"] == 50.0


# --- the command ----------------------------------------------------------------------------------------------


@pytest.fixture
def tiny_tasks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tasks = [(chain_task(tmp_path / "chain"), PriceBook(source=TablePrices()))]
    monkeypatch.setattr(evaluate, "small_tasks", lambda split, count: tasks)


@pytest.mark.usefixtures("tiny_tasks")
def test_the_command_writes_a_document_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(checkpoint(), tmp_path / "policy")
    flags = ["--policies", f"mine={tmp_path / 'policy'}", "--searches", "saturate,random", "--seeds", "2"]
    flags += ["--max-steps", "3", "--seconds", "5", "--measurements", "2"]
    flags += ["--json", str(tmp_path / "out.json"), "--plot", str(tmp_path / "out.html")]
    assert evaluate.main(flags) == 0
    written = json.loads((tmp_path / "out.json").read_text())
    assert [each["limits"]["max_measurements"] for each in written["comparisons"]] == [None, 2]
    contenders = {each["contender"] for each in written["comparisons"][0]["standings"]}
    assert contenders == {"mine", "saturate", "random"}
    assert "Gain by task, 2000 e-nodes, 5 s" in (tmp_path / "out.html").read_text()
    assert "mine" in capsys.readouterr().out


@pytest.mark.usefixtures("tiny_tasks")
def test_a_policy_can_act_as_the_search_of_a_run_does(tmp_path: Path) -> None:
    save(checkpoint(), tmp_path / "policy")
    flags = ["--policies", str(tmp_path / "policy"), "--searches", "saturate", "--width", "3"]
    flags += ["--json", str(tmp_path / "out.json")]
    assert evaluate.main(flags) == 0
    (only,) = json.loads((tmp_path / "out.json").read_text())["comparisons"]
    reasons = {each["contender"]: each["stop_reason"] for each in only["attempts"]}
    assert reasons["policy"] in {"saturated", "no_gain"}
    assert set(reasons) == {"policy", "saturate"}


@pytest.mark.usefixtures("tiny_tasks")
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--policies", "none", "--searches", "psychic"], "there is no search 'psychic'"),
        (["--policies", "none", "--searches", ""], "nobody takes part"),
        (["--policies", "none", "--searches", "greedy,greedy"], "two contenders have one name"),
        (["--policies", "mine=/nowhere"], "no policy that can be read"),
        (["/nowhere/model.onnx"], "model.onnx"),
    ],
)
def test_a_wrong_flag_is_said_in_one_line(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main(flags) == 2
    out = capsys.readouterr().out
    assert said in out
    assert out.count("\n") == 1


def test_policies_are_named_by_their_folders_where_no_name_is_given(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save(checkpoint(), tmp_path / name)
    assert list(policies(f"{tmp_path / 'one'},other={tmp_path / 'two'}")) == ["one", "other"]
    assert policies("none") == {}


def test_a_shipped_policy_that_is_not_there_is_an_error_only_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Checkpoint:
        raise UsageError("there is none")

    monkeypatch.setattr("rl.comparison.command.shipped", missing)
    assert policies("") == {}
    with pytest.raises(UsageError, match="there is none"):
        policies("shipped")
