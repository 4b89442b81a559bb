"""The rules that ship, and these with others."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from eqsat.rules import RuleBook, load_rules, read_rules


@cache
def shipped() -> RuleBook:
    return load_rules()


def with_rules(text: str) -> RuleBook:
    own = read_rules([(text, "own.egg")])
    return replace(
        shipped(),
        rules=(*shipped().rules, *own.rules),
        declarations=(*shipped().declarations, *own.declarations),
    )
