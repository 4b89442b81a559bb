"""A search that runs out of room starts over from the cheapest graph, and ends no dearer than it was."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from eqsat.egraph.restart import restarted
from eqsat.egraph.session import Session
from eqsat.extraction.cpsat import solve
from eqsat.extraction.greedy import greedy_dag
from eqsat.prices.problem import PricedProblem
from eqsat.search.interface import Arena, Outcome, SearchBudget, StopReason
from eqsat.search.restarts import Restarts, play_with_restarts
from eqsat.search.saturation import Saturate
from tests.pipeline import models, pricing
from tests.pipeline.fake_runtime import FakeRuntime
from tests.rl import worlds

ROOM = 8
"""E-nodes that may be added: room for two merges."""


def chain_of_merges(folder: Path) -> Arena:
    """Six blocks of which each can do with one product; there is another, useless form of each block as well."""
    arena, _ = worlds.arena_of(worlds.branch_task(folder, 6))
    return arena


def limit_of(arena: Arena) -> SearchBudget:
    return SearchBudget(max_enodes=arena.size().num_enodes + ROOM)


def exact_us(arena: Arena, outcome: Outcome) -> float:
    final = arena if outcome.session is None else replace(arena, session=outcome.session)
    return solve(final.priced().problem, time_limit_s=10.0).selection.cost_us


def test_new_starts_find_what_one_start_has_no_room_for(tmp_path: Path) -> None:
    costs = []
    for count in (0, 1, 8):
        arena = chain_of_merges(tmp_path / str(count))
        budget = limit_of(arena)
        outcome = Saturate(restarts=Restarts(count=count)).run(arena, budget)
        assert (outcome.session is None) is (count == 0)
        costs.append(exact_us(arena, outcome))
    without, one, many = costs
    assert without > one > many
    ample = chain_of_merges(tmp_path / "ample")
    assert many == pytest.approx(exact_us(ample, Saturate().run(ample, SearchBudget())))


class Recorder:
    """Saturates, and remembers each search: the e-nodes before and after, and what it was allowed."""

    def __init__(self, reason: StopReason | None = None) -> None:
        self.sizes: list[tuple[int, int]] = []
        self.budgets: list[SearchBudget] = []
        self.sessions: list[Session] = []
        self._reason = reason

    def __call__(self, arena: Arena, budget: SearchBudget) -> Outcome:
        before = arena.size().num_enodes
        outcome = Saturate().run(arena, budget)
        self.sizes.append((before, arena.size().num_enodes))
        self.budgets.append(budget)
        self.sessions.append(arena.session)
        return replace(outcome, num_steps=3, num_applied=5, stop_reason=self._reason or outcome.stop_reason)


def test_every_e_graph_keeps_the_limit_and_choices_add_up(tmp_path: Path) -> None:
    arena = chain_of_merges(tmp_path)
    budget, recorder = limit_of(arena), Recorder()
    outcome = play_with_restarts(recorder, arena, budget, Restarts())
    count = len(recorder.sizes)
    assert count > 2
    assert (outcome.num_steps, outcome.num_applied) == (3 * count, 5 * count)
    assert [each.max_steps for each in recorder.budgets] == [1_000 - 3 * number for number in range(count)]
    assert all(before < budget.max_enodes for before, _ in recorder.sizes)
    assert all(after <= budget.max_enodes + ROOM for _, after in recorder.sizes)


def test_where_nothing_was_gained_the_same_e_graph_gets_twice_the_room(tmp_path: Path) -> None:
    task = worlds.task(tmp_path, models.chain(3, "Abs"), worlds.GROW)
    arena, _ = worlds.arena_of(task)
    size = arena.size().num_enodes
    recorder = Recorder()
    outcome = play_with_restarts(recorder, arena, SearchBudget(max_enodes=10 * size), Restarts(first_growth=2.0))
    assert [each.max_enodes for each in recorder.budgets] == [2 * size, 4 * size, 8 * size, 10 * size]
    assert set(map(id, recorder.sessions)) == {id(arena.session)}
    assert (outcome.stop_reason, outcome.session) == (StopReason.ENODE_LIMIT, None)


@pytest.mark.parametrize("reason", [StopReason.NO_GAIN, StopReason.TIME_LIMIT])
def test_a_search_that_ends_by_itself_starts_over_where_it_gained(tmp_path: Path, reason: StopReason) -> None:
    arena, recorder = chain_of_merges(tmp_path), Recorder(reason)
    outcome = play_with_restarts(recorder, arena, SearchBudget(), Restarts())
    assert len(recorder.sizes) == 2, "once with a gain, once without"
    assert outcome.session is recorder.sessions[1]


def test_a_complete_e_graph_needs_no_new_start(tmp_path: Path) -> None:
    arena, recorder = chain_of_merges(tmp_path), Recorder()
    outcome = play_with_restarts(recorder, arena, SearchBudget(), Restarts())
    assert (len(recorder.sizes), outcome.session) == (1, None)


def test_time_is_shared_out(tmp_path: Path) -> None:
    arena, recorder = chain_of_merges(tmp_path), Recorder()
    budget = replace(limit_of(arena), deadline=64.0)
    play_with_restarts(recorder, arena, budget, Restarts(time_share=0.25))
    assert {each.deadline for each in recorder.budgets} == {16.0}, "the clock of this arena stands still at 0"


def test_it_ends_with_the_best_start_where_a_later_one_is_worse(tmp_path: Path) -> None:
    recorder = Recorder()
    arena = chain_of_merges(tmp_path)
    priced = arena.build_problem
    made_dearer = replace(arena, build_problem=lambda session: dearer(priced(session), len(recorder.sizes) > 1))
    outcome = play_with_restarts(recorder, made_dearer, limit_of(arena), Restarts())
    assert len(recorder.sizes) == 2
    assert outcome.session is None, "the first session had the cheaper graph"


def test_a_gain_is_judged_by_prices_as_they_are_now(tmp_path: Path) -> None:
    """Prices double each time that they are settled; what is cheaper by them is found all the same."""
    costs = []
    for factor in (1.0, 2.0):
        arena = chain_of_merges(tmp_path / str(factor))
        powers = itertools.count()

        def settle(
            session: Session, arena: Arena = arena, powers: Iterator[int] = powers, by: float = factor
        ) -> PricedProblem:
            priced, times = arena.build_problem(session), by ** next(powers)
            return replace(
                priced, problem=replace(priced.problem, cost_us=[times * us for us in priced.problem.cost_us])
            )

        outcome = Saturate(restarts=Restarts(count=8)).run(replace(arena, settle=settle), limit_of(arena))
        assert next(powers) > 2
        costs.append(exact_us(arena, outcome))
    assert costs[0] == pytest.approx(costs[1])


def test_a_gain_that_vanishes_when_the_graph_is_made_is_followed_once(tmp_path: Path) -> None:
    """The sum that keeps a normalisation from being fused is dear; elsewhere an addition looks cheap."""
    nodes = [
        models.node("Add", "x z", "s"),
        models.node("LayerNormalization", "s w b", "y"),
        models.node("Tanh", "s", "t"),
    ]
    constants = {"w": models.weights(4), "b": models.weights(4)}
    model = models.make(nodes, [("x", [2, 4]), ("z", [2, 4])], [("y", [2, 4]), ("t", [2, 4])], constants)
    there = "(rewrite (Add p q) (Sum (Cons p (Cons q (Nil)))) :when ((= (shape p) (shape q)))"
    back = "(rewrite (Sum (Cons p (Cons q (Nil)))) (Add p q)"
    rules = models.rules(f'{there} :ruleset opt :name "there")', f'{back} :ruleset opt :name "back")')
    table = {"LayerNormalization": 20.0, "Add": 3.0, "Sum": 40.0}
    by = pricing.pricer(FakeRuntime(table), tmp_path / "prices.sqlite")

    dear = [["LayerNormalization"], ["LayerNormalization", "Add"]]

    def build(session: Session) -> PricedProblem:
        priced = pricing.priced(session, by)
        cost_us = [
            200.0 if [enode.operator for enode in cluster.enodes] in dear else us
            for cluster, us in zip(priced.clusters, priced.problem.cost_us, strict=True)
        ]
        return replace(priced, problem=replace(priced.problem, cost_us=cost_us))

    session = models.session(tmp_path, model, rules)
    arena = Arena(session=session, build_problem=build, settle=build, clock=lambda: 0.0, rng=random.Random(0))
    recorder = Recorder(StopReason.NO_GAIN)
    play_with_restarts(recorder, arena, SearchBudget(max_enodes=1_000), Restarts())
    assert len(recorder.sessions) == 2
    last = arena.build_problem(recorder.sessions[-1])
    assert solve(last.problem, time_limit_s=10.0).selection.cost_us < 90.0, "it looks as cheap again"


def dearer(priced: PricedProblem, is_dearer: bool) -> PricedProblem:
    if not is_dearer:
        return priced
    problem = replace(priced.problem, cost_us=tuple(10.0 * us for us in priced.problem.cost_us))
    return replace(priced, problem=problem)


def test_a_new_session_knows_what_is_behind_it(tmp_path: Path) -> None:
    arena = chain_of_merges(tmp_path)
    Saturate().run(arena, limit_of(arena))
    priced = arena.priced()
    session = restarted(arena.session, priced.choice(greedy_dag(priced.problem)))
    assert session.behind["matmul-distributes"] >= 1
    assert not session.applied
    assert session.graph.inputs == arena.session.graph.inputs
    assert session.graph.outputs == arena.session.graph.outputs
    again = restarted(session, {handle: enodes[0] for handle, enodes in session.eclasses()})
    assert again.behind == session.behind


def test_a_rule_that_was_refused_stays_refused(tmp_path: Path) -> None:
    arena, _ = worlds.arena_of(worlds.task(tmp_path, models.chain(3), worlds.IMPOSSIBLE, worlds.ABS))
    arena.session.refused["neg-matmul"] = "its sides differ"
    priced = arena.priced()
    again = restarted(arena.session, priced.choice(greedy_dag(priced.problem)))
    assert again.refused == {"neg-matmul": "its sides differ"}
    assert {again.rule_of(each).rule.name for each in again.candidates()} == {"neg-abs"}
