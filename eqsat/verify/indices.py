"""Which inputs of which operators are indices, and how many positions they may take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from ir.graph import Node

Shape: TypeAlias = tuple[int, ...]


def num_positions(kind: str, position: int, node: Node, shapes: tuple[Shape, ...]) -> int | None:
    """Return how many positions input ``position`` of a node can index; None where it holds no indices.

    Args:
        kind: The node's operator.
        position: Position among the inputs as the model writes them.
        node: The node.
        shapes: Static shapes of these inputs, empty where nothing is known.
    """
    table = _TABLES.get((kind, position))
    return None if table is None else max(table(node, shapes), 1)


def _along_axis(node: Node, shapes: tuple[Shape, ...]) -> int:
    axis = node.attributes.get("axis", 0)
    if node.is_opaque and node.source is not None and "axis" in node.source.attributes:
        axis = node.source.attributes["axis"].as_int()
    data = shapes[0]
    return data[axis] if isinstance(axis, int) and -len(data) <= axis < len(data) else 1


def _along_first_axes(node: Node, shapes: tuple[Shape, ...]) -> int:
    """One row of indices counts along as many axes as it is long: the shortest of them bounds all."""
    batch = node.attributes.get("batch_dims", 0)
    first = batch if isinstance(batch, int) else 0
    num_axes = max(shapes[1][-1:], default=1)
    return min(shapes[0][first : first + num_axes], default=1)


def _dimension(source: int, axis: int) -> Callable[[Node, tuple[Shape, ...]], int]:
    def size(node: Node, shapes: tuple[Shape, ...]) -> int:
        del node
        shape = shapes[source] if source < len(shapes) else ()
        return shape[axis] if -len(shape) <= axis < len(shape) else 1

    return size


def _rank(node: Node, shapes: tuple[Shape, ...]) -> int:
    del node
    return len(shapes[0])


_TABLES: Final[Mapping[tuple[str, int], Callable[[Node, tuple[Shape, ...]], int]]] = {
    **dict.fromkeys(((kind, 1) for kind in ("Gather", "GatherElements", "Scatter", "ScatterElements")), _along_axis),
    **dict.fromkeys(((kind, 1) for kind in ("GatherND", "ScatterND")), _along_first_axes),
    **dict.fromkeys(((kind, 1) for kind in ("CumSum", "CumProd", "ReduceSum", "Squeeze", "Unsqueeze")), _rank),
    ("ArrayFeatureExtractor", 1): _dimension(0, -1),
    ("EmbedLayerNormalization", 0): _dimension(2, 0),
    ("EmbedLayerNormalization", 1): _dimension(4, 0),
    ("NegativeLogLikelihoodLoss", 1): _dimension(0, 1),
    ("RotaryEmbedding", 3): _dimension(1, 0),
    ("SoftmaxCrossEntropyLoss", 1): _dimension(0, 1),
}
