"""Operators over the field give what ONNX's reference gives, wherever both can: on whole numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from math import isqrt
from typing import NamedTuple

import numpy as np
import pytest

from eqsat.authoring.soundness.evaluator import ImpossibleError, UnevaluableError
from eqsat.authoring.soundness.evaluators import ReferenceNumbers
from eqsat.authoring.soundness.field import FieldEvaluator
from eqsat.authoring.soundness.fieldextrema import Extrema
from eqsat.authoring.soundness.fieldnumbers import PRIME, number
from eqsat.authoring.soundness.fieldpoint import Point
from eqsat.authoring.soundness.fieldvalues import at, is_field, joined, precision
from eqsat.rules import FloatClass
from eqsat.rules.instances import Leaf
from ir.graph import AttributeValue
from ir.operators import OPERATORS

OPSET = 21


class Case(NamedTuple):
    """A node and the shapes of its inputs; an array stands for itself, None for what is missing."""

    operator: str
    inputs: Sequence[tuple[int, ...] | np.ndarray | None]
    attributes: Mapping[str, AttributeValue] = {}
    num_outputs: int = 1


def truths(*values: bool) -> np.ndarray:
    return np.array(values)


def integers(*values: object) -> np.ndarray:
    return np.array(values, np.int64)


CONV: Mapping[str, AttributeValue] = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
POOL: Mapping[str, AttributeValue] = {
    "kernel_shape": (2, 3),
    "strides": (1, 2),
    "pads": (1, 1, 0, 1),
    "dilations": (1, 1),
    "ceil_mode": 0,
}
MOVES = [
    Case("Identity", [(2, 3)]),
    Case("Reshape", [(2, 6)], {"shape": (3, 4)}),
    Case("Expand", [(3, 1)], {"shape": (2, 3, 4)}),
    Case("Transpose", [(2, 3, 4)], {"perm": (2, 0, 1)}),
    Case("Concat", [(2, 1), (2, 3)], {"axis": 1}),
    Case("Split", [(5, 2)], {"axis": 0, "split": (2, 3)}, 2),
    Case("Slice", [(5, 4)], {"starts": (4, 1), "ends": (-9, 3), "axes": (0, 1), "steps": (-2, 1)}),
    Case("Pad", [(2, 3), None], {"mode": "constant", "pads": (0, 1, 1, 0)}),
    Case("Pad", [(2, 3), ()], {"mode": "constant", "pads": (0, 1, 1, 0)}),
    Case("Pad", [(3, 3), None], {"mode": "reflect", "pads": (0, 1, 1, 0)}),
    Case("Tile", [(2, 2)], {"repeats": (1, 3)}),
    Case("Trilu", [(3, 3)], {"k": 1, "upper": 0}),
    Case("Gather", [(4, 3), integers(2, -1, 2)], {"axis": 0}),
    Case("GatherElements", [(2, 2), integers([0, 0], [1, 0])], {"axis": 1}),
    Case("GatherND", [(2, 3), integers([0, 1], [1, 2])]),
    Case("ScatterElements", [(3, 2), integers([1, 0]), (1, 2)], {"axis": 0}),
    Case("ScatterND", [(4, 2), integers([1], [3]), (2, 2)]),
    Case("DepthToSpace", [(1, 8, 2, 3)], {"blocksize": 2, "mode": "CRD"}),
    Case("SpaceToDepth", [(1, 2, 4, 6)], {"blocksize": 2}),
    Case("Where", [truths(True, False, True), (2, 3), (3,)]),
    Case("OneHot", [integers(0, 2, 1), integers(3)[0], (2,)], {"axis": -1}),
]
SUMS = [
    Case("Add", [(2, 3), (3,)]),
    Case("Sub", [(2, 1), (3,)]),
    Case("Mul", [(2, 3), ()]),
    Case("Div", [(2, 3), (2, 1)]),
    Case("Neg", [(2, 3)]),
    Case("Reciprocal", [(2, 3)]),
    Case("Sum", [(2, 3), (3,), (1,)]),
    Case("Mean", [(2, 3), (3,), (1,)]),
    Case("Pow", [(2, 3), integers(3)]),
    Case("MatMul", [(2, 1, 3, 2), (4, 2, 3)]),
    Case("MatMul", [(3,), (2, 3, 2)]),
    Case("Gemm", [(3, 2), (4, 3), (4,)], {"alpha": 0.5, "beta": 2.0, "transA": 1, "transB": 1}),
    Case("Gemm", [(2, 3), (3, 4), None]),
    Case("Einsum", [(2, 3, 4), (2, 4, 5)], {"equation": "bij,bjk->ikb"}),
    Case("Einsum", [(3, 3)], {"equation": "ii->i"}),
    Case("Einsum", [(2, 3), (3,), (2,)], {"equation": "ij,j,i"}),
    Case("Conv", [(2, 3, 5, 4), (4, 3, 2, 3), (4,)], CONV),
    Case("Conv", [(1, 4, 6, 5), (6, 2, 2, 2), None], {**CONV, "group": 2, "strides": (2, 1), "pads": (1, 0, 0, 2)}),
    Case("Conv", [(1, 2, 7, 7), (2, 2, 3, 2), None], {**CONV, "dilations": (2, 3)}),
    Case("Conv", [(1, 2, 5), (3, 2, 2), (3,)], {"strides": (1,), "pads": (1, 1), "dilations": (1,), "group": 1}),
    Case("ConvTranspose", [(1, 3, 3, 2), (3, 2, 2, 3), (2,)], {**CONV, "output_padding": (0, 0)}),
    Case(
        "ConvTranspose",
        [(2, 4, 3, 2), (4, 2, 2, 3), None],
        {"strides": (2, 2), "pads": (1, 0, 0, 1), "dilations": (1, 2), "group": 1, "output_padding": (1, 0)},
    ),
    Case("AveragePool", [(1, 2, 4, 5)], {**POOL, "count_include_pad": 0}),
    Case("AveragePool", [(1, 2, 4, 5)], {**POOL, "count_include_pad": 1}),
    Case("GlobalAveragePool", [(2, 3, 2, 4)]),
    Case("ReduceSum", [(2, 3, 4)], {"axes": (-3, -1)}),
    Case("ReduceMean", [(2, 3, 4)], {"axes": (-2,), "keepdims": 0}),
    Case("ReduceProd", [(2, 2, 2)], {"axes": (-2, -1)}),
    Case("ReduceSumSquare", [(2, 3)], {"axes": (-1,), "keepdims": 0}),
    Case("CumSum", [(3, 4), integers(1)[0]], {"exclusive": 1, "reverse": 1}),
    Case("CumSum", [(3, 4), integers(0)[0]]),
]
ORDERED = [
    Case("Relu", [(2, 3)]),
    Case("LeakyRelu", [(2, 3)], {"alpha": 0.25}),
    Case("PRelu", [(2, 3), (3,)]),
    Case("Clip", [(2, 6), np.array(-1.0), np.array(2.0)]),
    Case("Clip", [(2, 6), None, np.array(2.0)]),
    Case("Max", [(2, 3), (3,), (2, 1)]),
    Case("Min", [(2, 3), (3,), (2, 1)]),
    Case("ReduceMax", [(2, 3, 4)], {"axes": (-2,)}),
    Case("ReduceMin", [(2, 3, 4)], {"axes": (-3, -1), "keepdims": 0}),
    Case("MaxPool", [(1, 2, 4, 5)], POOL),
    Case("GlobalMaxPool", [(2, 3, 2, 4)]),
    Case("HardSigmoid", [(2, 6)], {"alpha": 0.25, "beta": 0.5}),
    Case("HardSwish", [(3, 4)]),
    Case("Abs", [(2, 3)]),
    Case("Softsign", [(2, 3)]),
    Case("ReduceL1", [(2, 3)], {"axes": (-1,)}),
    Case("LpNormalization", [np.array([[1.0, 3.0], [2.0, 2.0]])], {"axis": -1, "p": 1}),
]
ROW = np.array([[1.0, 3.0, 1.0, 3.0], [5.0, -5.0, 5.0, -5.0]])
IMAGE = ROW.reshape(1, 2, 2, 2)
ROOTS = [
    Case("Sqrt", [np.array([4.0, 9.0])]),
    Case("Pow", [np.array([4.0, 9.0]), np.array(0.5)]),
    Case("Pow", [np.array([16.0, 81.0]), np.array(-0.75)]),
    Case("ReduceL2", [np.array([[3.0, 4.0], [5.0, 12.0]])], {"axes": (-1,)}),
    Case("LpNormalization", [np.array([[3.0, 4.0], [5.0, 12.0]])], {"axis": -1, "p": 2}),
    Case("LayerNormalization", [ROW[:1], (4,), (4,)], {"epsilon": 3.0}),
    Case("LayerNormalization", [ROW[:1].reshape(1, 2, 2), (2, 2), None], {"axis": -2, "epsilon": 8.0}),
    Case("InstanceNormalization", [IMAGE[:, :1], (1,), (1,)], {"epsilon": 3.0}),
    Case("GroupNormalization", [IMAGE[:, :1].reshape(1, 2, 2, 1), (2,), (2,)], {"epsilon": 3.0, "num_groups": 1}),
    Case("BatchNormalization", [IMAGE, (2,), (2,), (2,), np.array([1.0, 6.0])], {"epsilon": 3.0}),
]


@pytest.fixture
def evaluator() -> FieldEvaluator:
    return FieldEvaluator(np.random.default_rng(0))


def attributes(case: Case) -> dict[str, AttributeValue]:
    columns = OPERATORS[case.operator].attributes
    found = {column.name: case.attributes.get(column.name, column.default) for column in columns}
    return {name: value for name, value in found.items() if value is not None}


def arrays(case: Case) -> list[np.ndarray | None]:
    """Whole numbers but zero, so that quotients exist."""
    rng = np.random.default_rng(5)
    found: list[np.ndarray | None] = []
    for given in case.inputs:
        if isinstance(given, tuple):
            found.append(rng.integers(1, 6, given) * rng.choice([-1.0, 1.0], given))
        else:
            found.append(given)
    return [None if array is None else np.asarray(array) for array in found]


def over_the_field(array: np.ndarray | None) -> np.ndarray | None:
    if array is None or array.dtype.kind != "f":
        return array
    ratios = np.vectorize(lambda value: number(Fraction(value)), otypes=[np.uint64])(array)
    return joined([ratios] * 2, str(array.dtype))


def check(case: Case, evaluator: FieldEvaluator) -> None:
    inputs, given = arrays(case), attributes(case)
    expected = ReferenceNumbers().run(case.operator, given, inputs, opset=OPSET, num_outputs=case.num_outputs)
    fields = [over_the_field(array) for array in inputs]
    found = evaluator.run(case.operator, given, fields, opset=OPSET, num_outputs=case.num_outputs)
    assert len(found) == len(expected)
    for one, two in zip(expected, found, strict=True):
        assert is_field(two)
        assert precision(two) == one.dtype
        assert two.shape == one.shape
        ratios = [number(Fraction(float(value)).limit_denominator(2000)) for value in one.reshape(-1)]
        for place in range(2):
            assert at(two, place).reshape(-1).tolist() == ratios


def identity(case: Case) -> str:
    return case.operator


@pytest.mark.parametrize("case", MOVES, ids=identity)
def test_moves(case: Case, evaluator: FieldEvaluator) -> None:
    check(case, evaluator)


@pytest.mark.parametrize("case", SUMS, ids=identity)
def test_sums_and_products(case: Case, evaluator: FieldEvaluator) -> None:
    check(case, evaluator)


def signed(value: int) -> int:
    return value - PRIME if value > PRIME // 2 else value


@pytest.mark.parametrize("case", ORDERED, ids=identity)
def test_definitions_by_maxima(case: Case, evaluator: FieldEvaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the maxima of small numbers in place of those of which nothing is known."""
    denominator = 24

    def extreme(function: Callable[[Iterable[int]], int]) -> Callable[..., int]:
        return lambda _, values: number(
            Fraction(function(signed(value * denominator % PRIME) for value in values), denominator)
        )

    monkeypatch.setattr(Extrema, "maximum", extreme(max))
    monkeypatch.setattr(Extrema, "minimum", extreme(min))
    monkeypatch.setattr(Point, "_absolute_value", lambda _, value: abs(signed(value)))
    check(case, evaluator)


