"""Entries: what a law says, as a rule that can be read, matches where it should and nowhere else."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from eqsat.authoring.inference.entries import Entry, Writer, without
from eqsat.authoring.inference.instances import Instances
from eqsat.authoring.inference.law import Law
from eqsat.authoring.soundness.closure import only
from eqsat.egraph.session import Session
from eqsat.rules import RuleBook, RuleKind, read_rules
from eqsat.rules.instances import Precision, draw
from eqsat.rules.parts import together
from tests.authoring.inference.conftest import DECLARED

Entries = Callable[[str, int], list[Entry]]
OPERATORS = ["Transpose Relu", "Add Mul", "Concat"]


def read(entry: Entry) -> RuleBook:
    return read_rules([(entry.text, "found.egg")])


def matches(entry: Entry, facts: RuleBook, line: str) -> bool:
    (rule,) = read(entry).rules
    book = RuleBook(rules=(*facts.rules, rule), declarations=facts.declarations)
    rng = np.random.default_rng(0)
    session = Session(together([draw(line, rng, Precision.SINGLE)], rng).graph, only(book, {rule.name}))
    if rule.kind is RuleKind.OPT:
        return any(session.rule_of(each).rule.name == rule.name for each in session.candidates())
    return any(len(members) > 1 for _, members in session.eclasses())


@pytest.mark.parametrize("names", OPERATORS)
def test_an_entry_is_one_rule_with_a_header(names: str, entries: Entries) -> None:
    found = entries(names, 1 if "Mul" in names else 2)
    assert found
    for entry in found:
        (rule,) = read(entry).rules
        assert rule.name == entry.name
        assert entry.source in rule.source
        assert rule.instances == entry.instances
        assert max(map(len, entry.text.splitlines())) <= 120
    assert len({entry.name for entry in found}) == len(found)


@pytest.mark.parametrize("names", OPERATORS)
def test_an_entry_matches_at_its_instances_and_not_at_its_near_misses(
    names: str, entries: Entries, facts: RuleBook
) -> None:
    for entry in entries(names, 1):
        if entry.name.endswith("swaps"):
            continue  # both orders are one pattern
        for line in entry.instances:
            assert matches(entry, facts, line), entry.text
        for line in entry.near_misses:
            assert not matches(entry, facts, line), (entry.text, line)


def test_permutations_are_written_out_once_for_each_rank(entries: Entries) -> None:
    names = [entry.name for entry in entries("Transpose Relu", 2)]
    assert [name for name in names if name.startswith("transpose-to-operand")] == [
        f"transpose-to-operand-rank-{rank}" for rank in range(1, 7)
    ]
    assert "transpose-of-transpose-to-transpose-rank-3" in names


def test_a_rule_that_makes_no_class_is_applied_at_once(entries: Entries) -> None:
    kinds = {entry.name: read(entry).rules[0].kind for entry in entries("Transpose Relu", 2)}
    assert kinds["relu-of-relu-to-relu"] is RuleKind.SIMP
    assert kinds["relu-of-transpose-to-transpose-of-relu"] is RuleKind.OPT


def test_names_that_are_taken_are_not_given_again(laws: Callable[[str, int], list[Law]]) -> None:
    law = next(law for law in laws("Transpose Relu", 2) if law.left.operator == "Relu")
    taken = {"relu-of-relu-to-relu", "relu-of-transpose-to-transpose-of-relu"}
    names = [each.name for each in Writer(taken, declared=DECLARED, instances=Instances(random.Random(0))).entries(law)]
    assert names
    assert taken.isdisjoint(names)


def test_a_near_miss_can_be_dropped(entries: Entries) -> None:
    entry = next(entry for entry in entries("Add Mul", 1) if entry.near_misses)
    line = entry.near_misses[0]
    assert line in entry.text
    assert line not in without(entry, line).text


def test_a_rule_that_only_reorders_is_limited(entries: Entries) -> None:
    (entry,) = (entry for entry in entries("Add", 2) if entry.law.numbers == (None, None, None))
    assert "a sum of at most 4" in entry.requires
    assert "(<= n 4)" in entry.form
    (rule,) = read(entry).rules
    assert len(rule.body) > 1
