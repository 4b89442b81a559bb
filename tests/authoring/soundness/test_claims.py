"""Facts that have a meaning of their own must be so."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from eqsat.authoring.soundness.claims import claims, is_judged_alone
from eqsat.authoring.soundness.judge import judge
from eqsat.authoring.soundness.verdict import Level
from eqsat.rules import Rule, RuleBook, read_rules
from eqsat.runtime import Runtime
from tests.authoring.soundness.books import shipped


def fact(text: str) -> Rule:
    return read_rules([(f'{text[:-1]} :ruleset facts :name "own")', "own.egg")]).rules[0]


def with_fact(text: str) -> RuleBook:
    return replace(shipped(), rules=(*shipped().rules, fact(text)))


@pytest.mark.parametrize(
    "text",
    [
        "(rule ((= y (Abs x)) (finite x)) ((finite y)))",
        "(rule ((= y (Neg c)) (= s (scalar c))) ((set (scalar y) (* -1.0 s))))",
        "(rule ((= y (Tanh x)) (finite x)) ((finite y) (finite x)))",
    ],
)
def test_what_is_so_is_tested(text: str, runtime: Runtime) -> None:
    verdict = judge(with_fact(text), "own", num_instances=60, runtime=runtime)
    assert verdict.level is Level.TESTED, verdict.reason
    assert verdict.num_instances >= 60


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(rule ((= y (Relu x))) ((finite y)))", "`y` is no finite value: it has "),
        ("(rule ((= y (Mul x x))) ((finite x)))", "`x` is no finite value: it has "),
        ("(rule ((= y (Exp x)) (finite x)) ((finite y)))", "`y` is no finite value: it has inf"),
        ("(rule ((= y (Add a b)) (finite a) (finite b)) ((finite y)))", "`y` is no finite value: it has "),
        ("(rule ((= y (Neg c)) (= s (scalar c))) ((set (scalar y) s)))", "`y` is no number as it says: it is "),
        ("(rule ((= y (Mul x c)) (= s (scalar c))) ((set (scalar y) s)))", "`y` is no number as it says: it is "),
        ("(rule ((= y (Expand c d)) (= s (scalar c))) ((set (scalar y) s)))", " elements"),
    ],
)
def test_what_is_not_so_is_refused(text: str, reason: str, runtime: Runtime) -> None:
    verdict = judge(with_fact(text), "own", runtime=runtime)
    assert not verdict.is_sound
    assert reason in verdict.reason
    assert verdict.counterexample is not None
    assert verdict.counterexample.graph.inputs or verdict.counterexample.graph.constants


def test_a_value_without_a_name_cannot_be_judged(runtime: Runtime) -> None:
    verdict = judge(with_fact("(rule ((= y (Relu x))) ((finite (Neg y))))"), "own", runtime=runtime)
    assert not verdict.is_sound
    assert "does not name" in verdict.reason


def test_no_time_is_an_unknown(runtime: Runtime) -> None:
    text = "(rule ((= y (Abs x)) (finite x)) ((finite y)))"
    verdict = judge(with_fact(text), "own", time_limit_s=0.0, runtime=runtime)
    assert verdict.unknown == "only 0 instances were found and evaluated, not 200"


def test_the_program_shows_the_value(runtime: Runtime, tmp_path: Path) -> None:
    verdict = judge(with_fact("(rule ((= y (Exp x)) (finite x)) ((finite y)))"), "own", runtime=runtime)
    assert verdict.counterexample is not None
    path = tmp_path / "counterexample.py"
    path.write_text(verdict.counterexample.script())
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(path)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "inf" in done.stdout


def test_other_facts_say_nothing_of_a_value_itself() -> None:
    assert not claims(shipped().rule("squared-mul"))
    assert not is_judged_alone(shipped().rule("squared-mul"))
    assert is_judged_alone(shipped().rule("neg-neg"))
    assert {claim.relation for claim in claims(shipped().rule("scalar-filled"))} == {"scalar"}
