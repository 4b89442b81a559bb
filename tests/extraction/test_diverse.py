"""Variants differ from the base in a decision, and carry true prices."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqsat.extraction.cpsat import ExtractionResult, solve
from eqsat.extraction.diverse import variants
from eqsat.extraction.problem import ExtractionProblem, dag_cost_us

LIMIT_S = 20.0

# Two products for 10 each (e-nodes 1, 2), or merged for 13 (0) and cut out for 1 each (3, 4), or fused with the root
# for 18 (6); the root (5) costs 1. Best: merged, 16; then fused, 18; then apart, 21.
PROBLEM = ExtractionProblem(
    node_class=[0, 1, 2, 1, 2, 3, 3],
    children=[(), (), (), (0,), (0,), (1, 2), ()],
    cost_us=[13.0, 10.0, 10.0, 1.0, 1.0, 1.0, 18.0],
    num_classes=4,
    roots=(3,),
)
GROUPS = {"merge": frozenset({0, 3, 4}), "fuse": frozenset({6})}


@pytest.fixture(scope="module")
def base() -> ExtractionResult:
    return solve(PROBLEM, time_limit_s=LIMIT_S)


def test_a_used_group_is_forbidden_and_an_unused_one_favoured(base: ExtractionResult) -> None:
    groups = {"apart": frozenset({1, 2}), **GROUPS}
    found = variants(PROBLEM, base.selection, groups, k=5, time_limit_s=LIMIT_S)
    assert [(variant.name, variant.cost_us, set(variant.selection.enodes)) for variant in found] == [
        ("without merge", 18.0, {6}),
        ("with apart", 21.0, {1, 2, 5}),
    ]
    assert [variant.forbidden for variant in found] == [frozenset({"merge"}), frozenset()]
    assert [variant.favoured for variant in found] == [{}, {"apart": 0.25}]


def test_the_same_selection_comes_once(base: ExtractionResult) -> None:
    found = variants(PROBLEM, base.selection, GROUPS, k=5, time_limit_s=LIMIT_S)
    assert [variant.name for variant in found] == ["without merge"]


def test_only_the_cheapest_are_returned(base: ExtractionResult) -> None:
    groups = {"apart": frozenset({1, 2}), **GROUPS}
    assert [variant.cost_us for variant in variants(PROBLEM, base.selection, groups, k=1, time_limit_s=LIMIT_S)] == [
        18.0
    ]


def test_a_group_that_nothing_can_replace_gives_no_variant(base: ExtractionResult) -> None:
    groups = {"all": frozenset(range(PROBLEM.num_enodes))}
    assert variants(PROBLEM, base.selection, groups, k=5, time_limit_s=LIMIT_S) == []


def test_a_group_that_cannot_be_used_gives_no_variant() -> None:
    problem = ExtractionProblem(
        node_class=[0, 0, 1], children=[(), (1,), ()], cost_us=[1.0, 5.0, math.inf], num_classes=2, roots=(0,)
    )
    only = solve(problem, time_limit_s=LIMIT_S)
    assert variants(problem, only.selection, {"deep": frozenset({1})}, k=5, time_limit_s=LIMIT_S) == []


def test_a_very_dear_group_is_used_when_it_is_free() -> None:
    problem = ExtractionProblem(node_class=[0, 0], children=[(), ()], cost_us=[1.0, 900.0], num_classes=1, roots=(0,))
    only = solve(problem, time_limit_s=LIMIT_S)
    found = variants(problem, only.selection, {"dear": frozenset({1})}, k=5, time_limit_s=LIMIT_S)
    assert [variant.cost_us for variant in found] == [900.0]


def test_no_time_gives_no_variants(base: ExtractionResult) -> None:
    found = variants(PROBLEM, base.selection, GROUPS, k=5, time_limit_s=LIMIT_S, total_time_limit_s=0.0)
    assert found == []


def test_the_most_at_stake_goes_first(base: ExtractionResult) -> None:
    # The clock allows one solve: it jumps past the limit while the first is under way.
    ticks = iter([0.0] * 4 + [100.0] * 1000)
    groups = {"cut": frozenset({3}), "merge": frozenset({0, 3, 4})}
    found = variants(
        PROBLEM,
        base.selection,
        groups,
        k=5,
        time_limit_s=LIMIT_S,
        total_time_limit_s=50.0,
        clock=lambda: next(ticks),
    )
    assert [variant.name for variant in found] == ["without merge"]


def test_forbidding_a_merge_in_a_larger_egraph_costs(merged_blocks: ExtractionProblem) -> None:
    best = solve(merged_blocks, time_limit_s=LIMIT_S)
    halves = {
        "even": frozenset(enode for enode in best.selection.enodes if enode % 2 == 0 and merged_blocks.cost_us[enode]),
        "odd": frozenset(enode for enode in best.selection.enodes if enode % 2 == 1 and merged_blocks.cost_us[enode]),
    }
    found = variants(merged_blocks, best.selection, halves, k=5, time_limit_s=LIMIT_S)
    for variant in found:
        assert variant.cost_us > best.selection.cost_us
        assert all(halves[name].isdisjoint(variant.selection.enodes) for name in variant.forbidden)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_variants_are_valid_distinct_and_no_cheaper_than_the_optimum(
    data: st.DataObject,
    small_problems: st.SearchStrategy[ExtractionProblem],
    cheapest: Callable[[ExtractionProblem], float],
) -> None:
    problem = data.draw(small_problems)
    if cheapest(problem) == math.inf:
        return
    best = solve(problem, time_limit_s=LIMIT_S)
    enodes = st.frozensets(st.integers(0, problem.num_enodes - 1), max_size=4)
    groups = data.draw(st.dictionaries(st.sampled_from("abc"), enodes, max_size=3))
    found = variants(problem, best.selection, groups, k=10, time_limit_s=LIMIT_S)
    assert [variant.cost_us for variant in found] == sorted(variant.cost_us for variant in found)
    assert len({best.selection.enodes, *(variant.selection.enodes for variant in found)}) == len(found) + 1
    for variant in found:
        assert math.isfinite(variant.cost_us)
        assert variant.cost_us == dag_cost_us(problem, variant.selection.choice)
        assert variant.cost_us >= best.selection.cost_us - 1e-9
