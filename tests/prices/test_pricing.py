"""A price is measured once for all that looks the same, kept in the database, and assumed where time is short."""

from __future__ import annotations

import itertools
import math
import sqlite3
from pathlib import Path

import numpy as np
import onnx
import onnx.helper
import pytest

from eqsat.egraph.session import Session
from eqsat.prices.account import PriceAccount
from eqsat.prices.micro import Cluster, MicroMaker
from eqsat.prices.pricing import VIEW_US, YARDSTICK, Pricer, micro_or_price
from eqsat.prices.problem import lay_out
from eqsat.runtime import CPU_PROVIDER
from tests.pipeline import models, pricing
from tests.pipeline.fake_runtime import FakeRuntime

PRICES = {"MatMul": 90.0, "Relu": 4.0}


@pytest.fixture
def session(tmp_path: Path) -> Session:
    nodes = [
        models.node("MatMul", "x w1", "a"),
        models.node("Relu", "a", "b"),
        models.node("Reshape", "b shape", "c"),
        models.node("MatMul", "c w2", "d"),
        models.node("Own", "d", "e", domain="some.domain"),
        models.node("Relu", "e", "y"),
    ]
    constants = {
        "w1": models.weights(4, 4, seed=1),
        "w2": models.weights(4, 4, seed=2),
        "shape": np.array([2, 4], np.int64),
    }
    model = models.make(nodes, [("x", [2, 4])], [("y", [2, 4])], constants)
    model.opset_import.append(onnx.helper.make_opsetid("some.domain", 1))
    return models.session(tmp_path, model, models.rules())


def prices(session: Session, by: Pricer, deadline: float = math.inf) -> dict[str, list[float]]:
    clusters = [Cluster((enode,)) for enode in session.mirror.enodes]
    found = by.price(clusters, MicroMaker(session, {}), deadline=deadline)
    by_operator: dict[str, list[float]] = {}
    for cluster, price_us in found.items():
        by_operator.setdefault(cluster.enodes[0].operator, []).append(price_us)
    return by_operator


def account(measured: int = 0, cached: int = 0, failed: int = 0, assumed: int = 0) -> PriceAccount:
    return PriceAccount(num_measured=measured, num_cached=cached, num_failed=failed, num_assumed=assumed)


def test_what_looks_the_same_is_measured_once(session: Session, tmp_path: Path) -> None:
    runtime = FakeRuntime(PRICES)
    by = pricing.pricer(runtime, tmp_path / "db.sqlite")
    found = prices(session, by)
    assert found["MatMul"] == [90.0, 90.0]
    assert runtime.num_priced == 2
    assert by.account == account(measured=2)


def test_structure_is_free_and_views_and_opaque_nodes_have_a_flat_price(session: Session, tmp_path: Path) -> None:
    found = prices(session, pricing.pricer(FakeRuntime(), tmp_path / "db.sqlite"))
    assert found["Input"] == [0.0]
    assert set(found["Const"]) == {0.0}
    assert found["Reshape"] == [VIEW_US]
    assert found["Opaque"] == [VIEW_US]


@pytest.mark.parametrize(("limit", "is_guess"), [(4 * 4 * 4, False), (4 * 4 * 4 - 1, True)])
def test_constants_that_no_message_holds_are_priced_by_their_size(
    session: Session, monkeypatch: pytest.MonkeyPatch, limit: int, is_guess: bool
) -> None:
    monkeypatch.setattr("eqsat.prices.pricing.MAX_CONSTANT_BYTES", limit)
    (product, *_) = (each for each in session.mirror.enodes if each.operator == "MatMul")
    found = micro_or_price(Cluster((product,)), MicroMaker(session, {}))
    assert isinstance(found, float) == is_guess
    assert not is_guess or found > VIEW_US  # type: ignore[operator]


def test_an_unknown_type_has_the_flat_price(session: Session, tmp_path: Path) -> None:
    found = prices(session, pricing.pricer(FakeRuntime(PRICES), tmp_path / "db.sqlite"))
    assert sorted(found["Relu"]) == [VIEW_US, 4.0]


def test_a_second_run_measures_nothing(session: Session, tmp_path: Path) -> None:
    first, second = FakeRuntime(PRICES), FakeRuntime({"MatMul": 1.0})
    one = prices(session, pricing.pricer(first, tmp_path / "db.sqlite"))
    by = pricing.pricer(second, tmp_path / "db.sqlite")
    assert prices(session, by) == one
    assert second.num_priced == 0
    assert by.account == account(cached=2)


