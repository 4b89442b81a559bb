"""Right rules are not refused, also where nobody wrote down an instance of them; and what is unknown is a no."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from eqsat.authoring.soundness.judge import judge
from eqsat.authoring.soundness.verdict import Level
from eqsat.rules import RuleBook
from eqsat.runtime import Runtime
from tests.authoring.soundness.books import shipped, with_rules

RIGHT = [
    "matmul-constants", "matmul-distribute-left", "matmul-transpose", "gemm-add", "mul-one", "add-zero", "relu-relu",
    "where-not", "reshape-of-reshape", "transpose-of-transpose-3", "transpose-of-relu", "concat-of-one",
    "slice-of-concat", "slice-of-slice", "mean-keeping-axes", "neg-neg", "expand-same", "rms-norm", "layer-norm",
    "conv-batch-norm-image",
]  # fmt: skip


def without_instances(name: str) -> RuleBook:
    rules = tuple(
        replace(rule, instances=(), near_misses=()) if rule.name == name else rule for rule in shipped().rules
    )
    return replace(shipped(), rules=rules)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_rule_is_right_without_its_instances(name: str, runtime: Runtime) -> None:
    verdict = judge(without_instances(name), name, num_instances=40, time_limit_s=20.0, runtime=runtime)
    assert verdict.counterexample is None, verdict.reason
    assert verdict.is_sound or verdict.unknown


def test_most_of_them_are_known_to_be_right(runtime: Runtime) -> None:
    names = RIGHT[:8]
    sound = [judge(without_instances(name), name, num_instances=20, runtime=runtime).is_sound for name in names]
    assert sum(sound) >= len(names) - 1


def header(extra: str = "", floats: str = "exact") -> str:
    return f"; SOURCE a test\n; FLOATS {floats}\n{extra}"


def test_its_own_instances_count_too(runtime: Runtime) -> None:
    text = header("; INSTANCE x[A,B] | (Neg (Neg x))\n") + '(rewrite (Neg (Neg x)) x :ruleset opt :name "own")'
    verdict = judge(with_rules(text), "own", num_instances=30, runtime=runtime)
    assert verdict.level in {Level.TESTED, Level.PROVED}
    assert verdict.num_instances >= 30
    assert not verdict.reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("; INSTANCE x[A,B] | (Relu (Neg x))\n", "does not match at its own INSTANCE"),
        ("; INSTANCE x[A,B | (Relu (Neg x))\n", "cannot be read"),
        ("; NEAR-MISS x[A,B] | (Neg (Neg x))\n", "matches at its own NEAR-MISS"),
    ],
)
def test_a_header_that_is_not_so(line: str, reason: str, runtime: Runtime) -> None:
    text = header(line) + '(rewrite (Neg (Neg x)) x :ruleset opt :name "own")'
    verdict = judge(with_rules(text), "own", num_instances=30, runtime=runtime)
    assert not verdict.is_sound
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("rule", "unknown"),
    [
        (
            '(rule ((= y (Relu x)) (= (rank x) 9)) ((union y (Relu (Relu x)))) :ruleset opt :name "own")',
            "no instance found that matches",
        ),
        (
            '(rule ((= y (Neg (Neg x))) (= (shape x) (S2 1 1))) ((union y x)) :ruleset opt :name "own")',
            "it matches only where all sizes are one",
        ),
    ],
)
def test_an_unknown_is_a_no(rule: str, unknown: str, runtime: Runtime) -> None:
    verdict = judge(with_rules(header() + rule), "own", num_instances=20, runtime=runtime)
    assert not verdict.is_sound
    assert verdict.counterexample is None
    assert verdict.unknown == unknown


def test_no_time_is_an_unknown(runtime: Runtime) -> None:
    verdict = judge(shipped(), "neg-neg", time_limit_s=0.0, runtime=runtime)
    assert not verdict.is_sound
    assert verdict.unknown


def ticking(step_s: float) -> Callable[[], float]:
    ticks = iter(range(1_000_000))
    return lambda: next(ticks) * step_s


def test_time_runs_on_the_clock_given(runtime: Runtime) -> None:
    verdict = judge(shipped(), "neg-neg", time_limit_s=10.0, runtime=runtime, clock=ticking(1.0))
    assert not verdict.is_sound
    assert "instances" in verdict.unknown


USER = """
(relation doubled (Tensor Tensor))
; SOURCE    x + x = 2 x
; FLOATS    reassociates
(rule ((doubled y x) (= t (dtype x))) ((union y (Mul x (ConstantOfShape (ConstantOfShapeA (S0) 2.0 t)))))
  :ruleset opt :name "user")
(rule ((= y (Add x x))) ((doubled y x)) :ruleset facts :name "right")
"""


def test_a_right_fact_is_right(runtime: Runtime) -> None:
    verdict = judge(with_rules(USER), "right", num_instances=60, runtime=runtime)
    assert verdict.level is Level.TESTED, verdict.reason


def test_a_wrong_fact_makes_the_rules_wrong_that_ask_for_it(runtime: Runtime) -> None:
    text = USER + '(rule ((= y (Mul x x))) ((doubled y x)) :ruleset facts :name "wrong")'
    verdict = judge(with_rules(text), "wrong", num_instances=60, runtime=runtime)
    assert not verdict.is_sound
    assert verdict.counterexample is not None
    assert verdict.reason.startswith("with it, `user` is wrong: ")
    assert judge(with_rules(text), "right", num_instances=60, runtime=runtime).counterexample is None


def test_a_fact_that_nobody_asks_for_is_unknown(runtime: Runtime) -> None:
    text = '(relation idle (Tensor)) (rule ((= y (Relu x))) ((idle y)) :ruleset facts :name "own")'
    verdict = judge(with_rules(text), "own", runtime=runtime)
    assert verdict.unknown == "no rule asks for what it says"


def test_a_union_among_facts_is_judged_as_a_rewrite(runtime: Runtime) -> None:
    text = '(rule ((= y (Relu x))) ((union y x)) :ruleset facts :name "own")'
    verdict = judge(with_rules(text), "own", num_instances=60, runtime=runtime)
    assert verdict.counterexample is not None


def test_there_must_be_such_a_rule() -> None:
    with pytest.raises(KeyError):
        judge(shipped(), "no-such-rule")
