"""Pruning loses no optimum and finds the way back."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqsat.extraction.greedy import greedy_dag
from eqsat.extraction.problem import ExtractionProblem, NoSelectionError, dag_cost_us, forbid, select
from eqsat.extraction.prune import prune


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_the_optimum_stays(
    data: st.DataObject,
    small_problems: st.SearchStrategy[ExtractionProblem],
    cheapest: Callable[[ExtractionProblem], float],
) -> None:
    problem = data.draw(small_problems)
    optimum_us = cheapest(problem)
    if optimum_us == math.inf:
        with pytest.raises(NoSelectionError):
            prune(problem)
        return
    pruned = prune(problem)
    assert cheapest(pruned.problem) == pytest.approx(optimum_us)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_the_way_there_and_back_costs_nothing(
    data: st.DataObject,
    small_problems: st.SearchStrategy[ExtractionProblem],
    cheapest: Callable[[ExtractionProblem], float],
) -> None:
    problem = data.draw(small_problems)
    if cheapest(problem) == math.inf:
        return
    pruned = prune(problem)
    selection = greedy_dag(problem)
    lowered = pruned.lower(selection)
    assert lowered.cost_us <= selection.cost_us + 1e-9
    lifted = pruned.lift(lowered)
    assert lifted.cost_us == pytest.approx(lowered.cost_us)
    assert dag_cost_us(problem, lifted.choice) == lifted.cost_us


def test_weights_and_what_is_computed_from_them_alone_are_decided() -> None:
    # 0, 1: weights; 2: their concatenation, free; 3: input; 4: the product of 3 and 2.
    problem = ExtractionProblem(
        node_class=[0, 1, 2, 3, 4],
        children=[(), (), (0, 1), (), (2, 3)],
        cost_us=[0.0, 0.0, 0.0, 0.0, 5.0],
        num_classes=5,
        roots=(4,),
    )
    pruned = prune(problem)
    assert pruned.problem.num_classes == 1
    assert dict(pruned.free_choice) == {0: 0, 1: 1, 2: 2, 3: 3}
    assert pruned.lift(greedy_dag(pruned.problem)).choice == {0: 0, 1: 1, 2: 2, 3: 3, 4: 4}


def test_a_free_eclass_takes_its_smallest_term() -> None:
    # 0 and 1 are transposes of each other; only 0 has a leaf.
    problem = ExtractionProblem(
        node_class=[0, 1, 0], children=[(1,), (0,), ()], cost_us=[0.0, 0.0, 0.0], num_classes=2, roots=(0, 1)
    )
    pruned = prune(problem)
    assert dict(pruned.free_choice) == {0: 2, 1: 1}
    assert pruned.lift(greedy_dag(pruned.problem)).cost_us == 0.0


def test_duplicate_and_dominated_enodes_go() -> None:
    # E-class 1 has: one child for 2.0, the same again, the same for more, one child more for as much, none for 9.0.
    problem = ExtractionProblem(
        node_class=[0, 1, 1, 1, 1, 1, 2],
        children=[(), (0,), (0,), (0,), (0, 2), (), ()],
        cost_us=[1.0, 2.0, 2.0, 3.0, 2.0, 9.0, 1.0],
        num_classes=3,
        roots=(1,),
    )
    pruned = prune(problem)
    assert pruned.original_enode == (1, 5, 0)
    through_the_dearest = select(problem, {0: 0, 2: 6, 1: 4})
    assert pruned.lift(pruned.lower(through_the_dearest)).choice == {0: 0, 1: 1}


def test_self_loops_and_what_the_roots_do_not_reach_go() -> None:
    problem = ExtractionProblem(
        node_class=[0, 0, 1], children=[(), (0,), ()], cost_us=[4.0, 0.0, 1.0], num_classes=2, roots=(0,)
    )
    pruned = prune(problem)
    assert pruned.original_enode == (0,)
    assert pruned.original_class == (0,)


def test_a_selection_that_takes_what_was_ruled_out_cannot_be_lowered() -> None:
    problem = ExtractionProblem(node_class=[0, 0], children=[(), ()], cost_us=[4.0, 1.0], num_classes=1, roots=(0,))
    with pytest.raises(ValueError, match="no usable e-node for e-class 0"):
        prune(forbid(problem, {1})).lower(select(problem, {0: 1}))


def test_a_root_without_selection_is_named() -> None:
    problem = ExtractionProblem(
        node_class=[0, 1, 2, 3],
        children=[(1,), (0,), (), (2,)],
        cost_us=[1.0, 1.0, math.inf, 1.0],
        num_classes=4,
        roots=(3,),
    )
    with pytest.raises(NoSelectionError, match="e-class 3") as caught:
        prune(problem)
    assert caught.value.root == 3


def test_a_problem_without_roots_needs_nothing() -> None:
    problem = ExtractionProblem(node_class=[0], children=[()], cost_us=[1.0], num_classes=1, roots=())
    assert prune(problem).problem.num_classes == 0