def test_one_pricer_asks_the_database_once(session: Session, tmp_path: Path) -> None:
    by = pricing.pricer(FakeRuntime(PRICES), tmp_path / "db.sqlite")
    prices(session, by)
    prices(session, by)
    assert by.account == account(measured=2)


def test_a_device_that_is_slow_just_now_has_the_same_prices(session: Session, tmp_path: Path) -> None:
    at_rest, busy, later = FakeRuntime(), FakeRuntime(), FakeRuntime()
    slowness = itertools.count(1)
    busy.slowness = lambda: float(next(slowness))
    expected = pricing.priced(session, pricing.pricer(at_rest, tmp_path / "one.sqlite")).problem.cost_us
    found = pricing.priced(session, pricing.pricer(busy, tmp_path / "two.sqlite")).problem.cost_us
    assert busy.num_priced == at_rest.num_priced > 1
    assert found == pytest.approx(expected)
    by = pricing.pricer(later, tmp_path / "three.sqlite")
    maker = MicroMaker(session, {})
    wanted = lay_out(session, maker, CPU_PROVIDER).wanted()
    first, *others = (each for each in wanted if not isinstance(micro_or_price(each, maker), float))
    later.slowness = lambda: 2.0
    by.price([first], maker)
    later.slowness = lambda: 3.0
    again = pricing.pricer(later, tmp_path / "three.sqlite")
    prices = again.price([first, *others], maker)
    plain = pricing.pricer(at_rest, tmp_path / "one.sqlite").price([first, *others], maker)
    assert prices == pytest.approx({cluster: 2.0 * price_us for cluster, price_us in plain.items()})


def test_after_the_deadline_sizes_decide(session: Session, tmp_path: Path) -> None:
    runtime = FakeRuntime(PRICES)
    by = pricing.pricer(runtime, tmp_path / "db.sqlite", clock=lambda: 7.0)
    found = prices(session, by, deadline=7.0)
    assert runtime.num_priced == 0
    assert by.account == account(assumed=2)
    assert 0 < min(found["Relu"]) <= VIEW_US * 2
    assert VIEW_US < found["MatMul"][0] < math.inf


def test_an_assumed_price_is_measured_when_there_is_time(session: Session, tmp_path: Path) -> None:
    runtime = FakeRuntime(PRICES)
    by = pricing.pricer(runtime, tmp_path / "db.sqlite", clock=lambda: 7.0)
    prices(session, by, deadline=7.0)
    assert prices(session, by, deadline=8.0)["MatMul"] == [90.0, 90.0]


def test_what_cannot_run_costs_infinitely_much_and_is_not_kept(session: Session, tmp_path: Path) -> None:
    by = pricing.pricer(FakeRuntime(PRICES, failing=frozenset({"MatMul"})), tmp_path / "db.sqlite")
    assert prices(session, by)["MatMul"] == [math.inf, math.inf]
    assert by.account == account(measured=1, failed=1)
    again = pricing.pricer(FakeRuntime(PRICES), tmp_path / "db.sqlite")
    assert prices(session, again)["MatMul"] == [90.0, 90.0]


def test_measuring_time_is_counted(session: Session, tmp_path: Path) -> None:
    ticks = itertools.count()
    by = pricing.pricer(FakeRuntime(PRICES), tmp_path / "db.sqlite", clock=lambda: float(next(ticks)))
    prices(session, by)
    assert by.measuring_s == 2.0
    prices(session, by)
    assert by.measuring_s == 2.0


def test_progress_counts_distinct_prices(session: Session, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    by = pricing.pricer(FakeRuntime(PRICES), tmp_path / "db.sqlite")
    clusters = [Cluster((enode,)) for enode in session.mirror.enodes]
    by.price(clusters, MicroMaker(session, {}), on_progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 2), (1, 2)]


@pytest.mark.parametrize("stored_us", [0.0, 1e-5, 1e4, 1e12])
def test_a_yardstick_of_another_device_is_forgotten(session: Session, tmp_path: Path, stored_us: float) -> None:
    path = tmp_path / "db.sqlite"
    prices(session, pricing.pricer(FakeRuntime(PRICES), path))
    for statement in ("DELETE FROM prices WHERE signature <> ?", "UPDATE prices SET latency_us = ?"):
        with sqlite3.connect(path) as connection:
            connection.execute(statement, (YARDSTICK if "DELETE" in statement else stored_us,))
        connection.close()
    for _ in range(2):
        assert prices(session, pricing.pricer(FakeRuntime(PRICES), path))["MatMul"] == [90.0, 90.0]
