"""Every rule that ships, at random instances of its left side: it matches, and both sides are the same numbers."""

from __future__ import annotations

import zlib
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from eqsat.egraph.egglog import Call
from eqsat.egraph.session import Session
from eqsat.rules import Rule, RuleBook, RuleKind, load_rules
from eqsat.rules.instances import Drawn, Precision, draw
from eqsat.rules.terms import action_terms, body_terms, calls, head_terms
from tests.rules.agreement import Engine, UnevaluableError, Values
from tests.rules.instance_graphs import Loaded, load


class Case(NamedTuple):
    """One line of a rule's header."""

    rule: str
    line: int
    text: str


@cache
def book() -> RuleBook:
    return load_rules()


RULES = [rule for rule in book().rules if rule.kind is not RuleKind.FACTS]
INSTANCES = [Case(rule.name, line, text) for rule in RULES for line, text in enumerate(rule.instances)]
NEAR_MISSES = [Case(rule.name, line, text) for rule in RULES for line, text in enumerate(rule.near_misses)]

RUNS = ((Precision.DOUBLE, Engine.REFERENCE), (Precision.SINGLE, Engine.RUNTIME))
"""The mathematics, judged closely; and what the kernels make of it."""

NUM_DRAWS = 12


def name(case: Case) -> str:
    return f"{case.rule}-{case.line}"


def only(rule: Rule, others: tuple[str, ...] = ()) -> RuleBook:
    """The rule at hand, a few others, and the facts that their left sides ask for."""
    wanted = {rule.name, *others}
    missing = {called for name in wanted for called in calls(body_terms(book().rule(name).body))}
    facts = [each for each in book().rules if each.kind is RuleKind.FACTS]
    while more := [each for each in facts if each.name not in wanted and not missing.isdisjoint(asserted(each))]:
        wanted.update(each.name for each in more)
        missing.update(called for each in more for called in calls(body_terms(each.body)))
    rules = tuple(each for each in book().rules if each.name in wanted)
    called = {name for each in rules for name in (*calls(body_terms(each.body)), *calls(head_terms(each.head)))}
    return replace(book(), rules=rules, declarations=tuple(each for each in book().declarations if each.name in called))


def asserted(rule: Rule) -> set[str]:
    """The relations that a rule adds to, and the functions that it sets."""
    return {term.name for action in rule.head for term in action_terms(action)[:1] if isinstance(term, Call)}


def draws(case: Case, precision: Precision, count: int) -> list[tuple[Drawn, Loaded]]:
    found = []
    for number in range(count):
        rng = np.random.default_rng([zlib.crc32(case.rule.encode()), case.line, number])
        drawn = draw(case.text, rng, precision)
        found.append((drawn, load(drawn, rng)))
    return found


def opened(loaded: Loaded, rules: RuleBook, others: tuple[str, ...]) -> Session:
    """A session in which the other rules have done their part."""
    session = Session(loaded.graph, rules)
    for other in others:
        session.apply([each for each in session.candidates() if session.rule_of(each).rule.name == other])
    return session


def matches(rule: Rule, drawn: Drawn, loaded: Loaded) -> tuple[Session, int]:
    """Apply the rule wherever it matches; return the session and the number of places."""
    rules = only(rule, drawn.others)
    session = opened(loaded, rules, drawn.others)
    if rule.kind is RuleKind.SIMP:
        without = opened(loaded, rules.select(skip=[rule.name]), drawn.others)
        return session, int(session.size() != without.size())
    places = [each for each in session.candidates() if session.rule_of(each).rule.name == rule.name]
    num_applied = session.apply(places)
    assert not session.refused, f"the right side has another type: {session.refused}"
    assert num_applied == len(places), "a right side cannot exist where the left side matches"
    return session, num_applied


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_has_an_instance(rule: Rule) -> None:
    assert rule.instances, f"{rule.location}: `{rule.name}` has no `; INSTANCE` line"


@pytest.mark.parametrize("case", INSTANCES, ids=name)
def test_both_sides_are_equal(case: Case) -> None:
    rule = book().rule(case.rule)
    num_judged = 0
    for precision, engine in RUNS:
        for drawn, loaded in draws(case, precision, NUM_DRAWS):
            if precision is Precision.DOUBLE and not drawn.is_generic:
                continue
            session, num_matches = matches(rule, drawn, loaded)
            assert num_matches, f"{rule.location}: `{rule.name}` does not match\n{drawn}"
            try:
                num_forms = Values(session, loaded.feeds, loaded.sizes, engine).check(rule.floats)
            except UnevaluableError:
                if engine is Engine.REFERENCE or not drawn.is_generic:
                    raise
                continue  # a kernel is missing; the reference has judged this instance
            assert num_forms, "nothing was made equal"
            num_judged += 1
    assert num_judged


@pytest.mark.parametrize("case", NEAR_MISSES, ids=name)
def test_a_near_miss_does_not_match(case: Case) -> None:
    rule = book().rule(case.rule)
    for drawn, loaded in draws(case, Precision.SINGLE, NUM_DRAWS):
        _, num_matches = matches(rule, drawn, loaded)
        assert not num_matches, f"{rule.location}: `{rule.name}` matches\n{drawn}"
