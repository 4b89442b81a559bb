"""What holds of the body of rules that ships as a whole."""

from __future__ import annotations

from collections import Counter
from functools import cache

from eqsat.rules import FloatClass, Rule, RuleKind, load_rules

GROUPS = {
    "constants",
    "algebra",
    "layout",
    "indexing",
    "reduction",
    "activation",
    "normalisation",
    "convolution",
    "recurrent",
    "attention",
    "provider",
    "lossy",
}


@cache
def rewrites() -> tuple[Rule, ...]:
    return tuple(rule for rule in load_rules().rules if rule.kind is not RuleKind.FACTS)


def test_every_rewrite_belongs_to_a_group_and_every_group_has_some() -> None:
    sizes = Counter(rule.group for rule in rewrites())
    assert set(sizes) == GROUPS
    assert min(sizes.values()) >= 4
    assert len(rewrites()) >= 400


def test_every_rewrite_says_where_it_comes_from() -> None:
    assert not [rule.name for rule in rewrites() if not rule.source]


def test_the_lossy_group_is_what_approximates() -> None:
    assert {rule.name for rule in rewrites() if rule.group == "lossy"} == {
        rule.name for rule in rewrites() if rule.floats is FloatClass.APPROXIMATES
    }


def test_what_is_off_by_default_approximates_or_widens() -> None:
    on = {rule.name for rule in load_rules().select().rules}
    off = [rule for rule in rewrites() if rule.name not in on]
    assert {rule.tier for rule in off if rule.floats is not FloatClass.APPROXIMATES} == {"wide"}
    assert len(off) < len(rewrites()) // 10


def test_conditions_are_tested_from_the_other_side() -> None:
    """A rule that requires something of its left side has an instance that lacks it."""
    assert not [rule.name for rule in rewrites() if rule.requires and not rule.near_misses]
