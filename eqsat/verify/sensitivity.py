"""How much rounding a model's structure lets into each of its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from eqsat.verify.reductions import Shapes, reduction_length
from ir.graph import Graph, Node
from ir.interface import op_type

_FLOAT_PRECISION: Final[Mapping[int, int]] = {11: 53, 1: 24, 10: 11, 16: 8, 17: 4, 18: 4, 19: 3, 20: 3}
"""Bits of the significand, by element type."""

FULL_PRECISION: Final = 53
"""Bits of float64: values that no rounding reached count as this precise."""

EXACT_OPERATORS: Final = frozenset(
    {
        "Abs",
        "Cast",
        "CastLike",
        "Clip",
        "Compress",
        "Concat",
        "DepthToSpace",
        "Dropout",
        "Expand",
        "Flatten",
        "Gather",
        "GatherElements",
        "GatherND",
        "GlobalMaxPool",
        "Identity",
        "Max",
        "MaxPool",
        "Min",
        "Neg",
        "OneHot",
        "Pad",
        "ReduceMax",
        "ReduceMin",
        "Relu",
        "Reshape",
        "ReverseSequence",
        "ScatterElements",
        "ScatterND",
        "Shape",
        "Size",
        "Slice",
        "SpaceToDepth",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Trilu",
        "Unsqueeze",
        "Where",
    },
)
"""Operators that pick or move elements and round nothing."""

_JUMPS: Final = frozenset(
    {
        "ArgMax",
        "ArgMin",
        "Ceil",
        "DynamicQuantizeLinear",
        "Equal",
        "Floor",
        "Greater",
        "GreaterOrEqual",
        "Hardmax",
        "Less",
        "LessOrEqual",
        "Mod",
        "NonMaxSuppression",
        "NonZero",
        "QuantizeLinear",
        "Round",
        "Sign",
        "TopK",
        "Unique",
    },
)
"""Operators whose result jumps where a float moves by its last bit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """What happened to a value on its way.

    Attributes:
        num_reductions: Reductions (products, sums, means) on the longest path to it.
        reduction_length: Elements that the longest of them adds up.
        precision_bits: Bits of the least precise float that it depends on; ``FULL_PRECISION`` where none was rounded.
        has_jumps: True where it depends on a jump that a rounded float decides.
    """

    num_reductions: int = 0
    reduction_length: int = 1
    precision_bits: int = FULL_PRECISION
    has_jumps: bool = False

    @property
    def is_rounded(self) -> bool:
        """True where some operator rounded."""
        return self.precision_bits < FULL_PRECISION

    def joined(self, other: Sensitivity) -> Sensitivity:
        """Return what holds for a value that depends on both."""
        return Sensitivity(
            num_reductions=max(self.num_reductions, other.num_reductions),
            reduction_length=max(self.reduction_length, other.reduction_length),
            precision_bits=min(self.precision_bits, other.precision_bits),
            has_jumps=self.has_jumps or other.has_jumps,
        )


_UNTOUCHED: Final = Sensitivity()


def output_sensitivities(graph: Graph, sizes: Mapping[int, int]) -> dict[str, Sensitivity]:
    """Return the sensitivity of each output.

    Args:
        graph: The model.
        sizes: Sizes by symbol; a symbol without one counts as 1.
    """
    known: dict[str, Sensitivity] = {}
    for node in graph.nodes:
        before = _UNTOUCHED
        for name in node.inputs:
            before = before.joined(known.get(name, _UNTOUCHED))
        after = _after(graph, node, before, sizes)
        known.update(dict.fromkeys((name for name in node.outputs if name), after))
    return {name: known.get(name, _UNTOUCHED) for name in graph.outputs}


def _after(graph: Graph, node: Node, before: Sensitivity, sizes: Mapping[int, int]) -> Sensitivity:
    kind = op_type(node)
    types = [graph.types.get(name) for name in (*node.inputs, *node.outputs) if name]
    bits = min((_FLOAT_PRECISION.get(type_.dtype, FULL_PRECISION) for type_ in types if type_), default=24)
    has_unknown_type = any(graph.types.get(name) is None for name in node.outputs if name)
    if has_unknown_type and kind not in EXACT_OPERATORS:
        bits = min(bits, 24)
    is_narrowing = kind == "Cast" and _is_narrowing(graph, node)
    rounds = is_narrowing or (kind not in EXACT_OPERATORS and bits < FULL_PRECISION)
    length = reduction_length(node, _shapes(graph, node, sizes)) if rounds else 1
    return Sensitivity(
        num_reductions=before.num_reductions + (length > 1),
        reduction_length=max(before.reduction_length, length),
        precision_bits=min(before.precision_bits, bits) if rounds else before.precision_bits,
        has_jumps=before.has_jumps or (before.is_rounded and _jumps(graph, node, kind)),
    )


def _shapes(graph: Graph, node: Node, sizes: Mapping[int, int]) -> Shapes:
    """Shapes of the inputs and of the first output; empty where nothing is known."""

    def shape(name: str) -> tuple[int, ...]:
        found = graph.types.get(name)
        return tuple(dim if dim >= 0 else sizes.get(dim, 1) for dim in found.shape) if found is not None else ()

    return Shapes(inputs=tuple(shape(name) for name in node.inputs), output=shape(node.outputs[0]))


def _is_narrowing(graph: Graph, node: Node) -> bool:
    bits = [
        _FLOAT_PRECISION.get(graph.types[name].dtype, FULL_PRECISION) if name in graph.types else 24
        for name in (node.inputs[0], node.outputs[0])
    ]
    return bits[1] < bits[0]


def _jumps(graph: Graph, node: Node, kind: str) -> bool:
    source = graph.types.get(node.inputs[0]) if node.inputs else None
    is_float = source is None or source.dtype in _FLOAT_PRECISION
    if kind == "Cast":
        target = graph.types.get(node.outputs[0])
        return is_float and target is not None and target.dtype not in _FLOAT_PRECISION
    if kind in {"GridSample", "Resize"}:
        return is_float and _is_nearest(node)
    return is_float and kind in _JUMPS


def _is_nearest(node: Node) -> bool:
    """Rounded positions pick the element; for Resize only where the positions themselves are computed."""
    if op_type(node) == "Resize" and not any(node.inputs[1:]):
        return False
    mode = node.attributes.get("mode")
    if mode is None and node.source is not None and "mode" in node.source.attributes:
        mode = node.source.attributes["mode"].as_string()
    return mode == "nearest"
