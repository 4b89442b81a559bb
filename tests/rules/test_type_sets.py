"""Relations that hold element types become arithmetic, where that says the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from eqsat.rules import RuleBook
from eqsat.rules.type_sets import type_sets, with_type_sets

KNOWN = (
    '(rule ((= (dtype x) 1)) ((narrow 1)) :ruleset facts :name "one")',
    '(rule ((= 10 (dtype x))) ((narrow 10)) :ruleset facts :name "ten")',
)
OTHER = (
    '(rule ((= (dtype x) 1)) ((narrow 2)) :ruleset facts :name "another-number")',
    '(rule ((= t (dtype x))) ((narrow t)) :ruleset facts :name "any-number")',
    '(rule ((= (dtype x) 1) (= (rank x) 2)) ((narrow 1)) :ruleset facts :name "on-a-condition")',
    '(rule ((= (rank x) 1)) ((narrow 1)) :ruleset facts :name "of-a-rank")',
    '(rule ((= (dtype x) 99)) ((narrow 99)) :ruleset facts :name "too-large")',
)


def test_a_set_of_types_is_a_mask(book: Callable[..., RuleBook]) -> None:
    assert type_sets(book(*KNOWN).rules, ["narrow", "unused"]) == {"narrow": 1 << 1 | 1 << 10}


@pytest.mark.parametrize("form", OTHER)
def test_a_relation_that_holds_anything_else_is_none(form: str, book: Callable[..., RuleBook]) -> None:
    assert type_sets(book(*KNOWN, form).rules, ["narrow"]) == {}


def test_only_the_type_of_a_tensor_is_tested_by_arithmetic(book: Callable[..., RuleBook]) -> None:
    (rule,) = book('(rule ((narrow (dtype x)) (narrow t) (= t (rank x))) ((found x)) :ruleset facts :name "r")').rules
    tested, kept, also_kept = with_type_sets(rule.body, {"narrow": 1026})
    assert str(tested) == "(= 1 (& (>> 1026 (dtype x)) 1))"
    assert (kept, also_kept) == rule.body[1:]
