"""Derivation: what rules say in several steps too, and nothing that they do not say."""

from __future__ import annotations

import numpy as np
import pytest

from eqsat.authoring.inference.derivation import BATCH, Effort, derived, derived_instances
from eqsat.rules import RuleBook, read_rules
from eqsat.rules.instances import Precision, draw

RULES = """
; SOURCE a test
; FLOATS exact
(rewrite (Neg (Neg x)) x :ruleset simp :name "twice")

; SOURCE a test
; FLOATS exact
(rewrite (Relu (Transpose x p)) (Transpose (Relu x) p) :ruleset opt :name "through")
"""
TRUE = [
    "x[2,3] | (Neg (Neg (Neg (Neg x)))) (Neg (Neg x))",
    "x[2,3] | (Relu (Transpose x (vec-of 1 0))) (Transpose (Relu x) (vec-of 1 0))",
    "x[2,3] | (Transpose (Relu x) (vec-of 1 0)) (Relu (Transpose x (vec-of 1 0)))",
    "x[2,3] | (Relu (Transpose (Neg (Neg x)) (vec-of 1 0))) (Transpose (Relu x) (vec-of 1 0))",
]
FALSE = [
    "x[2,3] | (Neg (Neg (Neg x))) x",
    "x[2,2] | (Relu (Transpose x (vec-of 1 0))) (Transpose (Relu x) (vec-of 0 1))",
    "x[2,3] z[2,3] | (Relu x) (Relu z)",
]


@pytest.fixture(scope="module")
def book() -> RuleBook:
    return read_rules([(RULES, "own.egg")])


def test_what_follows_is_derived_and_nothing_else(book: RuleBook) -> None:
    lines = [*TRUE, *FALSE]
    assert derived(lines, book) == [True] * len(TRUE) + [False] * len(FALSE)


def test_without_rules_nothing_follows() -> None:
    assert derived(TRUE, RuleBook(rules=(), declarations=())) == [False] * len(TRUE)


def test_effort_is_bounded(book: RuleBook) -> None:
    assert derived(TRUE[1:2], book, Effort(max_rounds=0)) == [False]
    assert derived(TRUE[1:2], book, Effort(max_enodes=1)) == [False]


def test_many_equations_are_answered_in_their_order(book: RuleBook) -> None:
    lines = [TRUE[1], FALSE[0]] * BATCH
    rng = np.random.default_rng(0)
    drawn = [draw(line, rng, Precision.SINGLE) for line in lines]
    assert derived_instances(drawn, book) == [True, False] * BATCH
