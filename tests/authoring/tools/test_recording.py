"""What was found out is kept for exactly the text that it was found out about."""

from __future__ import annotations

import json
from pathlib import Path

from eqsat.authoring.soundness.verdict import Level
from eqsat.authoring.tools.judging import Judged
from eqsat.authoring.tools.recording import Recording
from eqsat.rules import RuleBook, read_rules

HEADER = "; SOURCE algebra\n; FLOATS exact\n"


def book(right: str) -> RuleBook:
    forms = [f'(rewrite (Relu x) {right} :ruleset opt :name "one")', '(rewrite (Neg x) x :ruleset opt :name "two")']
    return read_rules([("\n".join(HEADER + form for form in forms), "r.egg")])


def test_only_what_is_not_known_is_judged_again(tmp_path: Path) -> None:
    path = tmp_path / "soundness.json"
    recording = Recording(book("x"), path)
    assert recording.missing(("one", "two")) == ("one", "two")
    recording.take(Judged(rule="one", level=Level.PROVED, num_instances=200))
    recording.take(Judged(rule="two", level=None, reason="the sides differ"))
    again = Recording(book("x"), path)
    assert again.missing(("one", "two")) == ("two",)
    assert again.levels() == [Level.PROVED]


def test_another_text_is_another_rule(tmp_path: Path) -> None:
    path = tmp_path / "soundness.json"
    Recording(book("x"), path).take(Judged(rule="one", level=Level.TESTED, num_instances=200))
    changed = Recording(book("(Neg x)"), path)
    assert changed.missing(("one",)) == ("one",)
    changed.write()
    assert json.loads(path.read_text())["rules"] == {}
