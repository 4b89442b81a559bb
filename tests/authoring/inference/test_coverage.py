"""What the benchmark of the search counts: shipped rules over the operators, and those that are derived."""

from __future__ import annotations

import pytest

from bench.infer import coverage, facts_of, new_ones, places
from eqsat.authoring.inference import Question, infer
from eqsat.rules import RuleBook, read_rules

RULES = """
; SOURCE   a test
; FLOATS   exact
; INSTANCE x[A,B] | (Relu (Relu x))
(rewrite (Relu (Relu x)) (Relu x) :ruleset simp :name "relu-relu")

; SOURCE   a test
; FLOATS   exact
; INSTANCE x[A,B] | (Relu (Transpose x (vec-of 1 0)))
(rewrite (Relu (Transpose x p)) (Transpose (Relu x) p) :ruleset opt :name "relu-transpose")

; SOURCE   a test
; FLOATS   exact
; INSTANCE x[A,B] | (Neg (Neg x))
(rewrite (Neg (Neg x)) x :ruleset simp :name "neg-neg")
"""


@pytest.fixture(scope="module")
def book() -> RuleBook:
    return read_rules([(RULES, "own.egg")])


def test_rules_over_other_operators_are_not_counted(book: RuleBook) -> None:
    found = coverage(book, book, {"Relu", "Transpose"}, 3)
    assert found.found == ("relu-relu", "relu-transpose")
    assert found.missed == ()
    assert found.share == 1.0


def test_rules_of_larger_terms_are_not_counted(book: RuleBook) -> None:
    assert coverage(book, book, {"Relu", "Transpose"}, 1).found == ()


def test_what_is_not_derived_is_missed(book: RuleBook) -> None:
    other = RuleBook(rules=tuple(rule for rule in book.rules if rule.name != "relu-relu"), declarations=())
    found = coverage(book, other, {"Relu", "Transpose"}, 3)
    assert found.found == ("relu-transpose",)
    assert found.missed == ("relu-relu",)
    assert coverage(book, facts_of(book), {"Relu", "Transpose"}, 3).share == 0.0


def test_new_is_what_is_derived_nowhere(facts: RuleBook, book: RuleBook) -> None:
    found = infer(Question(operators=("Relu",), max_operators=2), book=facts)
    (proposal,) = found.proposals
    known = places(found.proposals, book)
    assert known == {proposal.name: len(proposal.examples)}
    assert new_ones(found.proposals, known) == []
    assert new_ones(found.proposals, places(found.proposals, facts)) == [proposal]
