"""The table of terms: what is equal stands together, and it never grows beyond its bounds."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from eqsat.authoring.inference import space
from eqsat.authoring.inference.operators import ROWS
from eqsat.authoring.inference.space import Space, Universe
from eqsat.authoring.inference.terms import Apply, Leaf, Typing, evaluate, renamed, shape_of

TWO = Universe(name="two", shapes=((2, 2), (2, 2)), numbers=(None, None), max_operators=2)
NAMES = ("MatMul", "Add", "Transpose", "Relu")


def grown(universe: Universe = TWO, names: tuple[str, ...] = NAMES) -> Space:
    found = Space(universe, [ROWS[name] for name in names], frozenset({"Add"}), np.random.default_rng(0))
    for size in range(1, universe.max_operators + 1):
        found.grow(size, lambda: False)
    return found


def add(left: int, right: int) -> Apply:
    return Apply("Add", (), (Leaf(left), Leaf(right)))


def test_terms_of_a_class_have_one_value() -> None:
    found = grown()
    arrays = [found.value(place) for place in range(2)]
    typing = Typing(TWO.shapes, ())
    for number in range(0, len(found.nodes), 7):
        term, place = found.term(number), found.eclass_of[number]
        assert shape_of(term, typing) == found.eclasses[place].shape
        np.testing.assert_array_equal(evaluate(term, arrays, typing), found.value(place))


def test_classes_differ_in_value() -> None:
    found = grown()
    values = {(each.shape, found.value(place).tobytes()) for place, each in enumerate(found.eclasses)}
    assert len(values) == len(found.eclasses)


def test_a_commutative_operator_is_applied_in_one_order() -> None:
    found = grown()
    terms = [found.term(number) for number in range(len(found.nodes))]
    assert add(0, 1) in terms
    assert add(1, 0) not in terms


def test_only_values_that_larger_terms_are_made_of_are_kept() -> None:
    found = grown()
    kept = {each.size for each in found.eclasses if each.value is not None}
    dropped = {each.size for each in found.eclasses if each.value is None}
    assert kept == {0, 1}
    assert dropped == {2}


def test_a_full_table_takes_no_more_and_counts_what_it_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = grown()
    monkeypatch.setattr(space, "MAX_NODES", 80)
    small = grown()
    assert whole.num_cut == 0
    assert len(small.nodes) <= 80 + len(NAMES)
    assert small.num_cut > 0
    assert {node.operator for node in small.nodes if node.size == 2} == set(NAMES)  # each operator has its share


def test_values_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "MAX_BYTES", 4096)
    small = grown()
    assert small.num_cut > 0
    assert sum(each.value.nbytes for each in small.eclasses if each.value is not None) < 4096 + 8192


def test_time_that_is_over_ends_the_growth() -> None:
    found = Space(TWO, [ROWS[name] for name in NAMES], frozenset({"Add"}), np.random.default_rng(0))
    found.grow(1, lambda: True)
    assert all(node.size == 0 for node in found.nodes)
    assert found.num_cut > 0


def test_of_classes_that_differ_in_the_names_of_leaves_one_is_first() -> None:
    three = Universe(name="three", shapes=((2, 2),) * 3, numbers=(None,) * 3, max_operators=1)
    found = grown(three, ("MatMul",))
    products = {found.term(number): place for number, place in enumerate(found.eclass_of) if found.nodes[number].size}
    renamings = [dict(enumerate(order)) for order in permutations(range(3))]
    assert len(products) == 9
    for term in products:
        orbit = {products[renamed(term, renaming)] for renaming in renamings}
        assert sum(found.is_first(place) for place in orbit) == 1


def test_a_value_that_nothing_enumerated_has_is_not_added() -> None:
    found = grown()
    num_nodes = len(found.nodes)
    assert found.find_or_add("Mul", (), (0, 1)) is None
    twice = found.find_or_add("Concat", (0,), (0,))
    assert twice is not None
    assert found.eclass_of[twice] == 0
    assert len(found.nodes) == num_nodes + 1