@pytest.mark.parametrize("case", ROOTS, ids=identity)
def test_definitions_by_roots(case: Case, evaluator: FieldEvaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the roots of squares in place of those of which nothing is known."""

    def root(_: Point, value: int) -> int:
        assert value < 10_000
        assert isqrt(value) ** 2 == value
        return isqrt(value)

    monkeypatch.setattr(Point, "_root", root)
    check(case, evaluator)


def leaf(array: np.ndarray, *, is_constant: bool = False, name: str = "x") -> Leaf:
    return Leaf(name=name, number=1, dims=array.shape, is_constant=is_constant, array=array)


def test_inputs_are_random_whatever_their_elements(evaluator: FieldEvaluator) -> None:
    zeros = np.zeros((2, 3), np.float32)
    one, two = evaluator.leaf(leaf(zeros)), evaluator.leaf(leaf(zeros, name="y"))
    assert len(set(at(one, 0).reshape(-1).tolist())) == 6
    assert evaluator.difference(one, two, FloatClass.EXACT)
    assert not evaluator.difference(one, evaluator.leaf(leaf(zeros + 1)), FloatClass.EXACT)
    assert at(one, 0).tolist() != at(one, 1).tolist()


def test_equal_constants_are_equal(evaluator: FieldEvaluator) -> None:
    several = np.array([1.0, 2.0], np.float32)
    one = evaluator.leaf(leaf(several, is_constant=True))
    assert not evaluator.difference(one, evaluator.leaf(leaf(several, is_constant=True, name="y")), FloatClass.EXACT)
    assert evaluator.difference(one, evaluator.leaf(leaf(several + 1, is_constant=True)), FloatClass.EXACT)
    half = evaluator.leaf(leaf(np.full((2, 2), 0.5, np.float32), is_constant=True))
    assert at(half, 0).tolist() == [[number(Fraction(1, 2))] * 2] * 2


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_no_number_has_no_value(value: float, evaluator: FieldEvaluator) -> None:
    with pytest.raises(UnevaluableError):
        evaluator.leaf(leaf(np.full((), value, np.float32), is_constant=True))


def test_integers_and_truths_stay_what_they_are(evaluator: FieldEvaluator) -> None:
    given = integers(3, 1)
    assert evaluator.leaf(leaf(given)) is given
    (found,) = evaluator.run("Add", {}, [given, given], opset=OPSET, num_outputs=1)
    assert found.tolist() == [6, 2]
    assert not evaluator.difference(found, found.copy(), FloatClass.EXACT)
    assert evaluator.num_compared == 0


@pytest.mark.parametrize(
    ("operator", "inputs", "error"),
    [
        ("Div", [np.ones(2), np.zeros(2)], UnevaluableError),
        ("Log", [np.zeros(2)], UnevaluableError),
        ("ArgMax", [np.ones((2, 2))], UnevaluableError),
        ("Add", [np.ones(2), np.ones(3)], ImpossibleError),
        ("MatMul", [np.ones((2, 3)), np.ones((2, 3))], ImpossibleError),
    ],
)
def test_what_has_no_value(
    operator: str, inputs: list[np.ndarray], error: type[Exception], evaluator: FieldEvaluator
) -> None:
    fields = [over_the_field(array) for array in inputs]
    with pytest.raises(error):
        evaluator.run(operator, attributes(Case(operator, [])), fields, opset=OPSET, num_outputs=1)


def test_indices_that_depend_on_numbers_have_no_value(evaluator: FieldEvaluator) -> None:
    x = evaluator.leaf(leaf(np.ones(3)))
    (places,) = evaluator.run("Cast", {"to": 7}, [x], opset=OPSET, num_outputs=1)
    assert precision(places) == "int64"
    with pytest.raises(UnevaluableError):
        evaluator.run("Gather", {"axis": 0}, [x, places], opset=OPSET, num_outputs=1)
    with pytest.raises(UnevaluableError):
        evaluator.run("Add", {}, [places, places], opset=OPSET, num_outputs=1)


def test_a_mask_of_truths_is_not_added(evaluator: FieldEvaluator) -> None:
    heads = evaluator.leaf(leaf(np.ones((1, 2, 3, 4), np.float32)))
    given = attributes(Case("Attention", []))
    for mask in (np.ones((3, 3), bool), evaluator.run("Greater", {}, [heads, heads], opset=23, num_outputs=1)[0]):
        with pytest.raises(UnevaluableError):
            evaluator.run("Attention", given, [heads, heads, heads, mask], opset=23, num_outputs=1)


def test_casts(evaluator: FieldEvaluator) -> None:
    half = evaluator.leaf(leaf(np.ones(3, np.float16)))

    def cast(value: np.ndarray, to: int) -> np.ndarray:
        return evaluator.run("Cast", {"to": to}, [value], opset=OPSET, num_outputs=1)[0]

    def is_same(one: np.ndarray, two: np.ndarray) -> bool:
        return bool(np.array_equal(at(one, 0), at(two, 0)))

    wide = cast(half, 1)
    assert is_same(wide, half)
    assert is_same(cast(wide, 10), half), "it came from there"
    single = evaluator.leaf(leaf(np.ones(3, np.float32)))
    assert not is_same(cast(single, 10), single)
    assert not is_same(cast(cast(single, 10), 1), single), "rounding is not undone"
    assert not is_same(cast(cast(single, 7), 1), single), "nor cutting"
    assert at(evaluator.run("Cast", {"to": 1}, [truths(True, False)], opset=OPSET, num_outputs=1)[0], 0).tolist() == [
        1,
        0,
    ]


def test_truths_that_depend_on_numbers(evaluator: FieldEvaluator) -> None:
    x, y = (evaluator.leaf(leaf(np.ones(3), name=name)) for name in "xy")

    def run(operator: str, *inputs: np.ndarray) -> np.ndarray:
        return evaluator.run(operator, {}, inputs, opset=OPSET, num_outputs=1)[0]

    greater = run("Greater", x, y)
    assert precision(greater) == "bool"
    assert not evaluator.difference(greater, run("Less", y, x), FloatClass.EXACT)
    assert not evaluator.difference(run("Not", greater), run("LessOrEqual", x, y), FloatClass.EXACT)
    assert evaluator.difference(run("Not", greater), run("Less", x, y), FloatClass.EXACT)
    assert not evaluator.difference(
        run("Not", run("And", greater, run("Equal", x, y))),
        run("Or", run("Not", greater), run("Not", run("Equal", y, x))),
        FloatClass.EXACT,
    )
    assert not evaluator.difference(run("Where", greater, x, x), x, FloatClass.EXACT)
    assert evaluator.difference(run("Where", greater, x, y), x, FloatClass.EXACT)
    assert not evaluator.difference(
        run("Xor", truths(True, True, False), greater),
        run("Where", truths(True, True, False), run("Not", greater), greater),
        FloatClass.EXACT,
    )
