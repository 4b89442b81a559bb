"""An input that no instance has was not tested."""

from __future__ import annotations

from dataclasses import replace

from eqsat.authoring.soundness.coverage import never_given
from eqsat.rules import Rule, read_rules
from eqsat.rules.instances import Apply, Drawn, Name

ABSENT = Apply("Absent", ())


def own(text: str) -> Rule:
    return read_rules([(f"; SOURCE a test\n; FLOATS exact\n{text}", "own.egg")]).rules[0]


RULE = own('(rule ((= y (Clip x lo hi))) ((union y (Clip x lo hi))) :ruleset opt :name "own")')
EMPTY = Drawn(is_generic=True, opset=18, others=(), leaves={}, lets={}, roots=(), sizes={})


def clip(*bounds: Apply | Name) -> Drawn:
    return replace(EMPTY, roots=(Apply("Clip", (Name("x"), *bounds)),))


def test_every_input_must_be_given_somewhere() -> None:
    assert never_given(RULE, [clip(ABSENT, ABSENT)]) == "`lo` of Clip"
    assert never_given(RULE, [clip(Name("a"), ABSENT)]) == "`hi` of Clip"
    assert not never_given(RULE, [clip(Name("a"), ABSENT), clip(ABSENT, Name("b"))])


def test_nodes_may_have_names() -> None:
    assert not never_given(RULE, [replace(EMPTY, lets={"n": clip(Name("a"), Name("b")).roots[0]}, roots=(Name("n"),))])


def test_what_the_rule_says_to_be_missing_is_not_asked_for() -> None:
    text = '(rule ((= y (Clip x lo (Absent))) (= lo (Absent))) ((union y x)) :ruleset opt :name "own")'
    assert not never_given(own(text), [clip(ABSENT, ABSENT)])
