"""What a model does with an input, hence which values make sense for it.

The consumers of an input are followed through operators that keep its elements, until one says what they mean:
indices of a table, a mask, a number of things. What no consumer says is plain data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, final

import numpy as np

from eqsat.verify.indices import num_positions
from ir.graph import Graph, Node
from ir.interface import input_names, op_type
from ir.nested import nested
from ir.types import TensorType


class Role(StrEnum):
    """What the elements of an input stand for."""

    DATA = "data"
    """Any numbers."""
    INDEX = "index"
    """Positions in a table: ``low <= element < high``."""
    MASK = "mask"
    """0 or 1, and some of each in every row."""
    COUNT = "count"
    """A small positive number: a length, a size, a trip count, a divisor."""
    SHAPE = "shape"
    """Exactly ``values``."""
    CHOICE = "choice"
    """One of ``values``: what the model compares it with, or what the user's own data held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What an input holds.

    Attributes:
        role: What the elements stand for.
        low: Smallest element of an index or count.
        high: One more than the largest.
        values: The elements of a shape, or those to choose from.
    """

    role: Role
    low: int = 0
    high: int = 0
    values: tuple[int, ...] = ()


MAX_COUNT: Final = 8
"""Counts stay below this, unless a dimension bounds them."""

_PASS_FIRST: Final = frozenset(
    {
        "Cast",
        "Clip",
        "Dropout",
        "Expand",
        "Flatten",
        "Gather",
        "GatherElements",
        "GatherND",
        "Identity",
        "Pad",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Trilu",
        "Unsqueeze",
    },
)
"""Operators whose result holds the elements of their first input, and little else."""

_PASS_ALL: Final = frozenset({"Concat", "Max", "Min"})

BOOL: Final = 9
_WHOLE: Final = frozenset({2, 3, 4, 5, 6, 7, BOOL, 12, 13})
"""Element types without fractions."""

_SHAPE_POSITIONS: Final[Mapping[str, frozenset[int]]] = {
    "Reshape": frozenset({1}),
    "Expand": frozenset({1}),
    "ConstantOfShape": frozenset({0}),
}

_COUNT_POSITIONS: Final[Mapping[str, frozenset[int]]] = {
    "Div": frozenset({1}),
    "Mod": frozenset({1}),
    "Loop": frozenset({0}),
    "Pow": frozenset({1}),
    "BitShift": frozenset({1}),
    "Range": frozenset({0, 1, 2}),
    "Resize": frozenset({2, 3}),
    "Slice": frozenset({1, 2, 4}),
    "Tile": frozenset({1}),
    "TopK": frozenset({1}),
    "Upsample": frozenset({1}),
    "OneHot": frozenset({1}),
    "Split": frozenset({1}),
    "Pad": frozenset({1}),
}

_LENGTH_POSITIONS: Final[Mapping[str, int]] = {"LSTM": 4, "GRU": 4, "RNN": 4, "ReverseSequence": 1}
"""Where lengths along the time axis stand."""

_MASK_POSITIONS: Final[Mapping[str, int]] = {"Attention": 3, "MultiHeadAttention": 4, "EmbedLayerNormalization": 7}
"""Where masks stand, if their elements are whole numbers."""

_COMPARISONS: Final = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})

MASKING_SCALE: Final = 1e3
"""A factor of this size or more turns ``1 - mask`` into a penalty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trail:
    """How far the elements of an input were followed.

    The value at hand lies between ``element * scale + lowest`` and ``element * scale + highest``; ``is_sum`` says that
    another value that is not constant was added, ``is_negated`` that it is ``1 - element``.
    """

    name: str
    dtype: int
    scale: int = 1
    lowest: int = 0
    highest: int = 0
    is_sum: bool = False
    is_negated: bool = False


@final
class Contents:
    """What the inputs of a model hold, judged by their consumers, at some sizes."""

    def __init__(self, graph: Graph, sizes: Mapping[int, int]) -> None:
        """Prepare to follow inputs.

        Args:
            graph: The model.
            sizes: Sizes by symbol.
        """
        self._walk = _Walk(graph, sizes)

    def of(self, name: str, type_: TensorType) -> Content:
        """Return what the input ``name``, of this type, holds."""
        return _meant(self._walk.follow(name, type_.dtype))


