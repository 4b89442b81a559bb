"""Saturation goes on to a fixed point or a limit, and shares a batch out fairly."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eqsat.egraph.session import Session
from eqsat.egraph.view import Candidate
from eqsat.prices.problem import PricedProblem
from eqsat.search.interface import Arena, SearchBudget, StopReason
from eqsat.search.saturation import Saturate, shared_out
from tests.pipeline import models

PUSH = models.rewrite("(Relu (Relu x))", "(Relu x)", "relu-twice")
FOREVER = models.rewrite("(Abs x)", "(Neg (Neg (Abs (Neg (Neg x)))))", "abs-grows")
NUM_GROWN = 5
"""E-nodes that one application of it makes."""

SHARED = models.rewrite("(Neg (Neg x))", "(Identity x)", "neg-twice")


def no_prices(_: Session) -> PricedProblem:
    raise AssertionError("saturation asks for no price")


def arena(session: Session, clock: list[float] | None = None) -> Arena:
    times = iter(clock) if clock is not None else itertools.repeat(0.0)
    return Arena(session=session, build_problem=no_prices, clock=lambda: next(times), rng=models.rng())


def test_it_ends_when_nothing_is_left(tmp_path: Path) -> None:
    session = models.session(tmp_path, models.chain(5, "Relu"), models.rules(PUSH))
    outcome = Saturate().run(arena(session), SearchBudget())
    assert outcome.stop_reason is StopReason.SATURATED
    assert outcome.num_applied >= 4
    assert not session.candidates()
    assert len({session.mirror.canonical[session.encoding.values[f"h{index}"]] for index in range(1, 5)}) == 1


def test_nothing_to_do_is_a_fixed_point_too(tmp_path: Path) -> None:
    session = models.session(tmp_path, models.chain(3, "Tanh"), models.rules(PUSH))
    outcome = Saturate().run(arena(session), SearchBudget())
    assert (outcome.stop_reason, outcome.num_steps, outcome.num_applied) == (StopReason.SATURATED, 0, 0)


def test_a_rule_that_never_ends_meets_the_step_limit(tmp_path: Path) -> None:
    session = models.session(tmp_path, models.chain(1, "Abs"), models.rules(FOREVER))
    outcome = Saturate().run(arena(session), SearchBudget(max_steps=3))
    assert (outcome.stop_reason, outcome.num_steps) == (StopReason.STEP_LIMIT, 3)


def test_a_rule_that_never_ends_meets_the_size_limit(tmp_path: Path) -> None:
    session = models.session(tmp_path, models.chain(1, "Abs"), models.rules(FOREVER))
    outcome = Saturate().run(arena(session), SearchBudget(max_enodes=40))
    assert outcome.stop_reason is StopReason.ENODE_LIMIT
    assert 40 <= session.size().num_enodes < 40 + NUM_GROWN


def test_a_limit_is_kept_where_one_rewrite_adds_much(tmp_path: Path) -> None:
    session = models.session(tmp_path, models.chain(24, "Abs"), models.rules(FOREVER))
    first = session.size().num_enodes
    Saturate().run(arena(session), SearchBudget(max_enodes=3 * first))
    assert 3 * first <= session.size().num_enodes < 3 * first + NUM_GROWN


def test_time_is_looked_at_in_every_round(tmp_path: Path) -> None:
    session = models.session(tmp_path, models.chain(1, "Abs"), models.rules(FOREVER))
    outcome = Saturate().run(arena(session, [0.0, 1.0, 2.0, 3.0]), SearchBudget(deadline=2.5))
    assert (outcome.stop_reason, outcome.num_steps) == (StopReason.TIME_LIMIT, 3)


@pytest.mark.parametrize("max_per_rule", [1, 2])
def test_no_rule_is_applied_more_often_in_a_round_than_allowed(tmp_path: Path, max_per_rule: int) -> None:
    session = models.session(tmp_path, models.chain(9, "Neg"), models.rules(SHARED))
    available = len(session.candidates())
    Saturate(max_per_rule=max_per_rule).run(arena(session), SearchBudget(max_steps=1))
    assert available > 2
    assert session.applied["neg-twice"] == max_per_rule


def test_an_explosive_rule_leaves_room_for_the_others(tmp_path: Path) -> None:
    nodes = [models.node("Neg", f"n{index}" if index else "x", f"n{index + 1}") for index in range(12)]
    nodes += [models.node("Relu", "n12", "r"), models.node("Relu", "r", "y")]
    model = models.make(nodes, [("x", [2])], [("y", [2])])
    session = models.session(tmp_path, model, models.rules(SHARED, PUSH))
    assert len(session.candidates()) > 4
    room = 3  # a union makes nothing, an Identity one e-node
    Saturate().run(arena(session), SearchBudget(max_steps=1, max_enodes=session.size().num_enodes + room))
    assert session.applied == {"neg-twice": 3, "relu-twice": 1}


def test_two_explosive_rules_share_the_room(tmp_path: Path) -> None:
    operators = ["Neg"] * 8 + ["Relu"] * 9
    names = ["x", *(f"h{index}" for index in range(1, len(operators))), "y"]
    nodes = [models.node(operator, names[index], names[index + 1]) for index, operator in enumerate(operators)]
    other = models.rewrite("(Relu (Relu x))", "(Abs x)", "relu-other")
    session = models.session(tmp_path, models.make(nodes, [("x", [2])], [("y", [2])]), models.rules(SHARED, other))
    Saturate().run(arena(session), SearchBudget(max_steps=1, max_enodes=session.size().num_enodes + 4))
    assert session.applied == {"neg-twice": 2, "relu-other": 2}


@given(rules=st.lists(st.integers(0, 4), max_size=30), max_per_rule=st.integers(1, 6))
def test_every_beginning_is_shared_out(rules: list[int], max_per_rule: int) -> None:
    candidates = [Candidate(rule, (place,)) for place, rule in enumerate(rules)]
    found = shared_out(candidates, max_per_rule)
    allowed = {rule: min(rules.count(rule), max_per_rule) for rule in set(rules)}
    assert Counter(each.rule for each in found) == allowed
    for end in range(len(found)):
        taken = Counter(each.rule for each in found[:end])
        most = max(taken.values(), default=0)
        assert all(taken[rule] >= min(most - 1, allowed[rule]) for rule in allowed)
    for rule in allowed:
        mine = [each for each in found if each.rule == rule]
        assert mine == [each for each in candidates if each.rule == rule][:max_per_rule]


def test_all_are_applied_where_there_is_room(tmp_path: Path) -> None:
    session = models.session(tmp_path, models.chain(9, "Neg"), models.rules(SHARED))
    available = len(session.candidates())
    Saturate().run(arena(session), SearchBudget(max_steps=1, max_enodes=10**6, deadline=math.inf))
    assert session.applied["neg-twice"] == available
