"""Operators that only move elements: the ordinary evaluator moves labels, and the elements go where their labels go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from eqsat.authoring.soundness.evaluator import UnevaluableError
from eqsat.authoring.soundness.fieldvalues import is_field, precision

if TYPE_CHECKING:
    from ir.graph import AttributeValue

_INDICES: Final[Mapping[str, frozenset[int]]] = {
    **dict.fromkeys(
        (
            *("Identity", "Reshape", "Expand", "Transpose", "Concat", "Split", "Slice", "Pad", "Tile", "Trilu"),
            *("DepthToSpace", "SpaceToDepth", "Dropout"),
        ),
        frozenset[int](),
    ),
    **dict.fromkeys(
        ("Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND", "ReverseSequence"), frozenset({1})
    ),
    "Where": frozenset({0}),
    "OneHot": frozenset({0, 1}),
}
"""Operators that move elements or put zeros, and which of their inputs say where to."""


def is_move(operator: str, attributes: Mapping[str, AttributeValue], inputs: Sequence[np.ndarray | None]) -> bool:
    """Return whether a node only moves elements, to places that do not depend on numbers of the field."""
    indices = _INDICES.get(operator)
    if indices is None or attributes.get("reduction", "none") != "none":
        return False
    return not any(is_field(inputs[place]) for place in indices if place < len(inputs))


def move(
    inputs: Sequence[np.ndarray | None], ordinary: Callable[[Sequence[np.ndarray | None]], tuple[np.ndarray, ...]]
) -> tuple[np.ndarray, ...]:
    """Return the outputs of a node that only moves elements.

    Args:
        inputs: Its inputs; those over the field are of one element type.
        ordinary: Gives its outputs on ordinary arrays.

    Raises:
        UnevaluableError: The inputs are of several element types.
    """
    sources = [value for value in inputs if is_field(value)]
    if len({source.dtype for source in sources}) != 1:
        raise UnevaluableError("elements of several types in one place")
    labels = iter(labelled(sources))
    outputs = ordinary([next(labels) if is_field(value) else value for value in inputs])
    return tuple(moved(output, sources) for output in outputs)


def labelled(sources: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return for each tensor an array that numbers its elements, from one and through all tensors."""
    found: list[np.ndarray] = []
    first = 1
    for source in sources:
        dtype = "float64" if precision(source) == "float64" else "float32"
        found.append(np.arange(first, first + source.size, dtype=dtype).reshape(source.shape))
        first += source.size
    return found


def moved(labels: np.ndarray, sources: Sequence[np.ndarray]) -> np.ndarray:
    """Return the elements that labels name; the label zero names the number zero.

    Args:
        labels: A label for each element of the result.
        sources: Tensors of one element type.

    Raises:
        UnevaluableError: A label names nothing.
    """
    zero = np.zeros(1, sources[0].dtype)
    pool = np.concatenate([zero, *(source.reshape(-1) for source in sources)])
    flat = labels.reshape(-1)
    places = flat.astype(np.int64)
    if places.size and (bool((places != flat).any()) or places.min() < 0 or places.max() >= pool.size):
        raise UnevaluableError("elements are computed where they are taken to be moved")
    return pool[places].reshape(labels.shape)
