"""Operators of terms: their shapes, their values and the attributes drawn for them fit together."""

from __future__ import annotations

import random

import numpy as np
import pytest

from eqsat.authoring.inference.operators import ROWS
from eqsat.authoring.inference.rows import Draw, Style
from eqsat.authoring.inference.space import NUM_POINTS, points

NUM_DRAWS = 60


@pytest.mark.parametrize("name", sorted(ROWS))
def test_what_is_drawn_has_the_wanted_shape(name: str) -> None:
    row, rng, numbers = ROWS[name], random.Random(0), np.random.default_rng(0)
    num_fitting = 0
    for _ in range(NUM_DRAWS):
        wanted = tuple(rng.choice((1, 2, 3)) for _ in range(rng.randrange(4)))
        arity = rng.choice(row.arities)
        spread = row.spread(wanted, arity, None, Draw(rng, rng.choice(list(Style))))
        if spread is None or row.shape(spread.attributes, spread.operands) is None:
            continue
        arrays = [points(shape, None, numbers) for shape in spread.operands]
        shape = row.shape(spread.attributes, spread.operands)
        assert row.evaluate(spread.attributes, arrays).shape == (NUM_POINTS, *(shape or ()))
        num_fitting += shape == wanted or name == "Concat"  # the pieces of a Concat have sizes of their own
    assert num_fitting > NUM_DRAWS // 3


@pytest.mark.parametrize(
    ("name", "attributes", "shapes"),
    [
        ("Add", (), [(2,), (3,)]),
        ("MatMul", (), [(2, 3), (2, 3)]),
        ("MatMul", (), [(), (3,)]),
        ("Transpose", ((0, 2),), [(2, 3)]),
        ("Concat", (2,), [(2, 3), (2, 3)]),
        ("Concat", (0,), [(2, 3), (2, 4)]),
        ("Reshape", ((4,),), [(2, 3)]),
        ("Slice", ((0, 1, 3),), [(2, 3)]),
        ("Split", ((0, 1, 2), 0), [(2, 3)]),
    ],
)
def test_what_cannot_exist_has_no_shape(
    name: str, attributes: tuple[int | tuple[int, ...], ...], shapes: list[tuple[int, ...]]
) -> None:
    assert ROWS[name].shape(attributes, shapes) is None


@pytest.mark.parametrize(
    "shapes", [((2, 3), (3, 4)), ((5, 2, 3), (3,)), ((3,), (5, 3, 2)), ((3,), (3,)), ((1, 2, 3), (4, 3, 2))]
)
def test_products_are_those_of_each_point(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    numbers = np.random.default_rng(0)
    left, right = (points(shape, None, numbers) for shape in shapes)
    found = ROWS["MatMul"].evaluate((), (left, right))
    expected = np.stack([np.matmul(one, two) for one, two in zip(left, right, strict=True)])
    np.testing.assert_array_equal(found, expected)


def test_an_unknown_function_depends_on_its_argument_alone() -> None:
    x = np.arange(-40, 40).reshape(2, 40)
    sigmoid, tanh = (ROWS[name].evaluate((), (x,)) for name in ("Sigmoid", "Tanh"))
    np.testing.assert_array_equal(sigmoid[:, ::-1], ROWS["Sigmoid"].evaluate((), (x[:, ::-1],)))
    assert (sigmoid != tanh).any()
    assert len(np.unique(sigmoid)) > 40
