"""The record of what was found out about the rules that ship."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from eqsat.authoring.soundness.claims import is_judged_alone
from eqsat.authoring.soundness.record import (
    levels,
    read_records,
    recorded,
    rule_hash,
    shipped_records_path,
    still_valid,
    write_records,
)
from eqsat.authoring.soundness.verdict import Level
from eqsat.rules import RuleBook, load_rules


@cache
def book() -> RuleBook:
    return load_rules()


def test_every_shipped_rule_was_judged_as_it_stands() -> None:
    known = levels(book())
    rules = [rule.name for rule in book().rules if is_judged_alone(rule)]
    missing = [name for name in rules if known.get(name) not in {Level.PROVED, Level.TESTED}]
    assert not missing, f"changed since they were judged; run `python -m eqsat.rules check --record`: {missing}"


def test_nothing_is_recorded_of_rules_that_are_gone() -> None:
    gone = read_records().keys() - {rule.name for rule in book().rules}
    assert not gone, "run `python -m eqsat.rules check --record`"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    found = recorded(book(), [("neg-neg", Level.PROVED, 200), ("mul-one", Level.TESTED, 250)])
    path = write_records(found, tmp_path / "soundness.json")
    assert read_records(path) == found
    assert levels(book(), read_records(path)) == {"neg-neg": Level.PROVED, "mul-one": Level.TESTED}


def test_no_file_is_no_record(tmp_path: Path) -> None:
    assert read_records(tmp_path / "none.json") == {}


@pytest.mark.parametrize("text", ["{}", "[]", '{"rules": {"a": {"hash": "b"}}}', '{"rules": {"a": 1}}', "{"])
def test_a_broken_file_is_told(text: str, tmp_path: Path) -> None:
    path = tmp_path / "soundness.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"soundness\.json|Expecting"):
        read_records(path)


def changed(name: str, **fields: object) -> RuleBook:
    rules = tuple(replace(rule, **fields) if rule.name == name else rule for rule in book().rules)  # type: ignore[arg-type]
    return replace(book(), rules=rules)


def test_another_text_is_another_rule() -> None:
    text = book().rule("neg-neg").text
    assert rule_hash(changed("neg-neg", text=text.replace("x", "z")), "neg-neg") != rule_hash(book(), "neg-neg")
    assert rule_hash(changed("neg-neg", text=text.replace(" ", "\n  ")), "neg-neg") == rule_hash(book(), "neg-neg")


def test_another_fact_is_another_rule() -> None:
    text = book().rule("normalised-div").text
    other = changed("normalised-div", text=f"{text} ")
    assert rule_hash(other, "rms-norm") == rule_hash(book(), "rms-norm")
    other = changed("normalised-div", text=text.replace("(Div x s)", "(Div s x)"))
    assert rule_hash(other, "rms-norm") != rule_hash(book(), "rms-norm")
    assert rule_hash(other, "neg-neg") == rule_hash(book(), "neg-neg")


def test_only_what_stands_is_still_valid() -> None:
    found = recorded(book(), [("neg-neg", Level.TESTED, 200), ("mul-one", Level.TESTED, 200)])
    other = changed("neg-neg", text="(rewrite (Neg x) x)")
    assert still_valid(other, found).keys() == {"mul-one"}


def test_the_file_stands_beside_the_rules() -> None:
    assert shipped_records_path().name == "soundness.json"
