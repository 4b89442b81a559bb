"""The rules that take part when one rule is looked at."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from eqsat.authoring.soundness.closure import companions, only
from eqsat.rules import RuleBook, RuleKind, load_rules


@cache
def book() -> RuleBook:
    return load_rules()


def names(some: RuleBook) -> set[str]:
    return {rule.name for rule in some.rules}


def test_facts_come_along_through_several_stages() -> None:
    found = only(book(), {"rms-norm"})
    assert {"rms-norm", "normalised-div", "root-mean-square-sqrt", "mean-square-power", "squared-mul"} <= names(found)
    assert [rule.name for rule in found.rules if rule.kind is not RuleKind.FACTS] == ["rms-norm"]
    assert {"normalised", "squared"} <= {declaration.name for declaration in found.declarations}


def test_a_rule_without_conditions_stands_alone() -> None:
    found = only(book(), {"neg-neg"})
    assert names(found) == {"neg-neg"}
    assert not found.declarations


def test_what_does_half_of_the_work_is_a_companion() -> None:
    assert companions(book(), book().rule("matmul-join")) == ("matmul-joined",)
    assert not companions(book(), book().rule("neg-neg"))
    assert not companions(book(), book().rule("joining-last"))


def test_another_book_is_another_answer() -> None:
    assert "squared-mul" in names(only(book(), {"rms-norm"}))
    fewer = replace(book(), rules=tuple(rule for rule in book().rules if rule.name != "squared-mul"))
    assert "squared-mul" not in names(only(fewer, {"rms-norm"}))


def test_there_must_be_such_a_rule() -> None:
    with pytest.raises(KeyError):
        only(book(), {"no-such-rule"})
