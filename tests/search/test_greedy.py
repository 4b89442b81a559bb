"""Greedy search takes what helps most at once, leaves no trace of what it only tried, and never goes uphill."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from eqsat.egraph.session import Session
from eqsat.search.greedy import Greedy
from eqsat.search.interface import Arena, SearchBudget, StopReason
from tests.pipeline import models

GOOD = models.rewrite("(Neg x)", "(Abs x)", "a-good")
BETTER = models.rewrite("(Neg x)", "(Floor x)", "b-better")
WORSE = models.rewrite("(Neg x)", "(Ceil x)", "c-worse")
PRICES = {"Neg": 100.0, "Abs": 60.0, "Floor": 50.0, "Ceil": 150.0}


def state(session: Session) -> tuple[object, ...]:
    return (
        list(session.candidates()),
        dict(session.mirror.enodes),
        list(session.mirror.types),
        list(session.mirror.canonical),
        dict(session.mirror.origins),
        {handle: list(members) for handle, members in session.eclasses()},
        session.constants(),
        session.size(),
        dict(session.applied),
    )


def test_the_best_goes_first_and_it_stops_without_gain(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    session = models.session(tmp_path, models.chain(1), models.rules(GOOD, BETTER, WORSE))
    outcome = Greedy().run(make_arena(session, PRICES), SearchBudget())
    assert (outcome.stop_reason, outcome.num_steps, outcome.num_applied) == (StopReason.NO_GAIN, 1, 1)
    assert session.applied == {"b-better": 1}


def test_equal_places_are_taken_together(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    nodes = [models.node("Tanh", "x", "t")]
    for index in range(4):
        nodes += [models.node("Neg", f"t{index}" if index else "t", f"n{index}")]
        nodes += [models.node("Tanh", f"n{index}", f"t{index + 1}" if index < 3 else "y")]
    model = models.make(nodes, [("x", [2, 3])], [("y", [2, 3])])
    session = models.session(tmp_path, model, models.rules(BETTER))
    outcome = Greedy().run(make_arena(session, PRICES), SearchBudget())
    assert outcome.num_applied == 4
    assert outcome.num_steps < 4


def test_a_gain_that_needs_two_steps_is_not_found(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    second = models.rewrite("(Ceil x)", "(Sign x)", "d-second")
    session = models.session(tmp_path, models.chain(1), models.rules(WORSE, second))
    outcome = Greedy().run(make_arena(session, {**PRICES, "Sign": 1.0}), SearchBudget())
    assert (outcome.stop_reason, outcome.num_applied) == (StopReason.NO_GAIN, 0)


def test_a_gain_too_small_does_not_count(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    session = models.session(tmp_path, models.chain(1), models.rules(BETTER))
    outcome = Greedy(min_gain=0.6).run(make_arena(session, PRICES), SearchBudget())
    assert (outcome.stop_reason, outcome.num_applied) == (StopReason.NO_GAIN, 0)


def test_trying_leaves_no_trace(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    fold = models.rewrite("(Neg (Neg x))", "(Identity x)", "e-merges")
    session = models.session(tmp_path, models.chain(4), models.rules(WORSE, fold))
    before = state(session)
    dear = {**PRICES, "Identity": 10_000.0}
    outcome = Greedy(min_gain=0.99).run(make_arena(session, dear), SearchBudget())
    assert outcome.stop_reason is StopReason.NO_GAIN
    assert state(session) == before
    session.apply(session.candidates())
    assert session.size().num_enodes > 6


@pytest.mark.parametrize(
    ("times", "num_applied"),
    [
        pytest.param([9.0, 9.0], 0, id="before the first step"),
        pytest.param([0.0, 0.0, 9.0, 9.0], 1, id="after one group was tried"),
    ],
)
def test_the_deadline_ends_it(
    tmp_path: Path, make_arena: Callable[..., Arena], times: list[float], num_applied: int
) -> None:
    session = models.session(tmp_path, models.chain(1), models.rules(GOOD, BETTER))
    outcome = Greedy().run(make_arena(session, PRICES, times=[*times, 9.0]), SearchBudget(deadline=5.0))
    assert (outcome.stop_reason, outcome.num_applied) == (StopReason.TIME_LIMIT, num_applied)


def test_the_size_limit_ends_it(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    session = models.session(tmp_path, models.chain(1), models.rules(GOOD))
    outcome = Greedy().run(make_arena(session, PRICES), SearchBudget(max_enodes=1))
    assert (outcome.stop_reason, outcome.num_applied) == (StopReason.ENODE_LIMIT, 0)
