"""Cycles are found where they are, and nowhere else."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from eqsat.extraction.cycles import chosen_cycles, cycle_part, short_cycles, strong_components
from eqsat.extraction.problem import ExtractionProblem

GRAPHS = st.integers(1, 7).flatmap(
    lambda size: st.lists(st.lists(st.integers(0, size - 1), max_size=3), min_size=size, max_size=size)
)


def _reach(successors: list[list[int]], start: int) -> set[int]:
    seen = {start}
    waiting = [start]
    while waiting:
        for successor in successors[waiting.pop()]:
            if successor not in seen:
                seen.add(successor)
                waiting.append(successor)
    return seen


@settings(max_examples=300, deadline=None, derandomize=True)
@given(successors=GRAPHS)
def test_a_component_is_what_reaches_each_other(successors: list[list[int]]) -> None:
    component = strong_components(successors)
    reach = [_reach(successors, vertex) for vertex in range(len(successors))]
    for one in range(len(successors)):
        for other in range(len(successors)):
            assert (component[one] == component[other]) == (other in reach[one] and one in reach[other])


def test_a_long_ring_is_one_component() -> None:
    size = 30_000
    assert set(strong_components([[(vertex + 1) % size] for vertex in range(size)])) == {0}


def _problem(children: list[tuple[int, ...]], roots: tuple[int, ...]) -> ExtractionProblem:
    """Return a problem of one e-node for each e-class."""
    size = len(children)
    return ExtractionProblem(
        node_class=range(size), children=children, cost_us=[1.0] * size, num_classes=size, roots=roots
    )


def test_only_edges_inside_components_can_be_on_a_cycle() -> None:
    part = cycle_part(_problem([(1,), (0, 2), (3,), ()], roots=(0,)))
    assert part.edges == {0: {1: (0,)}, 1: {0: (1,)}}
    assert list(part.component_size) == [2, 2, 1, 1]


def test_short_cycles_come_once_each() -> None:
    problem = _problem([(1, 2), (0, 2), (0,), (2,)], roots=(3,))
    assert sorted(short_cycles(cycle_part(problem))) == [(0, 1), (0, 1, 2), (0, 2)]


def test_both_directions_of_a_triangle_are_cycles() -> None:
    problem = _problem([(1, 2), (0, 2), (0, 1)], roots=(0,))
    assert sorted(short_cycles(cycle_part(problem))) == [(0, 1), (0, 1, 2), (0, 2), (0, 2, 1), (1, 2)]


def test_the_cycles_of_a_choice_are_those_that_the_roots_reach() -> None:
    problem = _problem([(1,), (2,), (3, 4), (1,), (), (6,), (5,)], roots=(0,))
    choice = {eclass: eclass for eclass in range(7)}
    assert chosen_cycles(problem, choice) == [(1, 2, 3)]


def test_an_acyclic_choice_has_none() -> None:
    problem = _problem([(1, 2), (2,), ()], roots=(0, 1))
    assert chosen_cycles(problem, {0: 0, 1: 1, 2: 2}) == []
