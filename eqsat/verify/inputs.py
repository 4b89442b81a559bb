"""Random inputs that a model can take: right shapes, and values that respect what it does with them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from eqsat.verify.content import BOOL, MAX_COUNT, Content, Contents, Role
from eqsat.verify.errors import UnsupportedInputError
from eqsat.verify.sizes import default_sizes, input_types
from ir.graph import Graph
from ir.interface import numpy_dtype
from ir.types import TensorType

UNSUPPORTED: Final[Mapping[int, str]] = {8: "strings", 14: "complex numbers", 15: "complex numbers"}
_HALF: Final = frozenset({10, 16})
_FLOATS: Final = frozenset({1, 10, 11, 16, 17, 18, 19, 20})
INTEGERS: Final = frozenset({2, 3, 4, 5, 6, 7, 12, 13})
HALF_SCALE: Final = 0.5
"""Standard deviation of 16 bit floats, which overflow early."""
SMALL_INTEGER: Final = 8
"""Integers that stand for plain data stay within this of zero."""


MAX_ELEMENTS: Final = 1 << 28
"""Elements of one input above which none are drawn: 2 GiB while they are drawn as 64 bit numbers, and as much again for
each copy that goes to ONNX Runtime."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """One input of a model.

    Attributes:
        name: Its name.
        type: Its type; symbols may stand in the shape.
        content: What it holds at the default sizes.
        is_fixed: True where it holds that at every size.
    """

    name: str
    type: TensorType
    content: Content
    is_fixed: bool = False


def input_specs(graph: Graph, input_shapes: Mapping[str, tuple[int, ...]]) -> tuple[InputSpec, ...]:
    """Return what is known of each input.

    Args:
        graph: The model.
        input_shapes: The user's shapes by input name.

    Raises:
        UsageError: A shape names no input, contradicts the model or another shape.
        UnsupportedInputError: No value can be made for an input: a sequence, strings, an unknown rank, more
            elements than are drawn.
    """
    types = input_types(graph, input_shapes)
    sizes = default_sizes(graph, input_shapes)
    for name, type_ in types.items():
        if type_.dtype not in _FLOATS | INTEGERS | {BOOL}:
            what = UNSUPPORTED.get(type_.dtype, f"elements of type {type_.dtype}")
            raise UnsupportedInputError(f"input {name!r} holds {what}: no value can be made for it")
        num_elements = math.prod(dim if dim >= 0 else sizes.get(dim, 1) for dim in type_.shape)
        if num_elements > MAX_ELEMENTS:
            raise UnsupportedInputError(f"input {name!r} has {num_elements} elements: that many are not drawn")
    contents = Contents(graph, sizes)
    return tuple(InputSpec(name=name, type=type_, content=contents.of(name, type_)) for name, type_ in types.items())


def random_feeds(
    graph: Graph, specs: Sequence[InputSpec], rng: np.random.Generator, symbol_sizes: Mapping[int, int]
) -> dict[str, np.ndarray]:
    """Return one random array for each input.

    Args:
        graph: The model.
        specs: Its inputs.
        rng: Source of the numbers.
        symbol_sizes: A size for each symbol in the shapes of ``specs``.

    Raises:
        KeyError: A symbol has no size.
    """
    feeds = {}
    contents = Contents(graph, symbol_sizes) if any(_depends_on_sizes(spec) for spec in specs) else None
    for spec in specs:
        shape = tuple(dim if dim >= 0 else symbol_sizes[dim] for dim in spec.type.shape)
        content = spec.content
        if contents is not None and _depends_on_sizes(spec) and symbol_sizes:
            content = contents.of(spec.name, spec.type)
        if content.role is Role.CHOICE:
            feeds[spec.name] = _random_choice(spec, shape, rng)
        else:
            feeds[spec.name] = _random_array(spec.type.dtype, shape, content, rng)
    return feeds


def _depends_on_sizes(spec: InputSpec) -> bool:
    return spec.content.role in {Role.INDEX, Role.COUNT, Role.SHAPE} and not spec.is_fixed


def _random_array(dtype: int, shape: tuple[int, ...], content: Content, rng: np.random.Generator) -> np.ndarray:
    kind = numpy_dtype(dtype)
    match content.role:
        case Role.INDEX | Role.COUNT:
            high = max(content.high, content.low + 1)  # a table of no rows has no valid index
            return rng.integers(content.low, high, shape).astype(kind)
        case Role.SHAPE if math.prod(shape) == len(content.values):
            return np.array(content.values).reshape(shape).astype(kind)
        case Role.MASK:
            return _random_mask(shape, rng).astype(kind)
        case Role.SHAPE:
            return rng.integers(1, MAX_COUNT, shape).astype(kind)
        case Role.DATA | Role.CHOICE:
            return _random_data(dtype, shape, rng)


def _random_mask(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Rows padded on the right: the first three quarters full, no other less than half.

    A row of more than one element has a 0 as well as a 1, because nobody knows which of them hides what.
    """
    if not shape:
        return np.array(1)
    *outer, length = shape
    kept = rng.integers(max(length // 2, 1), max(length, 2), (*outer, 1))
    if kept.size:
        kept.reshape(-1)[0] = max(length - max(length // 4, 1), 1)
    return np.arange(length) < kept


def _random_choice(spec: InputSpec, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """One of the values; where several elements are only compared with them, other small numbers among them."""
    dtype = spec.type.dtype
    chosen = rng.choice(spec.content.values, shape)
    if not spec.is_fixed and math.prod(shape) > 1:
        chosen = np.where(rng.random(shape) < 0.5, chosen, _random_data(dtype, shape, rng))
    return np.asarray(chosen).astype(numpy_dtype(dtype))


def _random_data(dtype: int, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    kind = numpy_dtype(dtype)
    if dtype in _FLOATS:
        scale = HALF_SCALE if dtype in _HALF else 1.0
        return np.asarray(scale * rng.standard_normal(shape)).astype(kind)
    if dtype == BOOL:
        return rng.random(shape) < 0.5
    if dtype == 2:
        return rng.integers(0, 256, shape).astype(kind)
    if dtype == 3:
        return rng.integers(-128, 128, shape).astype(kind)
    low = -SMALL_INTEGER if np.issubdtype(kind, np.signedinteger) else 0
    return rng.integers(low, SMALL_INTEGER + 1, shape).astype(kind)
