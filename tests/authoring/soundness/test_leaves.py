"""Elements of inputs that are no numbers like others: indices, lengths and sizes."""

from __future__ import annotations

import numpy as np
import pytest

from eqsat.authoring.soundness.leaves import LeafPlan, Span, leaf_elements, span_of
from eqsat.authoring.soundness.values import Style
from ir.graph import AttributeValue
from ir.types import TensorType


@pytest.mark.parametrize(
    ("operator", "position", "source", "attributes", "span"),
    [
        ("Gather", 1, (3, 5), {"axis": 1}, (-5, 4)),
        ("GatherND", 1, (3, 5), {"batch_dims": 0}, (-3, 2)),
        ("LSTM", 4, (7, 2, 3), {"layout": 0}, (1, 7)),
        ("GRU", 4, (2, 7, 3), {"layout": 1}, (1, 7)),
        ("ReverseSequence", 1, (4, 6), {"time_axis": 1}, (1, 6)),
        ("CumSum", 1, (4, 6), {}, (-2, 1)),
        ("OneHot", 1, (4,), {}, (1, 6)),
        ("Gather", 1, (0,), {"axis": 0}, (-1, 0)),
    ],
)
def test_spans(
    operator: str, position: int, source: tuple[int, ...], attributes: dict[str, AttributeValue], span: Span
) -> None:
    assert span_of(operator, position, source, attributes) == span


@pytest.mark.parametrize(("operator", "position"), [("Gather", 0), ("Add", 1), ("LSTM", 5)])
def test_other_inputs_are_free(operator: str, position: int) -> None:
    assert span_of(operator, position, (2, 3), {}) is None


def elements(plan: LeafPlan, *shape: int) -> np.ndarray:
    return leaf_elements(plan, shape, Style.SPECIAL, np.random.default_rng(0))


def test_elements_lie_within_their_span() -> None:
    found = elements(LeafPlan(type=TensorType(7, (100,)), is_constant=False, span=(2, 4)), 100)
    assert found.dtype == np.int64
    assert set(found) == {2, 3, 4}


def test_a_number_fills_a_leaf() -> None:
    assert (elements(LeafPlan(type=TensorType(1, (2, 2)), is_constant=True, number=0.5), 2, 2) == 0.5).all()


def test_a_triangle() -> None:
    plan = LeafPlan(type=TensorType(1, (1, 3, 3)), is_constant=True, triangle=(0.0, -1.0))
    assert elements(plan, 1, 3, 3).tolist() == [[[0, -1, -1], [0, 0, -1], [0, 0, 0]]]


def test_equal_halves() -> None:
    found = elements(LeafPlan(type=TensorType(1, (3, 4)), is_constant=True, has_equal_halves=True), 3, 4)
    assert (found[:, :2] == found[:, 2:]).all()


def test_equal_pairs() -> None:
    plan = LeafPlan(type=TensorType(1, (3, 4)), is_constant=True, has_equal_pairs=True)
    found = elements(plan, 3, 4)
    assert not plan.is_free
    assert (found[:, 0::2] == found[:, 1::2]).all()
    assert (found[:, 0] != found[:, 2]).any()


def test_constants_are_spared_what_is_strange() -> None:
    plain = LeafPlan(type=TensorType(1, (50,)), is_constant=False)
    constant = LeafPlan(type=TensorType(1, (50,)), is_constant=True)
    assert plain.is_free
    assert not np.isfinite(elements(plain, 50)).all()
    assert np.isfinite(elements(constant, 50)).all()
