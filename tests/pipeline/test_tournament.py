"""Prices propose, the device decides: what is slower in a whole model goes, what is faster comes in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eqsat.egraph.build import Built
from eqsat.egraph.session import Session
from eqsat.extraction.cpsat import solve
from eqsat.pipeline.tournament import Decision, Finalist, Tournament
from eqsat.runtime import SessionSettings
from tests.pipeline import models, pricing
from tests.pipeline.fake_runtime import FakeRuntime

FLOOR = models.rewrite("(Neg x)", "(Floor x)", "neg-floor")
CEIL = models.rewrite("(Tanh x)", "(Ceil x)", "tanh-ceil")
ABS = models.rewrite("(Neg x)", "(Abs x)", "neg-abs")

Enter = Callable[..., "tuple[Tournament, Finalist | None]"]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """``Tanh(Neg(x))`` where Neg can be Floor or Abs, and Tanh can be Ceil."""
    nodes = [models.node("Neg", "x", "h"), models.node("Tanh", "h", "y")]
    model = models.make(nodes, [("x", [2, 3])], [("y", [2, 3])])
    session = models.session(tmp_path, model, models.rules(FLOOR, CEIL, ABS))
    session.apply(session.candidates())
    return session


@pytest.fixture
def enter(session: Session, tmp_path: Path) -> Enter:
    """Opens a tournament under a runtime; ``accepts`` sees the operators of a model."""

    def make(
        runtime: FakeRuntime,
        accepts: Callable[[list[str]], bool] = lambda _: True,
        known: frozenset[str] = frozenset(),
        clock: Callable[[], float] = lambda: 0.0,
        deadline: float = 100.0,
    ) -> tuple[Tournament, Finalist | None]:
        priced = pricing.priced(session, pricing.pricer(runtime, tmp_path / "db.sqlite"))
        folder = tmp_path / "scratch"
        folder.mkdir(exist_ok=True)

        def accepts_file(built: Built) -> bool:
            return accepts(models.operators(built.path))

        tournament = Tournament(
            session=session,
            priced=priced,
            runtime=runtime.as_runtime(),
            settings=SessionSettings(),
            feeds={"x": np.ones((2, 3), np.float32)},
            folder=folder,
            clock=clock,
            accepts=accepts_file,
            known_fingerprints=known,
        )
        return tournament, tournament.open(solve(priced.problem, time_limit_s=20).selection, deadline)

    return make


def files(tournament: Tournament) -> list[str]:
    return sorted(path.name for path in tournament.folder.iterdir())


def refined(tournament: Tournament, first: Finalist | None, deadline: float = 100.0) -> Finalist:
    assert first is not None
    return tournament.refine(first, deadline)


def test_the_cheapest_graph_goes_first(enter: Enter) -> None:
    _, first = enter(FakeRuntime({"Floor": 1.0, "Abs": 2.0, "Ceil": 50.0}))
    assert first is not None
    assert models.operators(first.built.path) == ["Floor", "Tanh"]
    assert first.built.origins == {"neg-floor": 1}


def test_what_is_slower_in_the_whole_model_is_left_out(enter: Enter) -> None:
    runtime = FakeRuntime({"Floor": 1.0, "Ceil": 1.0, "Abs": 99.0}, whole_us={"Floor": 90.0})
    tournament, first = enter(runtime)
    winner = refined(tournament, first)
    assert models.operators(winner.built.path) == ["Neg", "Ceil"]
    assert "neg-floor" in winner.forbidden
    assert any(each.change == "without neg-floor" and each.is_taken for each in tournament.decisions)


def test_what_is_faster_in_the_whole_model_is_taken_in(enter: Enter) -> None:
    runtime = FakeRuntime({"Floor": 12.0, "Ceil": 50.0, "Abs": 12.0}, whole_us={"Abs": 1.0})
    tournament, first = enter(runtime)
    assert first is not None
    assert models.operators(first.built.path) == ["Neg", "Tanh"]
    winner = refined(tournament, first)
    assert models.operators(winner.built.path) == ["Abs", "Tanh"]


def test_decisions_add_up(enter: Enter) -> None:
    runtime = FakeRuntime({"Floor": 12.0, "Ceil": 12.0, "Abs": 90.0}, whole_us={"Floor": 1.0, "Ceil": 1.0})
    tournament, first = enter(runtime)
    winner = refined(tournament, first)
    assert models.operators(winner.built.path) == ["Floor", "Ceil"]
    assert set(winner.favoured) == {"neg-floor", "tanh-ceil"}
    assert [each.is_taken for each in tournament.decisions].count(True) == 2


def test_the_cheapest_alternatives_are_measured_first(enter: Enter) -> None:
    tournament, first = enter(FakeRuntime({"Floor": 1.0, "Ceil": 18.0, "Abs": 5.0}))
    refined(tournament, first)
    assert [each.change for each in tournament.decisions] == ["without neg-floor", "with tanh-ceil"]


def test_what_makes_no_difference_is_not_measured(enter: Enter) -> None:
    runtime = FakeRuntime({"Floor": 10.0 - 1e-5, "Neg": 10.0, "Tanh": 1e5, "Ceil": 1e9, "Abs": 10.0})
    tournament, first = enter(runtime)
    refined(tournament, first)
    assert all(each.change == "with tanh-ceil" for each in tournament.decisions)


def test_equal_graphs_are_not_timed(enter: Enter) -> None:
    runtime = FakeRuntime({"Floor": 1.0})
    runtime.fingerprint = lambda _: "all the same"
    tournament, first = enter(runtime)
    assert refined(tournament, first) is first
    assert runtime.compared == []


def test_what_runs_like_the_input_is_not_timed(enter: Enter) -> None:
    runtime = FakeRuntime({"Floor": 1.0, "Ceil": 50.0, "Abs": 99.0})
    runtime.fingerprint = lambda model: model.graph.node[0].op_type
    settings = SessionSettings()
    tournament, first = enter(runtime, known=frozenset({f"Neg{settings.level}", f"Abs{settings.level}"}))
    refined(tournament, first)
    assert all("Neg" not in other and "Abs" not in other for _, other in runtime.compared)


def test_a_rival_that_computes_something_else_is_out(enter: Enter) -> None:
    runtime = FakeRuntime({"Floor": 1.0, "Ceil": 1.0, "Abs": 99.0}, whole_us={"Floor": 90.0})
    tournament, first = enter(runtime, accepts=lambda operators: "Neg" not in operators and "Abs" not in operators)
    assert refined(tournament, first) is first


def test_losers_leave_no_file(enter: Enter) -> None:
    runtime = FakeRuntime({"Floor": 12.0, "Ceil": 12.0, "Abs": 90.0}, whole_us={"Floor": 1.0, "Ceil": 1.0})
    tournament, first = enter(runtime)
    winner = refined(tournament, first)
    assert len(runtime.compared) >= 3
    assert files(tournament) == [winner.built.path.name]


def test_an_interval_that_touches_one_takes_only_what_is_clear(enter: Enter) -> None:
    runtime = FakeRuntime({"Floor": 1.0, "Ceil": 50.0, "Abs": 2.0}, whole_us={"Abs": 0.99}, interval=0.05)
    tournament, first = enter(runtime)
    assert refined(tournament, first) is first
    assert Decision(change="without neg-floor", speedup=1.0, is_taken=False) in tournament.decisions


def test_the_deadline_ends_it(enter: Enter) -> None:
    now = [0.0]
    runtime = FakeRuntime({"Floor": 1.0, "Ceil": 18.0, "Abs": 5.0})

    def pass_time() -> None:
        now[0] += 60.0

    runtime.on_compare = pass_time
    tournament, first = enter(runtime, clock=lambda: now[0])
    refined(tournament, first, deadline=50.0)
    assert len(tournament.decisions) == 1


# --- rules at fault -----------------------------------------------------------------------------------------------

PRICES = {"Floor": 1.0, "Ceil": 1.0, "Abs": 2.0}


def test_the_rule_at_fault_is_left_out_and_the_others_go_on(enter: Enter) -> None:
    tournament, first = enter(FakeRuntime(PRICES), accepts=lambda operators: "Ceil" not in operators)
    assert first is not None
    assert models.operators(first.built.path) == ["Floor", "Tanh"]
    assert tournament.barred == {"tanh-ceil"}
    assert files(tournament) == [first.built.path.name]


def test_a_rule_that_stands_in_for_one_at_fault_is_suspect_too(enter: Enter) -> None:
    tournament, first = enter(
        FakeRuntime(PRICES), accepts=lambda operators: not {"Floor", "Abs"}.intersection(operators)
    )
    assert first is not None
    assert models.operators(first.built.path) == ["Neg", "Ceil"]
    assert tournament.barred == {"neg-floor", "neg-abs"}


def test_a_barred_rule_does_not_come_back(enter: Enter) -> None:
    runtime = FakeRuntime(PRICES, whole_us={"Ceil": 0.0})
    tournament, first = enter(runtime, accepts=lambda operators: "Ceil" not in operators)
    refined(tournament, first)
    assert all("tanh-ceil" not in each.change for each in tournament.decisions)
    assert tournament.decisions


def test_a_graph_that_does_not_run_names_its_rule_too(enter: Enter) -> None:
    tournament, first = enter(FakeRuntime({**PRICES, "Ceil": 0.5}))
    assert first is not None
    runtime = FakeRuntime(PRICES)
    tournament, first = enter(runtime, accepts=lambda _: True)
    runtime.failing = frozenset({"Ceil"})
    first = tournament.open(first.selection, 100.0) if first is not None else None
    assert first is not None
    assert tournament.barred == {"tanh-ceil"}


def test_where_nothing_helps_there_is_no_finalist(enter: Enter) -> None:
    tournament, first = enter(FakeRuntime(PRICES), accepts=lambda _: False)
    assert first is None
    assert files(tournament) == []


def test_without_time_all_that_is_suspect_stays_out(enter: Enter) -> None:
    now = [0.0]

    def accepts(operators: list[str]) -> bool:
        now[0] += 30.0
        return "Ceil" not in operators

    tournament, first = enter(FakeRuntime(PRICES), accepts=accepts, clock=lambda: now[0], deadline=50.0)
    assert first is not None
    assert tournament.barred == {"neg-floor", "tanh-ceil"}
