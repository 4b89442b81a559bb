"""The extraction problem, its price of a choice, and its changes of price."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from eqsat.extraction.problem import ExtractionProblem, dag_cost_us, discount, forbid, select

# Two users (e-classes 1 and 2) of one product (0), joined by the root (3); e-node 4 would make 0 out of the root.
SHARED = ExtractionProblem(
    node_class=[0, 1, 2, 3, 0],
    children=[(), (0,), (0,), (1, 2), (3,)],
    cost_us=[10.0, 1.0, 2.0, 0.5, 0.0],
    num_classes=4,
    roots=(3,),
)


def test_a_shared_enode_is_paid_once() -> None:
    assert dag_cost_us(SHARED, {0: 0, 1: 1, 2: 2, 3: 3}) == 13.5


def test_two_roots_that_share_are_paid_once() -> None:
    problem = replace(SHARED, roots=(1, 2, 1))
    assert dag_cost_us(problem, {0: 0, 1: 1, 2: 2}) == 13.0


def test_a_cyclic_choice_is_infinitely_dear() -> None:
    cyclic = {0: 4, 1: 1, 2: 2, 3: 3}
    assert dag_cost_us(SHARED, cyclic) == math.inf
    with pytest.raises(ValueError, match="cyclic"):
        select(SHARED, cyclic)


def test_a_selection_holds_what_the_roots_reach_children_first() -> None:
    problem = replace(SHARED, roots=(1,))
    selection = select(problem, {3: 3, 2: 2, 1: 1, 0: 0})
    assert list(selection.choice.items()) == [(0, 0), (1, 1)]
    assert selection.cost_us == 11.0
    assert selection.enodes == {0, 1}


def test_a_choice_must_be_complete() -> None:
    with pytest.raises(KeyError):
        select(SHARED, {3: 3, 1: 1, 2: 2})


def test_a_choice_must_stay_in_its_eclass() -> None:
    with pytest.raises(ValueError, match="e-node 1 is chosen for e-class 0"):
        select(SHARED, {0: 1, 1: 1, 2: 2, 3: 3})


def test_a_deep_chain_needs_no_deep_stack() -> None:
    depth = 20_000
    chain = ExtractionProblem(
        node_class=range(depth),
        children=[(index - 1,) if index else () for index in range(depth)],
        cost_us=[1.0] * depth,
        num_classes=depth,
        roots=(depth - 1,),
    )
    assert select(chain, {index: index for index in range(depth)}).cost_us == depth


def test_forbidding_and_discounting_leave_the_problem_as_it_was() -> None:
    forbidden = forbid(SHARED, {1, 2})
    assert list(forbidden.cost_us) == [10.0, math.inf, math.inf, 0.5, 0.0]
    assert list(discount(forbidden, {0, 1}, 0.5).cost_us) == [5.0, math.inf, math.inf, 0.5, 0.0]
    assert list(discount(forbidden, {1}, 0.0).cost_us)[1] == math.inf
    assert list(SHARED.cost_us) == [10.0, 1.0, 2.0, 0.5, 0.0]


@pytest.mark.parametrize("factor", [-0.5, math.inf, math.nan])
def test_a_discount_is_a_finite_share(factor: float) -> None:
    with pytest.raises(ValueError, match="factor"):
        discount(SHARED, {0}, factor)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cost_us": [1.0]}, "differ in length"),
        ({"roots": (4,)}, "root"),
        ({"node_class": [0, 1, 2, 4, 0]}, "e-node 3 lies in e-class 4"),
        ({"cost_us": [10.0, -1.0, 2.0, 0.5, 0.0]}, "e-node 1 has the price -1.0"),
        ({"cost_us": [10.0, math.nan, 2.0, 0.5, 0.0]}, "e-node 1 has the price nan"),
        ({"children": [(), (0,), (0,), (2, 1), (3,)]}, "e-node 3 has the children"),
        ({"children": [(), (0,), (0,), (1, 1), (3,)]}, "e-node 3 has the children"),
        ({"children": [(), (0,), (0,), (1, 4), (3,)]}, "e-node 3 has the children"),
        ({"children": [(), (-1,), (0,), (1, 2), (3,)]}, "e-node 1 has the children"),
    ],
)
def test_a_broken_problem_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SHARED, **change)
