"""Judging rules in processes that may be lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eqsat.authoring.soundness.verdict import Level
from eqsat.authoring.tools import judging
from eqsat.authoring.tools.isolation import Limits
from eqsat.authoring.tools.judging import Judged, Order, judge_all, judge_here, told
from eqsat.errors import RulesError

HEADER = "; SOURCE algebra\n; FLOATS exact\n; INSTANCE  x[A,B] | (Neg (Neg (Neg x)))\n"


def fake(order: Order, time_limit_s: float) -> Iterator[Judged]:
    for name in order.names:
        if name == "hangs":
            time.sleep(60)
        if name == "crashes":
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "broken":
            raise RulesError("own.egg:1:1: said")
        yield Judged(rule=name, level=Level.TESTED, num_instances=order.num_instances, seconds=time_limit_s)


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "judge_here", fake)


def test_a_rule_that_is_lost_is_refused_and_the_others_are_judged() -> None:
    order = Order(files=(), names=("a", "hangs", "b", "crashes", "c"), num_instances=3)
    found = list(judge_all(order, Limits(time_s=4.0)))
    assert [judged.rule for judged in found] == ["a", "hangs", "b", "crashes", "c"]
    assert [judged.is_sound for judged in found] == [True, False, True, False, True]
    assert found[0].seconds == 3.0, "it is told to end by itself before"
    assert found[1].reason == "judging it came to no end within 4 s (--time-limit)"
    assert found[3].reason.endswith("(SIGKILL)"), "a log that says nothing is not kept"


def test_broken_rules_are_the_users_to_read() -> None:
    with pytest.raises(RulesError, match="said"):
        list(judge_all(Order(files=(), names=("broken",)), Limits()))


def test_a_real_rule_is_judged_in_this_process(tmp_path: Path) -> None:
    path = tmp_path / "own.egg"
    path.write_text(
        HEADER + '(rewrite (Neg (Neg (Neg x))) (Neg x) :ruleset opt :name "own-neg")\n'
        "; SOURCE algebra\n; FLOATS exact\n; INSTANCE  x[A,B] | (Relu (Neg x))\n"
        '(rewrite (Relu (Neg x)) (Relu x) :ruleset opt :name "own-wrong")\n'
    )
    sound, wrong = judge_here(Order(files=(str(path),), names=("own-neg", "own-wrong"), num_instances=20), 30.0)
    assert sound.is_sound
    assert sound.num_instances >= 20
    assert (sound.num_lines, sound.num_near_misses) == (1, 0)
    assert (wrong.is_sound, wrong.level) == (False, None)
    assert wrong.reason
    compile(wrong.script, "own-wrong.py", "exec")


def test_what_was_found_is_told() -> None:
    sound = Judged(rule="a", level=Level.TESTED, num_instances=200, unknown="no field", num_lines=2, num_near_misses=1)
    assert told(sound) == [
        "a: tested",
        "  both sides are equal at 200 random instances",
        "  its 2 INSTANCE lines match, its 1 NEAR-MISS lines do not",
        "  not proved, no fault of the rule: the proof knows too little of its operators (no field)",
        "  0.0 s",
    ]
    wrong = Judged(rule="a", level=None, reason="unknown: no instance", unknown="no instance")
    assert told(wrong) == ["a: refused: unknown: no instance", "  0.0 s"]
