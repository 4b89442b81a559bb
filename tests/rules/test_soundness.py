"""Every rule that ships, at random instances of its left side: it matches, and both sides are the same numbers."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from eqsat.authoring.soundness.evaluators import ReferenceNumbers, RuntimeNumbers
from eqsat.authoring.soundness.trial import Trial, Trials
from eqsat.rules import Rule, RuleBook, RuleKind, load_rules
from eqsat.rules.instances import Drawn, Precision, draw
from eqsat.runtime import Runtime


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

NUM_DRAWS = 2


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    with Runtime() as runtime:
        yield runtime


@pytest.fixture(scope="module")
def evaluators(runtime: Runtime) -> tuple[ReferenceNumbers, RuntimeNumbers]:
    return ReferenceNumbers(), RuntimeNumbers(runtime)


def name(case: Case) -> str:
    return f"{case.rule}-{case.line}"


def draws(case: Case, precision: Precision) -> list[Drawn]:
    seed = [zlib.crc32(case.rule.encode()), case.line]
    return [draw(case.text, np.random.default_rng([*seed, number]), precision) for number in range(NUM_DRAWS)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_has_an_instance(rule: Rule) -> None:
    assert rule.instances, f"{rule.location}: `{rule.name}` has no `; INSTANCE` line"


@pytest.mark.parametrize("case", INSTANCES, ids=name)
def test_both_sides_are_equal(case: Case, evaluators: tuple[ReferenceNumbers, RuntimeNumbers]) -> None:
    rule = book().rule(case.rule)
    reference, runtime = evaluators
    rng = np.random.default_rng(0)
    doubles = [drawn for drawn in draws(case, Precision.DOUBLE) if drawn.is_generic]
    trials = Trials(book(), rule).run(doubles, (reference, runtime), rng)
    trials += Trials(book(), rule).run(draws(case, Precision.SINGLE), (runtime, reference), rng)
    for trial in trials:
        assert trial.is_matched, f"{rule.location}: `{rule.name}` does not match\n{trial.drawn}"
        assert not trial.wrong, f"{rule.location}: `{rule.name}`: {trial.wrong}\n{trial.drawn}"
    assert any(trial.is_agreed for trial in trials), [unknowns(trial) for trial in trials]


@pytest.mark.parametrize("case", NEAR_MISSES, ids=name)
def test_a_near_miss_does_not_match(case: Case, evaluators: tuple[ReferenceNumbers, RuntimeNumbers]) -> None:
    rule = book().rule(case.rule)
    for drawn in draws(case, Precision.SINGLE):
        for trial in Trials(book(), rule).run([drawn], evaluators, np.random.default_rng(0)):
            assert not trial.is_matched, f"{rule.location}: `{rule.name}` matches\n{drawn}"


def unknowns(trial: Trial) -> list[str]:
    return [f"{name}: {outcome.unknown}" for name, outcome in trial.outcomes.items()]
