"""A hundred wrong rules are refused, each with an instance that shows it."""

from __future__ import annotations

import subprocess
import sys
import zlib
from functools import cache
from pathlib import Path

import pytest

from eqsat.authoring.soundness.judge import judge
from eqsat.authoring.soundness.verdict import Verdict
from eqsat.rules import RuleBook, load_rules
from eqsat.runtime import Runtime

FILE = Path(__file__).with_name("wrong_rules.egg")


@cache
def book() -> RuleBook:
    return load_rules([FILE])


NAMES = [rule.name for rule in book().rules if rule.location.file == str(FILE)]
SOME = [name for name in NAMES if zlib.crc32(name.encode()) % 5 == 0]
SHOWN = ["w-epsilon-outside", "w-transpose-is-reshape", "w-where-broadcast", "w-gelu-half"]


def judged(name: str, runtime: Runtime) -> Verdict:
    return judge(book(), name, runtime=runtime)


def check(verdict: Verdict) -> None:
    assert not verdict.is_sound
    assert verdict.level is None
    assert verdict.counterexample is not None, verdict.reason
    assert verdict.counterexample.reason in verdict.reason
    assert verdict.counterexample.graph.nodes or verdict.counterexample.graph.inputs
    compile(verdict.counterexample.script(), "counterexample", "exec")


def test_there_are_a_hundred() -> None:
    assert len(NAMES) == 100
    assert all(not book().rule(name).instances for name in NAMES), "they must be found without help"


@pytest.mark.parametrize("name", SOME)
def test_a_wrong_rule_is_refused(name: str, runtime: Runtime) -> None:
    check(judged(name, runtime))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name not in SOME])
def test_every_wrong_rule_is_refused(name: str, runtime: Runtime) -> None:
    check(judged(name, runtime))


@pytest.mark.parametrize("name", SHOWN)
def test_the_program_shows_the_difference(name: str, runtime: Runtime, tmp_path: Path) -> None:
    example = judged(name, runtime).counterexample
    assert example is not None
    path = tmp_path / "counterexample.py"
    path.write_text(example.script())
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "left side:" in done.stdout
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("types:") or int(last.removeprefix("elements that differ: ")) > 0


def test_a_verdict_does_not_depend_on_the_day(runtime: Runtime) -> None:
    one, two = (judge(book(), "w-sum-to-product", seed=3, runtime=runtime) for _ in range(2))
    assert one.reason == two.reason
    assert one.num_instances == two.num_instances
