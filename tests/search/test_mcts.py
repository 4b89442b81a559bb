"""Tree search finds orders that pay late, comes back from every simulation, and repeats itself for a seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from eqsat.egraph.session import Session
from eqsat.search.interface import Arena, SearchBudget, StopReason
from eqsat.search.mcts import ActionKind, Mcts, TreeNode, uct
from tests.pipeline import models

GOOD = models.rewrite("(Neg x)", "(Abs x)", "a-good")
FIRST = models.rewrite("(Neg x)", "(Ceil x)", "b-first")
SECOND = models.rewrite("(Ceil x)", "(Floor x)", "c-second")
THIRD = models.rewrite("(Floor x)", "(Sign x)", "d-third")
PRICES = {"Neg": 100.0, "Abs": 90.0, "Ceil": 300.0, "Floor": 300.0, "Sign": 1.0}
QUICK = Mcts(num_simulations=12, max_rollout=4)


def state(session: Session) -> tuple[object, ...]:
    return (
        list(session.candidates()),
        dict(session.mirror.enodes),
        list(session.mirror.canonical),
        dict(session.applied),
        session.size(),
    )


@pytest.mark.parametrize("actions", ActionKind)
def test_an_order_that_pays_late_is_found(
    tmp_path: Path, make_arena: Callable[..., Arena], actions: ActionKind
) -> None:
    session = models.session(tmp_path, models.chain(1), models.rules(GOOD, FIRST, SECOND, THIRD))
    arena = make_arena(session, PRICES)
    outcome = Mcts(num_simulations=12, max_rollout=4, actions=actions).run(arena, SearchBudget())
    assert outcome.stop_reason in {StopReason.NO_GAIN, StopReason.SATURATED}
    assert arena.cost_us() == 1.0
    assert {"b-first", "c-second", "d-third"} <= set(session.applied)


def test_simulations_leave_no_trace(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    session = models.session(tmp_path, models.chain(2), models.rules(FIRST, SECOND))
    before = state(session)
    outcome = QUICK.run(make_arena(session, PRICES), SearchBudget())
    assert (outcome.stop_reason, outcome.num_steps) == (StopReason.NO_GAIN, 0)
    assert state(session) == before


def test_one_seed_gives_one_search(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    def applied(seed: int) -> list[str]:
        messages: list[str] = []
        session = models.session(tmp_path, models.chain(2), models.rules(GOOD, FIRST, SECOND, THIRD))
        arena = make_arena(session, PRICES, seed=seed)
        told = Arena(
            session=session,
            build_problem=arena.build_problem,
            clock=arena.clock,
            rng=arena.rng,
            on_progress=messages.append,
        )
        Mcts(num_simulations=1, max_rollout=1).run(told, SearchBudget())
        return messages

    found = [applied(seed) for seed in range(6)]
    assert [applied(seed) for seed in range(6)] == found
    assert len({tuple(each) for each in found}) > 1


def test_an_action_applies_one_rule_everywhere(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    session = models.session(tmp_path, models.chain(5), models.rules(GOOD))
    outcome = QUICK.run(make_arena(session, PRICES), SearchBudget())
    assert (outcome.num_steps, outcome.num_applied) == (1, 5)
    assert outcome.stop_reason is StopReason.SATURATED


def test_an_action_applies_one_group_where_asked_for(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    session = models.session(tmp_path, models.chain(5), models.rules(GOOD))
    outcome = Mcts(num_simulations=12, actions=ActionKind.GROUP).run(make_arena(session, PRICES), SearchBudget())
    assert outcome.num_steps > 1
    assert outcome.num_applied == 5


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        (SearchBudget(max_enodes=1), StopReason.ENODE_LIMIT),
        (SearchBudget(max_steps=0), StopReason.STEP_LIMIT),
        (SearchBudget(deadline=0.0), StopReason.TIME_LIMIT),
    ],
)
def test_limits_end_it(
    tmp_path: Path, make_arena: Callable[..., Arena], budget: SearchBudget, reason: StopReason
) -> None:
    session = models.session(tmp_path, models.chain(1), models.rules(GOOD))
    outcome = QUICK.run(make_arena(session, PRICES), budget)
    assert (outcome.stop_reason, outcome.num_applied) == (reason, 0)


def test_the_deadline_is_looked_at_between_simulations(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    session = models.session(tmp_path, models.chain(1), models.rules(FIRST))
    arena = make_arena(session, PRICES, times=[0.0, 0.0, 9.0, 9.0, 9.0, 9.0])
    assert QUICK.run(arena, SearchBudget(deadline=5.0)).stop_reason is StopReason.TIME_LIMIT


def test_where_time_ends_the_whole_way_to_the_best_result_is_taken(
    tmp_path: Path, make_arena: Callable[..., Arena]
) -> None:
    session = models.session(tmp_path, models.chain(1), models.rules(FIRST, SECOND, THIRD))
    arena = make_arena(session, PRICES, times=[float(second) for second in range(1_000)])
    outcome = Mcts(num_simulations=10_000).run(arena, SearchBudget(deadline=500.0))
    assert (outcome.stop_reason, outcome.num_steps) == (StopReason.TIME_LIMIT, 3)
    assert arena.clock() < 510.0
    assert arena.cost_us() == 1.0


def test_the_size_limit_bounds_what_an_action_applies(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    session = models.session(tmp_path, models.chain(30), models.rules(GOOD))
    limit = session.size().num_enodes + 10
    outcome = QUICK.run(make_arena(session, PRICES), SearchBudget(max_enodes=limit))
    assert outcome.stop_reason is StopReason.ENODE_LIMIT
    assert session.size().num_enodes == limit, "each application makes one e-node"


def test_uct_is_the_mean_and_a_bonus_for_what_is_new() -> None:
    seldom, often = TreeNode(), TreeNode()
    seldom.add(0.2)
    for _ in range(9):
        often.add(0.2)
    assert uct(often, 10, 0.4, 0.0) == pytest.approx(0.5)
    assert uct(seldom, 10, 0.4, 2.0) == pytest.approx(0.5 + 2 * math.sqrt(math.log(10)))
    assert uct(seldom, 10, 0.4, 2.0) > uct(often, 10, 0.4, 2.0)
    assert uct(seldom, 10, 0.0, 0.0) == 0.0
    assert (often.num_visits, often.best) == (9, 0.2)
