"""What is lost of the parts of a constant that a rule makes."""

from __future__ import annotations

import numpy as np
import pytest

from eqsat.authoring.soundness.constants import loss
from eqsat.authoring.soundness.judge import judge
from eqsat.runtime import Runtime
from tests.authoring.soundness.books import with_rules


def product(one: float, two: float, dtype: type = np.float32) -> str:
    parts: list[np.ndarray] = [np.array([one, one], dtype), np.array([two, two], dtype)]
    with np.errstate(all="ignore"):
        return loss("Mul", parts, parts[0] * parts[1])


@pytest.mark.parametrize(
    ("one", "two"), [(3.0, 0.2), (1e18, 1e18), (1e-18, 1e-18), (0.0, 5.0), (np.inf, 2.0), (np.nan, 1.0)]
)
def test_what_says_what_its_parts_say(one: float, two: float) -> None:
    assert not product(one, two)


@pytest.mark.parametrize(
    ("one", "two", "what"),
    [(1e20, -1e20, "becomes -inf"), (1e-20, 1e-20, "vanishes"), (1e-25, 1e-25, "vanishes")],
)
def test_what_overflows_or_vanishes(one: float, two: float, what: str) -> None:
    assert what in product(one, two)


def test_half_precision_ends_sooner() -> None:
    assert "becomes inf" in product(300.0, 300.0, np.float16)
    assert "vanishes" in product(4e-3, 4e-3, np.float16)
    assert not product(100.0, 0.01, np.float16)


def test_a_rounded_sum_is_no_loss_and_a_wrong_one_is() -> None:
    one, two = np.array([1e8, 1.0], np.float32), np.array([1.0, 1.0], np.float32)
    assert not loss("Add", [one, two], one + two)
    assert loss("Add", [one, two], np.array([1e8, 100.0], np.float32))


UNGUARDED = """
; SOURCE    (x c) d = x (c d)
; FLOATS    {floats}
; INSTANCE  x[A,B] c=[B] d=[B] | (Mul (Mul x c) d)
(rewrite (Mul (Mul x c) d) (Mul x (Mul c d)) :when ((constant c) (constant d) {condition}) :ruleset opt :name "own")
"""


def test_a_rule_that_merges_factors_of_any_size_is_refused(runtime: Runtime) -> None:
    text = UNGUARDED.format(floats="reassociates", condition="")
    verdict = judge(with_rules(text), "own", runtime=runtime)
    assert not verdict.is_sound
    assert "a constant" in verdict.reason or "became" in verdict.reason


def test_a_rule_that_merges_moderate_factors_is_sound_and_not_strict(runtime: Runtime) -> None:
    condition = "(moderate c) (moderate d) (floating-type (dtype x))"
    loose, strict = (UNGUARDED.format(floats=floats, condition=condition) for floats in ("reassociates", "rounds"))
    assert judge(with_rules(loose), "own", num_instances=120, runtime=runtime).is_sound
    assert not judge(with_rules(strict), "own", num_instances=800, runtime=runtime).is_sound