def _meant(found: list[Content]) -> Content:
    """What the elements are, by all their uses together."""
    indices = [content for content in found if content.role is Role.INDEX]
    if indices:
        low = max(content.low for content in indices)
        return replace(indices[0], low=low, high=max(min(content.high for content in indices), low + 1))
    shape = next((content for content in found if content.role is Role.SHAPE), None)
    if shape is not None:
        return shape
    masks = [content for content in found if content.role is Role.MASK]
    choices = {value for content in found if content.role is Role.CHOICE for value in content.values}
    if choices:
        return Content(role=Role.CHOICE, values=tuple(sorted(choices.union((0, 1) if masks else ()), reverse=True)))
    if masks:
        return masks[0]
    counts = [content for content in found if content.role is Role.COUNT]
    if counts:
        return replace(counts[0], high=min(content.high for content in counts))
    return Content(role=Role.DATA)


class _Walk:
    """Follows one input through the graph."""

    def __init__(self, graph: Graph, sizes: Mapping[int, int]) -> None:
        self._graph = graph
        self._sizes = sizes
        self._inside = nested(graph)
        self._uses: dict[str, list[tuple[Node, int]]] = {}
        for node in (*graph.nodes, *self._inside.nodes):
            for position, value in enumerate(input_names(node)):
                if value:
                    self._uses.setdefault(value, []).append((node, position))

    def follow(self, name: str, dtype: int) -> list[Content]:
        """Return what each use at the end of a trail says."""
        found: list[Content] = []
        seen = {name}
        pending = [_Trail(name=name, dtype=dtype)]
        while pending:
            trail = pending.pop()
            for node, position in self._uses.get(trail.name, ()):
                content = self._meaning(node, position, trail)
                if content is not None:
                    found.append(content)
                    continue
                for following in self._onward(node, position, trail):
                    if following.name not in seen:
                        seen.add(following.name)
                        pending.append(following)
        return found

    def _meaning(self, node: Node, position: int, trail: _Trail) -> Content | None:
        """What the elements are, by this use; None where it says nothing."""
        kind = op_type(node)
        bound = self._table_size(node, kind, position)
        if bound is not None:
            return _index(trail, bound)
        if self._is_mask(node, kind, position, trail):
            return Content(role=Role.MASK)
        return self._compared(node, kind, position, trail) or self._quantity(node, kind, position)

    def _compared(self, node: Node, kind: str, position: int, trail: _Trail) -> Content | None:
        """The numbers around a constant that whole numbers are compared with."""
        if kind not in _COMPARISONS or trail.dtype not in _WHOLE - {BOOL} or trail.is_sum or trail.is_negated:
            return None
        names = input_names(node)
        other = self._number(names[1 - position]) if len(names) == 2 else None
        if other is None or other != int(other):
            return None
        around = (0,) if kind == "Equal" else (-1, 0, 1)
        low, high = trail.lowest, trail.highest
        if low != high:
            return None
        values = {(int(other) + step - low) // trail.scale for step in around}
        return Content(role=Role.CHOICE, values=tuple(sorted(values)))

    def _quantity(self, node: Node, kind: str, position: int) -> Content | None:
        """A shape, a length or a count."""
        if position in _SHAPE_POSITIONS.get(kind, ()):
            return self._target_shape(node)
        if _LENGTH_POSITIONS.get(kind) == position:
            return Content(role=Role.COUNT, low=1, high=1 + self._num_steps(node, kind))
        if position in _COUNT_POSITIONS.get(kind, ()):
            return Content(role=Role.COUNT, low=1, high=MAX_COUNT)
        return None

    def _table_size(self, node: Node, kind: str, position: int) -> int | None:
        """How many positions the table has that the elements index; None where they index none."""
        names = input_names(node)
        if kind == "OneHot" and position == 0:
            depth = self._number(names[1])
            return MAX_COUNT if depth is None else int(depth)
        return num_positions(kind, position, node, tuple(self._shape(name) for name in names))

    def _is_mask(self, node: Node, kind: str, position: int, trail: _Trail) -> bool:
        names = input_names(node)
        other = self._number(names[1 - position]) if len(names) == 2 else None
        is_whole = trail.dtype in _WHOLE
        match kind:
            case "And" | "Not" | "Or" | "Xor":
                is_mask = True
            case "Where" | "CumSum":
                is_mask = position == 0 and (kind == "Where" or is_whole)
            case "Cast":
                is_mask = self._type(node.outputs[0]).dtype == BOOL != trail.dtype
            case "Equal":
                is_mask = other in {0.0, 1.0}
            case "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual":
                is_mask = is_whole and other in {0.0, 1.0}
            case "Sub":
                is_mask = is_whole and position == 1 and other == 1.0
            case "Mul":
                is_mask = trail.is_negated and other is not None and abs(other) >= MASKING_SCALE
            case _:
                is_mask = is_whole and _MASK_POSITIONS.get(kind) == position
        return is_mask

    def _target_shape(self, node: Node) -> Content:
        """The shape that the node's stated result has: what a computed shape must say."""
        values = self._shape(node.outputs[0]) if node.outputs[0] in self._graph.types else ()
        return Content(role=Role.SHAPE, values=values)

    def _num_steps(self, node: Node, kind: str) -> int:
        shape = self._shape(input_names(node)[0])
        axis = node.attributes.get("time_axis", 0) if kind == "ReverseSequence" else node.attributes.get("layout", 0)
        return shape[axis] if isinstance(axis, int) and axis < len(shape) else 1

    def _onward(self, node: Node, position: int, trail: _Trail) -> list[_Trail]:
        """The values that hold the elements after this use."""
        kind = op_type(node)
        outputs = [output for output in node.outputs if output]
        passes = kind in _PASS_ALL or (kind in _PASS_FIRST and position == 0) or (kind == "Where" and position > 0)
        if passes:
            return [replace(trail, name=output) for output in outputs]
        names = input_names(node)
        if len(names) != 2 or kind not in {"Add", "Sub", "Mul"}:
            return []
        other = self._extremes(names[1 - position])
        if other is None:
            return [replace(trail, name=outputs[0], is_sum=True)] if kind == "Add" else []
        moved = _moved(trail, kind, position, other)
        return [] if moved is None else [replace(moved, name=outputs[0])]

    def _type(self, name: str) -> TensorType:
        return self._graph.types.get(name) or self._inside.types.get(name, TensorType(0, ()))

    def _shape(self, name: str) -> tuple[int, ...]:
        return tuple(dim if dim >= 0 else self._sizes.get(dim, MAX_COUNT) for dim in self._type(name).shape)

    def _number(self, name: str) -> float | None:
        """The number that a constant repeats; None where it is no such constant."""
        extremes = self._extremes(name)
        return extremes[0] if extremes is not None and extremes[0] == extremes[1] else None

    def _extremes(self, name: str) -> tuple[float, float] | None:
        """Smallest and largest element of a constant of finite numbers."""
        constant = self._graph.constants.get(name) or self._inside.constants.get(name)
        if constant is None or 0 in constant.type.shape or constant.type.dtype == 8:
            return None
        array = np.asarray(constant.numpy()).astype(np.float64)
        return (float(array.min()), float(array.max())) if np.isfinite(array).all() else None


def _index(trail: _Trail, bound: int) -> Content:
    """The elements for which the value at hand lies below ``bound``, and at zero or above."""
    limit = max(bound - 1 - trail.highest, 0) // trail.scale
    if trail.is_sum:
        limit //= 2
    low = max(-(trail.lowest // trail.scale), 0)
    return Content(role=Role.INDEX, low=low, high=max(limit + 1, low + 1))


def _moved(trail: _Trail, kind: str, position: int, other: tuple[float, float]) -> _Trail | None:
    """The trail after a constant between ``other`` was added, subtracted or multiplied; None where it is lost."""
    low, high = other
    if kind == "Mul":
        if low != high or high < 1 or high != int(high):
            return None
        factor = int(high)
        return replace(trail, scale=trail.scale * factor, lowest=trail.lowest * factor, highest=trail.highest * factor)
    if kind == "Sub" and position == 1:
        return replace(trail, is_negated=True) if low == high == 1 else None
    if kind == "Sub":
        low, high = -high, -low
    return replace(trail, lowest=trail.lowest + int(low), highest=trail.highest + int(high))
