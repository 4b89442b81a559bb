"""Only rules that can match, and facts that a rule asks for, take part in a run."""

from __future__ import annotations

import pytest

from eqsat.rules import load_rules, read_rules
from eqsat.rules.relevance import relevant

TEXT = """
(relation even (Tensor))
(relation odd (Tensor))
(relation lonely (Tensor))
(rule ((= y (Relu x))) ((even y)) :ruleset facts :name "even-relu")
(rule ((= y (Neg x)) (even x)) ((odd y)) :ruleset facts :name "odd-neg")
(rule ((= y (Relu x))) ((lonely y)) :ruleset facts :name "lonely-relu")
(rule ((= y (Neg x)) (lonely x)) ((lonely y)) :ruleset facts :name "lonely-neg")
(rule ((= y (Relu x))) ((finite y) (lonely y)) :ruleset facts :name "finite-relu")
; SOURCE s
; FLOATS exact
(rule ((= y (Abs x)) (odd x)) ((union y x)) :ruleset opt :name "abs-odd")
"""


def names(operators: set[str]) -> list[str]:
    return [rule.name for rule in relevant(read_rules([(TEXT, "r")]), operators).rules]


@pytest.mark.parametrize(
    ("operators", "expected"),
    [
        ({"Relu", "Neg", "Abs"}, ["even-relu", "odd-neg", "finite-relu", "abs-odd"]),
        ({"Relu", "Neg"}, ["finite-relu"]),
        ({"Neg", "Abs"}, []),
    ],
)
def test_facts_that_nothing_asks_for_are_left_out(operators: set[str], expected: list[str]) -> None:
    assert names(operators) == expected


def test_declarations_go_with_the_rules_that_use_them() -> None:
    book = relevant(read_rules([(TEXT, "r")]), {"Relu", "Neg", "Abs"})
    assert {each.name for each in book.declarations} == {"even", "odd", "lonely"}
    assert not relevant(read_rules([(TEXT, "r")]), {"Neg"}).declarations


def test_what_ships_shrinks_to_what_a_model_of_products_needs() -> None:
    book = load_rules().select()
    kept = {rule.name for rule in relevant(book, {"MatMul", "Add"}).rules}
    assert "matmul-add-gemm" in kept
    assert kept.isdisjoint({"conv-scale", "addends-add", "erf-gate-scaled", "keeps-lower-triangle"})
