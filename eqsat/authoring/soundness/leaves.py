"""Inputs and constants of an instance: what is decided of their elements, and the elements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from eqsat.authoring.soundness.values import Style, elements, spared
from ir.data_types import numpy_dtype

if TYPE_CHECKING:
    from eqsat.authoring.soundness.sizes import Shape
    from ir.graph import AttributeValue
    from ir.types import TensorType

Span: TypeAlias = "tuple[int, int]"
"""The smallest and the largest of whole numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafPlan:
    """What a leaf is to be.

    Attributes:
        type: Its type.
        is_constant: True for a constant.
        number: All its elements, where they are decided.
        span: The elements are whole numbers within these bounds; None where any would do.
        is_positive: True where they are to be above zero.
        has_equal_halves: True where the two halves of the last axis are to be the same.
        has_equal_pairs: True where neighbours along it are.
        triangle: What stands on the diagonal and below it, and what above; None for no triangle.
    """

    type: TensorType
    is_constant: bool
    number: float | None = None
    span: Span | None = None
    is_positive: bool = False
    has_equal_halves: bool = False
    has_equal_pairs: bool = False
    triangle: tuple[float, float] | None = None

    @property
    def is_free(self) -> bool:
        """Whether any elements would do."""
        is_table = self.has_equal_halves or self.has_equal_pairs
        is_open = self.number is None and self.span is None and not self.is_positive
        return is_open and not is_table and self.triangle is None


def leaf_elements(plan: LeafPlan, shape: Sequence[int], style: Style, rng: np.random.Generator) -> np.ndarray:
    """Return the elements of a leaf.

    Args:
        plan: What is decided.
        shape: Its shape, symbols as what they stand for.
        style: What free elements are like.
        rng: Source of chance.
    """
    dtype = numpy_dtype(plan.type.dtype)
    with np.errstate(all="ignore"):
        if plan.number is not None:
            return np.full(shape, plan.number, dtype)
        if plan.span is not None:
            low, high = plan.span
            return np.asarray(rng.integers(low, high + 1, shape), dtype)
        if plan.triangle is not None:
            matrix = np.where(np.tri(shape[-1], dtype=np.bool_), *plan.triangle)
            return np.asarray(matrix.astype(dtype).reshape(shape))
    if plan.has_equal_halves or plan.has_equal_pairs:
        half = elements((*shape[:-1], shape[-1] // 2), dtype, Style.NORMAL, rng)
        return np.concatenate([half, half], axis=-1) if plan.has_equal_halves else np.repeat(half, 2, axis=-1)
    return elements(shape, dtype, Style.POSITIVE if plan.is_positive else spared(style, plan), rng)


def span_of(operator: str, position: int, source: Shape, attributes: Mapping[str, AttributeValue]) -> Span | None:
    """Return between which numbers the elements of an input must lie; None where any would do.

    Args:
        operator: Row of the operator table.
        position: Which input.
        source: Shape of the first input, symbols as what they stand for.
        attributes: Attributes of the node.
    """
    row = _SPANS.get((operator, position))
    return None if row is None else row(source, attributes)


_Attributes: TypeAlias = "Mapping[str, AttributeValue]"


def _extent(source: Shape, attributes: _Attributes, name: str, default: int) -> int:
    axis = attributes.get(name, default)
    return source[axis] if isinstance(axis, int) and -len(source) <= axis < len(source) else 0


def _indices(source: Shape, attributes: _Attributes) -> Span:
    size = max(_extent(source, attributes, "axis", 0), 1)
    return -size, size - 1


def _positions(source: Shape, attributes: _Attributes) -> Span:
    del attributes
    size = max(min(source, default=1), 1)
    return -size, size - 1


def _lengths(source: Shape, attributes: _Attributes) -> Span:
    """Lengths of sequences of which there are as many places as the first axis says."""
    return 1, max(_extent(source, attributes, "layout", 0), 1)


def _times(source: Shape, attributes: _Attributes) -> Span:
    return 1, max(_extent(source, attributes, "time_axis", 0), 1)


def _some_axis(source: Shape, attributes: _Attributes) -> Span:
    del attributes
    return -max(len(source), 1), max(len(source), 1) - 1


def _between(low: int, high: int) -> Callable[[Shape, _Attributes], Span]:
    return lambda _, __: (low, high)


_SPANS: Final[Mapping[tuple[str, int], Callable[[Shape, _Attributes], Span]]] = {
    **{(name, 1): _indices for name in ("Gather", "GatherElements", "ScatterElements")},
    **{(name, 1): _positions for name in ("GatherND", "ScatterND")},
    **{(name, 4): _lengths for name in ("LSTM", "GRU", "RNN")},
    ("ReverseSequence", 1): _times,
    ("CumSum", 1): _some_axis,
    ("OneHot", 1): _between(1, 6),
    ("Range", 0): _between(-3, 3),
    ("Range", 1): _between(-3, 7),
    ("Range", 2): _between(1, 3),
    ("BitShift", 1): _between(0, 7),
    ("Resize", 2): _between(1, 3),
    ("Resize", 3): _between(1, 6),
}
"""What inputs must be whose elements are indices, lengths or sizes."""
