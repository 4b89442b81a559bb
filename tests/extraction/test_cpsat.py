"""The exact extractor finds the optimum, proves it, and never loses to its hint."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqsat.extraction import cpsat
from eqsat.extraction.cpsat import ExtractionStatus, solve
from eqsat.extraction.greedy import greedy_dag
from eqsat.extraction.problem import ExtractionProblem, NoSelectionError, dag_cost_us, forbid, select

LIMIT_S = 20.0


def merge_pays(num_outputs: int, merged_us: float) -> ExtractionProblem:
    """Return products of one input for 10 us each, or all of them for ``merged_us`` in one, each cut out for 1 us."""
    root = num_outputs + 1
    return ExtractionProblem(
        node_class=[0, *range(1, root), *range(1, root), root],
        children=[(), *[()] * num_outputs, *[(0,)] * num_outputs, tuple(range(1, root))],
        cost_us=[merged_us, *[10.0] * num_outputs, *[1.0] * num_outputs, 1.0],
        num_classes=root + 1,
        roots=(root,),
    )


def ring(size: int) -> ExtractionProblem:
    """Return a ring of e-classes, all of them roots: 1 us from the next one, far more from nothing."""
    return ExtractionProblem(
        node_class=[*range(size), *range(size)],
        children=[*[((index + 1) % size,) for index in range(size)], *[()] * size],
        cost_us=[*[1.0] * size, *[10.0 * size] * size],
        num_classes=size,
        roots=tuple(range(size)),
    )


@pytest.mark.parametrize("num_relaxed_rounds", [0, 4])
@settings(max_examples=80, deadline=None, derandomize=True)
@given(data=st.data())
def test_small_problems_are_solved_to_the_optimum(
    num_relaxed_rounds: int,
    data: st.DataObject,
    small_problems: st.SearchStrategy[ExtractionProblem],
    cheapest: Callable[[ExtractionProblem], float],
) -> None:
    problem = data.draw(small_problems)
    optimum_us = cheapest(problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpsat, "_MAX_RELAXED_ROUNDS", num_relaxed_rounds)
        if optimum_us == math.inf:
            with pytest.raises(NoSelectionError):
                solve(problem, time_limit_s=LIMIT_S)
            return
        hint = greedy_dag(problem)
        result = solve(problem, time_limit_s=LIMIT_S, hint=hint)
    assert result.status is ExtractionStatus.OPTIMAL
    assert result.selection.cost_us == pytest.approx(optimum_us)
    assert result.selection.cost_us <= hint.cost_us
    assert result.selection.cost_us == dag_cost_us(problem, result.selection.choice)
    assert result.bound_us <= optimum_us + 1e-9
    assert result.gap == pytest.approx(0.0, abs=1e-6)


def test_a_merge_is_seen_that_pays_only_when_every_output_uses_it() -> None:
    problem = merge_pays(3, merged_us=12.0)
    assert greedy_dag(problem).cost_us == 31.0
    assert solve(problem, time_limit_s=LIMIT_S).selection.cost_us == 16.0


def test_a_merge_that_does_not_pay_is_left() -> None:
    result = solve(merge_pays(3, merged_us=28.0), time_limit_s=LIMIT_S)
    assert result.selection.enodes == {1, 2, 3, 7}


@pytest.mark.parametrize("num_relaxed_rounds", [0, 1, 4])
@pytest.mark.parametrize("size", [2, 3, 7])
def test_a_ring_is_broken_once(size: int, num_relaxed_rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpsat, "_MAX_RELAXED_ROUNDS", num_relaxed_rounds)
    result = solve(ring(size), time_limit_s=LIMIT_S)
    assert result.status is ExtractionStatus.OPTIMAL
    assert result.selection.cost_us == 10.0 * size + size - 1


def test_equal_prices_go_to_fewer_enodes() -> None:
    # The root costs 4: as one operator, or as two on a merged product (2 + 1 + 1), or as two alone (2 + 2).
    problem = ExtractionProblem(
        node_class=[0, 1, 2, 3, 3, 3, 4, 5],
        children=[(), (0,), (0,), (1, 2), (4, 5), (), (), ()],
        cost_us=[2.0, 1.0, 1.0, 0.0, 0.0, 4.0, 2.0, 2.0],
        num_classes=6,
        roots=(3,),
    )
    assert solve(problem, time_limit_s=LIMIT_S).selection.choice == {3: 5}
    without_the_leaf = solve(forbid(problem, {5}), time_limit_s=LIMIT_S)
    assert without_the_leaf.selection.enodes == {4, 6, 7}


def test_prices_of_very_different_size_are_told_apart() -> None:
    # 1e-3 us on top of 1e5 us decides; a price of 1e30 us does no harm.
    problem = ExtractionProblem(
        node_class=[0, 0, 0, 1, 2],
        children=[(1,), (2,), (), (), ()],
        cost_us=[1.002, 1.0, 1e30, 1e5, 1e5 + 0.001],
        num_classes=3,
        roots=(0,),
    )
    result = solve(problem, time_limit_s=LIMIT_S)
    assert result.selection.enodes == {1, 4}


def test_the_fixture_has_its_known_optimum(merged_blocks: ExtractionProblem) -> None:
    result = solve(merged_blocks, time_limit_s=LIMIT_S)
    assert greedy_dag(merged_blocks).cost_us == pytest.approx(210.978)
    assert result.selection.cost_us == pytest.approx(152.32)  # found as well by HiGHS on another formulation
    assert result.status is ExtractionStatus.OPTIMAL
    assert result.bound_us == pytest.approx(152.32, rel=1e-6)


def test_the_same_arguments_give_the_same_selection(merged_blocks: ExtractionProblem) -> None:
    first, second = (solve(merged_blocks, time_limit_s=LIMIT_S, seed=7).selection for _ in range(2))
    assert list(first.choice.items()) == list(second.choice.items())


@pytest.mark.parametrize(("time_limit_s", "work_limit"), [(0.0, math.inf), (LIMIT_S, 0.0)])
def test_a_limit_leaves_the_start(time_limit_s: float, work_limit: float, merged_blocks: ExtractionProblem) -> None:
    result = solve(merged_blocks, time_limit_s=time_limit_s, work_limit=work_limit)
    assert result.status is ExtractionStatus.HINT_ONLY
    assert result.selection.cost_us == pytest.approx(210.978)
    assert result.bound_us <= 152.32
    assert result.gap > 0
    assert result.num_rounds == 0


def test_a_better_hint_than_the_greedy_choice_is_kept(merged_blocks: ExtractionProblem) -> None:
    best = solve(merged_blocks, time_limit_s=LIMIT_S).selection
    result = solve(merged_blocks, time_limit_s=0.0, hint=best)
    assert result.status is ExtractionStatus.HINT_ONLY
    assert result.selection.cost_us == pytest.approx(best.cost_us)


def test_a_hint_that_is_not_allowed_is_refused() -> None:
    problem = merge_pays(2, merged_us=3.0)
    merged = select(problem, {0: 0, 1: 3, 2: 4, 3: 5})
    with pytest.raises(ValueError, match="the hint takes an e-node that may not be chosen"):
        solve(forbid(problem, {0}), time_limit_s=LIMIT_S, hint=merged)


def test_a_hint_is_priced_anew() -> None:
    problem = merge_pays(2, merged_us=3.0)
    hint = select(problem, {0: 0, 1: 3, 2: 4, 3: 5})
    dearer = solve(merge_pays(2, merged_us=30.0), time_limit_s=0.0, hint=hint)
    assert dearer.selection.cost_us == 21.0


def test_what_has_one_way_only_needs_no_solver() -> None:
    problem = ExtractionProblem(node_class=[0, 1], children=[(), (0,)], cost_us=[2.0, 3.0], num_classes=2, roots=(1,))
    result = solve(problem, time_limit_s=0.0)
    assert (result.status, result.bound_us, result.num_rounds) == (ExtractionStatus.OPTIMAL, 5.0, 0)


def test_what_is_free_costs_nothing() -> None:
    problem = ExtractionProblem(node_class=[0, 0], children=[(), ()], cost_us=[0.0, 1.0], num_classes=1, roots=(0,))
    result = solve(problem, time_limit_s=LIMIT_S)
    assert (result.status, result.selection.cost_us, result.gap) == (ExtractionStatus.OPTIMAL, 0.0, 0.0)


def test_the_solver_is_not_loaded_before_it_is_needed() -> None:
    code = "import sys, eqsat.extraction.diverse; sys.exit('ortools' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_public_acyclic_resnet_is_solved(load_tensat: Callable[[str], ExtractionProblem]) -> None:
    result = solve(load_tensat("resnet50_acyclic"), time_limit_s=LIMIT_S)
    assert result.status is ExtractionStatus.OPTIMAL
    assert result.selection.cost_us == pytest.approx(4.4160, abs=1e-4)


@pytest.mark.parametrize(("name", "greedy"), [("vgg", 4.8508), ("resnet50", 4.3969), ("bert", 0.8247)])
def test_public_cyclic_egraphs_are_no_dearer_than_greedy(
    name: str, greedy: float, load_tensat: Callable[[str], ExtractionProblem]
) -> None:
    problem = load_tensat(name)
    result = solve(problem, time_limit_s=1.5)
    assert result.selection.cost_us <= greedy + 1e-4
    assert result.selection.cost_us == dag_cost_us(problem, result.selection.choice)
    assert 0 <= result.bound_us <= result.selection.cost_us


@pytest.mark.slow
def test_public_bert_is_solved(load_tensat: Callable[[str], ExtractionProblem]) -> None:
    result = solve(load_tensat("bert"), time_limit_s=120.0)
    assert result.status is ExtractionStatus.OPTIMAL
    assert result.selection.cost_us == pytest.approx(0.7047, abs=1e-4)
