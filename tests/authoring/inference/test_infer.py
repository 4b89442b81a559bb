"""The whole search: new rules and no others, within its limits, with a word on what was left out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping

import pytest

from eqsat.authoring.inference import Proposal, Question, infer
from eqsat.authoring.inference.gain import MAX_ELEMENTS, scaled
from eqsat.authoring.inference.law import Law
from eqsat.authoring.inference.terms import Typing
from eqsat.authoring.soundness.verdict import Level
from eqsat.egraph.enode import INPUT
from eqsat.errors import UsageError
from eqsat.prices.micro import Cluster, MicroMaker
from eqsat.rules import RuleBook, read_rules


class Fixed:
    """Every node costs one microsecond, inputs nothing."""

    def price(self, clusters: Iterable[Cluster], maker: MicroMaker) -> Mapping[Cluster, float]:
        return {each: 0.0 if each.enodes[0].operator == INPUT else 1.0 for each in clusters}


def names(proposals: Iterable[Proposal]) -> list[str]:
    return [each.name for each in proposals]


def test_new_rules_are_proposed_and_ranked(facts: RuleBook) -> None:
    known = read_rules(
        [('; SOURCE a test\n; FLOATS exact\n(rewrite (Relu (Relu x)) (Relu x) :ruleset simp :name "own")\n', "own.egg")]
    )
    book = RuleBook(rules=(*facts.rules, *known.rules), declarations=facts.declarations)
    found = infer(Question(operators=("Relu",), max_operators=2), book=book)
    assert found.proposals == ()
    found = infer(Question(operators=("Relu",), max_operators=2), book=facts, pricer=Fixed())
    (only,) = found.proposals
    assert (only.left, only.right) == ("(Relu (Relu x))", "(Relu x)")
    assert (only.num_left, only.num_right) == (2, 1)
    assert only.level in {Level.PROVED, Level.TESTED}
    assert only.gain is not None
    assert only.gain.speedup == pytest.approx(3 / 2)
    kept = infer(Question(operators=("Relu",), max_operators=2, keeps_derivable=True), book=book)
    assert [each.is_derivable for each in kept.proposals] == [True]


def test_an_unknown_operator_is_an_error(facts: RuleBook) -> None:
    with pytest.raises(UsageError, match="no terms can be made of Moon"):
        infer(Question(operators=("Relu", "Moon")), book=facts)


def test_time_that_is_over_ends_it_with_a_word(facts: RuleBook) -> None:
    ticks = itertools.count()
    found = infer(Question(operators=("Relu", "Add"), time_limit_s=5.0), book=facts, clock=lambda: float(next(ticks)))
    assert found.proposals == ()
    assert any("time" in cut for cut in found.cuts)


def test_sizes_for_measurements_are_large_and_bounded(laws: Callable[[str, int], list[Law]]) -> None:
    (law,) = (law for law in laws("Add", 1) if law.numbers == (None, None))
    (one, two) = scaled(law, Typing(((2, 1, 3), (1,)), ())).shapes
    assert one[1] == 1
    assert 2**12 < one[0] * one[2] <= MAX_ELEMENTS
    assert one[0] * 3 == one[2] * 2
    assert two == (1,)
    # Both are small, but their sum is not.
    (one, two) = scaled(law, Typing(((7, 1, 7, 1), (7, 1, 7)), ())).shapes
    assert 1 < one[0] * two[0] * one[2] * two[2] <= MAX_ELEMENTS
