"""Greedy extraction: valid, deterministic, no dearer than it must be."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqsat.extraction.greedy import greedy_dag
from eqsat.extraction.problem import ExtractionProblem, NoSelectionError, dag_cost_us


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_selection_is_found_where_there_is_one(
    data: st.DataObject,
    small_problems: st.SearchStrategy[ExtractionProblem],
    cheapest: Callable[[ExtractionProblem], float],
) -> None:
    problem = data.draw(small_problems)
    optimum_us = cheapest(problem)
    if optimum_us == math.inf:
        with pytest.raises(NoSelectionError):
            greedy_dag(problem)
        return
    selection = greedy_dag(problem)
    assert selection.cost_us == dag_cost_us(problem, selection.choice)
    assert selection.cost_us >= optimum_us - 1e-9


def test_sharing_counts_once() -> None:
    # The root is either one operator for 14 or two that share a product for 10: 10 + 1 + 1 + 1.
    problem = ExtractionProblem(
        node_class=[0, 1, 2, 3, 3],
        children=[(), (0,), (0,), (1, 2), ()],
        cost_us=[10.0, 1.0, 1.0, 1.0, 14.0],
        num_classes=4,
        roots=(3,),
    )
    assert greedy_dag(problem).cost_us == 13.0


def test_the_price_of_partly_shared_terms_is_exact() -> None:
    # Terms {0, 1, 2} and {0, 1, 3} share 0 and 1.
    problem = ExtractionProblem(
        node_class=[0, 1, 2, 3, 4, 4],
        children=[(), (0,), (1,), (1,), (2, 3), ()],
        cost_us=[1.0, 2.0, 4.0, 8.0, 16.0, 31.5],
        num_classes=5,
        roots=(4,),
    )
    assert greedy_dag(problem).cost_us == 31.0


def test_equal_prices_go_to_fewer_enodes_then_to_the_lower_number() -> None:
    problem = ExtractionProblem(
        node_class=[0, 1, 1, 1], children=[(), (0,), (), ()], cost_us=[0.0, 3.0, 3.0, 3.0], num_classes=2, roots=(1,)
    )
    assert greedy_dag(problem).choice == {1: 2}


def test_no_selection_is_an_error_that_names_the_root() -> None:
    problem = ExtractionProblem(node_class=[0, 1], children=[(1,), (0,)], cost_us=[1.0, 1.0], num_classes=2, roots=(1,))
    with pytest.raises(NoSelectionError, match="e-class 1"):
        greedy_dag(problem)


def test_deep_and_wide_sharing_is_no_trouble() -> None:
    # A ladder of 5 000 steps in which every e-class uses both of the step below: 2^5000 paths.
    steps = 5_000
    children: list[tuple[int, ...]] = [(), ()]
    for step in range(1, steps):
        children += [(2 * step - 2, 2 * step - 1)] * 2
    problem = ExtractionProblem(
        node_class=range(2 * steps),
        children=children,
        cost_us=[1.0] * (2 * steps),
        num_classes=2 * steps,
        roots=(2 * steps - 1,),
    )
    assert greedy_dag(problem).cost_us == 2 * steps - 1


@pytest.mark.parametrize(("name", "known"), [("resnet50_acyclic", 4.4258), ("vgg", 4.8508), ("resnet50", 4.3969)])
def test_public_egraphs_give_the_known_greedy_price(
    name: str, known: float, load_tensat: Callable[[str], ExtractionProblem]
) -> None:
    assert greedy_dag(load_tensat(name)).cost_us == pytest.approx(known, abs=1e-4)
