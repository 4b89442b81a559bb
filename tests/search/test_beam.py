"""Beam search goes uphill as far as it is told, and applies what the cheapest graphs use."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from eqsat.search.beam import Beam
from eqsat.search.greedy import Greedy
from eqsat.search.interface import Arena, SearchBudget, StopReason
from tests.pipeline import models

GOOD = models.rewrite("(Neg x)", "(Abs x)", "a-good")
WORSE = models.rewrite("(Neg x)", "(Ceil x)", "b-worse")
SECOND = models.rewrite("(Ceil x)", "(Sign x)", "c-second")
LOOP = models.rewrite("(Neg x)", "(Neg (Identity x))", "d-loop")
PRICES = {"Neg": 100.0, "Abs": 90.0, "Ceil": 104.0, "Sign": 1.0, "Identity": 3.0}


@pytest.mark.parametrize(("alpha", "finds"), [(1.0, False), (1.02, False), (1.05, True)])
def test_a_gain_that_needs_two_steps(
    tmp_path: Path, make_arena: Callable[..., Arena], alpha: float, finds: bool
) -> None:
    session = models.session(tmp_path, models.chain(1), models.rules(WORSE, SECOND))
    arena = make_arena(session, PRICES)
    outcome = Beam(alpha=alpha).run(arena, SearchBudget())
    assert outcome.stop_reason is StopReason.NO_GAIN
    assert outcome.num_applied == (2 if finds else 0)
    assert arena.cost_us() == (1.0 if finds else 100.0)


def test_it_finds_what_greedy_search_cannot(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    costs = []
    for search in (Greedy(), Beam()):
        session = models.session(tmp_path, models.chain(1), models.rules(GOOD, WORSE, SECOND))
        arena = make_arena(session, PRICES)
        search.run(arena, SearchBudget())
        costs.append(arena.cost_us())
    assert costs == [90.0, 1.0]


def test_alpha_counts_from_the_best_graph(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    session = models.session(tmp_path, models.chain(1), models.rules(GOOD, WORSE, SECOND))
    arena = make_arena(session, PRICES)
    Beam(width=1).run(arena, SearchBudget())
    assert session.applied == {"a-good": 1}, "104 is within 5 % of 100 and not of 90"


def test_the_cheapest_groups_come_first(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    session = models.session(tmp_path, models.chain(1), models.rules(WORSE, GOOD))
    outcome = Beam(width=1, alpha=2.0).run(make_arena(session, PRICES), SearchBudget(max_steps=1))
    assert (outcome.stop_reason, outcome.num_steps) == (StopReason.STEP_LIMIT, 1)
    assert session.applied == {"a-good": 1}


@pytest.mark.parametrize(("width", "num_rounds"), [(1, 2), (2, 1)])
def test_a_round_applies_as_many_groups_as_are_asked_for(
    tmp_path: Path, make_arena: Callable[..., Arena], width: int, num_rounds: int
) -> None:
    session = models.session(tmp_path, models.chain(1), models.rules(GOOD, WORSE))
    arena = make_arena(session, PRICES)
    messages: list[str] = []
    told = Arena(
        session=session,
        build_problem=arena.build_problem,
        clock=arena.clock,
        rng=arena.rng,
        on_progress=messages.append,
    )
    outcome = Beam(alpha=2.0, width=width).run(told, SearchBudget())
    assert (outcome.num_steps, len(messages)) == (2, num_rounds)


def test_what_only_leads_back_is_not_worth_having(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    around = models.rewrite("(Neg x)", "(Abs (Neg x))", "e-around")
    session = models.session(tmp_path, models.chain(1), models.rules(around))
    outcome = Beam(alpha=1e6).run(make_arena(session, PRICES), SearchBudget(max_steps=3))
    assert (outcome.stop_reason, outcome.num_applied) == (StopReason.NO_GAIN, 0)


def test_a_rule_without_end_meets_the_size_limit(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    session = models.session(tmp_path, models.chain(1), models.rules(LOOP))
    outcome = Beam(alpha=math.inf).run(make_arena(session, PRICES), SearchBudget(max_enodes=12, max_steps=50))
    assert outcome.stop_reason is StopReason.ENODE_LIMIT
    assert session.size().num_enodes >= 12


def test_the_deadline_ends_it(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    session = models.session(tmp_path, models.chain(1), models.rules(GOOD))
    outcome = Beam().run(make_arena(session, PRICES, times=[0.0, 9.0, 9.0]), SearchBudget(deadline=5.0))
    assert (outcome.stop_reason, outcome.num_applied) == (StopReason.TIME_LIMIT, 0)


def test_a_fused_pair_does_not_hide_what_a_rewrite_costs(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    nodes = [models.node("Conv", "x w", "c"), models.node("Relu", "c", "y")]
    model = models.make(nodes, [("x", [1, 2, 3, 3])], [("y", [1, 2, 3, 3])], {"w": models.weights(2, 2, 1, 1)})
    slow = models.rewrite("(Conv x w b a)", "(Conv (Ceil x) w b a)", "f-slow")
    session = models.session(tmp_path, model, models.rules(slow))
    outcome = Beam().run(make_arena(session, {"Conv": 100.0, "Relu": 10.0, "Ceil": 50.0}), SearchBudget(max_steps=1))
    assert (outcome.stop_reason, outcome.num_applied) == (StopReason.NO_GAIN, 0)
