"""What is proved is right: right rules are, wrong ones and right ones with a fault are not."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from eqsat.authoring.soundness.judge import judge
from eqsat.authoring.soundness.proof import NUM_SHAPES, is_telling, is_usable, prove, prove_only, simplified
from eqsat.authoring.soundness.trial import Trials
from eqsat.authoring.soundness.verdict import Level
from eqsat.rules import RuleBook, load_rules, read_rules
from eqsat.rules.instances import Precision, draw
from eqsat.runtime import Runtime
from tests.authoring.soundness.books import shipped

WRONG = Path(__file__).with_name("wrong_rules.egg")

RIGHT = [
    "neg-neg", "pow-three-quarters", "div-div-constants", "matmul-associate-left", "matmul-blocks", "gemm-layers",
    "einsum-places-scores", "not-greater", "cast-of-wider-float", "transpose-of-transpose-3", "slice-of-concat",
    "conv-batch-norm-image", "mean-keeping-axes", "rms-norm", "layer-norm", "softmax-plain-chain", "min-of-relu",
]  # fmt: skip

TRUE_OF_REAL_NUMBERS = {
    "w-nan-lost-sub": "NaN and infinities",
    "w-nan-lost-mul": "NaN and infinities",
    "w-zero-over-zero": "zeros",
    "w-cancelled-overflow": "integers",
    "w-division-of-sums": "integers",
    "w-minus-zero": "the sign of zero",
}
"""Wrong rules whose sides are the same rational function, and what makes them wrong: a proof does not see that."""

MUTATIONS = [
    ("add-of-products", "(Mul (Add x y) a)", "(Mul (Add x a) y)"),
    ("mul-distributes", "(Add (Mul x y) (Mul x z))", "(Add (Mul x y) (Mul y z))"),
    ("pow-three", "(Mul x (Mul x x))", "(Mul x (Add x x))"),
    ("pow-minus-half", "(Reciprocal (Sqrt x))", "(Sqrt x)"),
    ("sub-negated", "(Add x z)", "(Sub x z)"),
    ("matmul-transpose", "(MatMul (Transpose b (vec-of 1 0)) (Transpose a (vec-of 1 0)))",
     "(MatMul (Transpose b (vec-of 1 0)) a)"),
    ("matmul-distribute-left", "(MatMul a (Add b c))", "(MatMul a (Sub b c))"),
    ("gemm-layers", "(Add (MatMul c u) d)", "(Add d d)"),
    ("gemm-add", "(GemmA alpha 1.0 ta tb)", "(GemmA alpha 2.0 ta tb)"),
    ("matmul-blocks", "(Cons u (Cons v (Nil)))", "(Cons v (Cons u (Nil)))"),
    ("matmul-join-rows", "(union z (Out p 1))", "(union z (Out p 0))"),
    ("einsum-batches-transposed", "(Transpose z (vec-of 0 2 1))", "z"),
    ("where-of-where-first", "(Where c x u)", "(Where c z u)"),
    ("div-div-constants", "(Div x (Mul a b))", "(Div (Mul x a) b)"),
    ("softmax-plain-chain", "(Softmax x a)", "(LogSoftmax x a)"),
]  # fmt: skip


@cache
def wrong() -> RuleBook:
    return load_rules([WRONG])


NAMES = [rule.name for rule in wrong().rules if rule.location.file == str(WRONG)]
SOME = NAMES[::4]


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_rule_is_proved(name: str) -> None:
    proved = prove_only(shipped(), name)
    assert proved.is_proved, proved.unknown
    assert proved.num_instances >= NUM_SHAPES
    assert not proved.unknown


def check_wrong(name: str) -> None:
    proved = prove_only(wrong(), name)
    assert proved.is_proved == (name in TRUE_OF_REAL_NUMBERS)
    assert proved.is_proved or proved.unknown


@pytest.mark.parametrize("name", SOME)
def test_a_wrong_rule_is_not_proved(name: str) -> None:
    check_wrong(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name not in SOME])
def test_no_wrong_rule_is_proved(name: str) -> None:
    check_wrong(name)


@pytest.mark.parametrize("name", TRUE_OF_REAL_NUMBERS)
def test_what_is_true_of_real_numbers_alone_is_refused(name: str, runtime: Runtime) -> None:
    assert judge(wrong(), name, runtime=runtime).level is None


@pytest.mark.parametrize(("name", "before", "after"), MUTATIONS, ids=lambda text: text if "(" not in text else "")
def test_a_fault_is_seen(name: str, before: str, after: str) -> None:
    rule = shipped().rule(name)
    text = " ".join(rule.text.split())
    assert before in text
    header = f"; SOURCE a test\n; FLOATS {rule.floats}\n"
    (faulty,) = read_rules([(header + text.replace(before, after), "own.egg")]).rules
    rules = tuple(faulty if each.name == name else each for each in shipped().rules)
    proved = prove_only(replace(shipped(), rules=rules), name)
    assert not proved.is_proved
    assert proved.num_instances <= 1  # what is zero is zero whatever it is divided by


def test_the_judge_proves(runtime: Runtime) -> None:
    verdict = judge(shipped(), "matmul-distribute-right", num_instances=80, runtime=runtime)
    assert verdict.level is Level.PROVED
    assert not verdict.unknown


def test_integers_prove_nothing() -> None:
    rule = shipped().rule("neg-neg")
    numbers = [draw("x[A,3] | (Neg (Neg x))", np.random.default_rng(n), Precision.SINGLE) for n in range(30)]
    integers = [draw("x:i64[A,3] | (Neg (Neg x))", np.random.default_rng(n), Precision.SINGLE) for n in range(30)]
    trials = Trials(shipped(), rule)
    assert prove(trials, numbers, np.random.default_rng(0)).is_proved
    assert not prove(trials, integers, np.random.default_rng(0)).is_proved
    assert not prove(trials, numbers[: NUM_SHAPES - 1], np.random.default_rng(0)).is_proved


@pytest.mark.parametrize(
    ("text", "usable", "telling"),
    [
        ("x[2,3] | (Neg (Neg x))", True, True),
        ("x[1,1] | (Neg (Neg x))", True, False),
        ("x[2,0] | (Neg (Neg x))", True, False),
        ("x:i64[2,3] | (Neg (Neg x))", False, True),
        ("opset=11 x[2,3] | (Neg (Neg x))", False, True),
        ("x:f16[2,3] c:f16=0.5 | (Mul x c)", True, True),
        ("x:f16[2,3] c:f16=0.1 | (Mul x c)", False, True),
    ],
)
def test_instances_that_say_something(text: str, *, usable: bool, telling: bool) -> None:
    drawn = draw(text, np.random.default_rng(0), Precision.SINGLE)
    assert is_usable(drawn) == usable
    assert is_telling(drawn) == telling


def test_free_constants_become_simple() -> None:
    drawn = draw("x[2,3] c=[] d=[2,2] e=0.3 | (Mul (Mul x c) e)", np.random.default_rng(0), Precision.SINGLE)
    found = simplified(drawn, np.random.default_rng(0)).leaves
    assert float(found["c"].array) != float(drawn.leaves["c"].array)
    assert abs(float(found["c"].array) * 4).is_integer()
    assert np.signbit(found["c"].array) == np.signbit(drawn.leaves["c"].array)
    assert found["d"] is drawn.leaves["d"]
    assert found["e"] is drawn.leaves["e"]
    assert found["x"] is drawn.leaves["x"]
