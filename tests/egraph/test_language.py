"""The language of an e-graph is made once for rules that say the same, and few are kept."""

from __future__ import annotations

import gc

import pytest

from eqsat.egraph import language
from eqsat.egraph.language import Language, language_of
from eqsat.rules.book import RuleBook, load_rules, read_rules
from eqsat.rules.rule import Rule

USED = frozenset({"Neg", "Relu"})
HEADER = "; SOURCE arithmetic\n; FLOATS exact\n"


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "_KEPT", language._Kept())


def book(result: str = "x", name: str = "neg-twice") -> RuleBook:
    text = f'{HEADER}(rewrite (Neg (Neg x)) {result} :ruleset opt :name "{name}")'
    return read_rules([(text, "rules.egg")])


def alive(kind: type) -> int:
    gc.collect()
    return sum(type(each) is kind for each in gc.get_objects())


def test_rules_that_are_read_again_leave_nothing_behind() -> None:
    language_of(load_rules(), USED)
    before = alive(Rule), alive(Language)
    for _ in range(3):
        language_of(load_rules(), USED)
    assert (alive(Rule), alive(Language)) == before
    language_of(load_rules(), USED | {"Abs"})
    assert alive(Rule) == before[0], "the rules are kept once for all languages"
    assert alive(Language) == before[1] + 1


def test_rules_that_say_something_else_have_a_language_of_their_own() -> None:
    first = language_of(book(), USED)
    assert language_of(book(), USED) is first
    assert language_of(book("(Identity x)"), USED) is not first
    assert language_of(book(name="another"), USED) is not first
    assert language_of(book(), USED | {"Abs"}) is not first
    assert language_of(book(), USED) is first


def test_the_languages_that_were_used_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "MAX_KEPT", 2)
    first, second = language_of(book(name="a"), USED), language_of(book(name="b"), USED)
    assert language_of(book(name="a"), USED) is first
    language_of(book(name="c"), USED)
    assert language_of(book(name="a"), USED) is first
    assert language_of(book(name="b"), USED) is not second
