"""Attention and rotary embedding over the field, by their definitions (Vaswani et al. 2017; Su et al. 2021).

A place that is hidden weighs nothing: its exponential is zero. Hidden places are known from ``is_causal`` and its like
alone; masks are numbers that are added, and as numbers of the field they are never infinite.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from eqsat.authoring.soundness import fieldnumbers as f
from eqsat.authoring.soundness.evaluator import UnevaluableError
from eqsat.authoring.soundness.fieldfunctions import given, real
from eqsat.authoring.soundness.fieldproducts import integer, matmul

if TYPE_CHECKING:
    from eqsat.authoring.soundness.fieldfunctions import Attributes, Inputs, Kernel
    from eqsat.authoring.soundness.fieldnumbers import Numbers
    from eqsat.authoring.soundness.fieldpoint import Point


def _optional(inputs: Inputs, place: int) -> np.ndarray | None:
    return inputs[place] if place < len(inputs) else None


def _none_of(inputs: Inputs, *places: int) -> None:
    """Check that inputs are missing.

    Raises:
        UnevaluableError: One of them is not.
    """
    if any(_optional(inputs, place) is not None for place in places):
        raise UnevaluableError("attention with a past, or with lengths")


def attention(
    point: Point, query: Numbers, key: Numbers, value: Numbers, added: Numbers | None, scale: float, *, is_causal: bool
) -> Numbers:
    """Return ``softmax(query key^T scale + added) value`` for batches of heads.

    Args:
        point: Where to evaluate.
        query: Of shape (batch, heads, places, size).
        key: Of shape (batch, groups, others, size); each group serves as many heads as there are for it.
        value: Of shape (batch, groups, others, value size).
        added: What is added to the scores; None for nothing.
        scale: Factor of the scores; zero for one over the root of the size.
        is_causal: True where no place sees those after it.

    Raises:
        UnevaluableError: The heads are no groups.
        ZeroDivisionError: There is nothing to see.
    """
    if not key.shape[1] or query.shape[1] % key.shape[1]:
        raise UnevaluableError("heads that are no groups")
    repeats = query.shape[1] // key.shape[1]
    keys, values = key.repeat(repeats, axis=1), value.repeat(repeats, axis=1)
    factor = point.constant(scale if scale else query.shape[3] ** -0.5)
    scores = f.multiply(factor, matmul(query, keys.swapaxes(-1, -2)))
    if added is not None:
        scores = f.add(scores, added)
    weights = point.exponential(scores)
    if is_causal:
        weights = f.multiply(weights, np.tri(*weights.shape[-2:], dtype=np.uint64))
    return matmul(f.divide(weights, f.total(weights, [-1], keepdims=True)), values)


def _attention(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    query, key, value = (given(inputs, place) for place in range(3))
    _none_of(inputs, 4, 5)
    if query.ndim != 4 or real(attributes, "softcap"):
        raise UnevaluableError("attention of heads side by side, or with a soft cap")
    is_causal = bool(attributes["is_causal"])
    added = _optional(inputs, 3)
    return attention(point, query, key, value, added, real(attributes, "scale"), is_causal=is_causal)


def _apart(rows: Numbers, num_heads: int) -> Numbers:
    """Heads side by side become heads of their own."""
    batch, places, size = rows.shape
    return rows.reshape(batch, places, num_heads, size // num_heads).swapaxes(1, 2)


def _together(heads: Numbers) -> Numbers:
    batch, num_heads, places, size = heads.shape
    return heads.swapaxes(1, 2).reshape(batch, places, num_heads * size)


def _by_heads(
    point: Point, attributes: Attributes, rows: tuple[Numbers, Numbers, Numbers], added: Numbers | None
) -> Numbers:
    query, key, value = (_apart(each, integer(attributes, "num_heads")) for each in rows)
    is_causal = bool(attributes["unidirectional"])
    return _together(attention(point, query, key, value, added, real(attributes, "scale"), is_causal=is_causal))


def _multi_head(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    query, key, value = (given(inputs, place) for place in range(3))
    _none_of(inputs, 4, 6, 7)
    if not query.ndim == key.ndim == value.ndim == 3:
        raise UnevaluableError("attention of packed heads")
    bias = _optional(inputs, 3)
    if bias is not None:
        ends = [query.shape[2], query.shape[2] + key.shape[2]]
        query, key, value = (
            f.add(each, part) for each, part in zip((query, key, value), np.split(bias, ends), strict=True)
        )
    return _by_heads(point, attributes, (query, key, value), _optional(inputs, 5))


def _packed(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    _none_of(inputs, 3, 4)
    rows = matmul(given(inputs, 0), given(inputs, 1))
    bias = _optional(inputs, 2)
    rows = rows if bias is None else f.add(rows, bias)
    query, key, value = np.split(rows, 3, axis=-1)
    return _by_heads(point, attributes, (query, key, value), _optional(inputs, 5))


def _rotated(x: Numbers, cosines: Numbers, sines: Numbers, attributes: Attributes) -> Numbers:
    """Turn pairs of halves, or of neighbours; ``cosines`` and ``sines`` are of shape (..., places, pairs)."""
    if x.ndim != 4:
        raise UnevaluableError("a rotary embedding of heads side by side")
    size = integer(attributes, "rotary_embedding_dim") or x.shape[-1]
    turned, rest = x[..., :size], x[..., size:]
    is_interleaved = bool(attributes["interleaved"])
    one, two = (turned[..., 0::2], turned[..., 1::2]) if is_interleaved else np.split(turned, 2, axis=-1)
    left = f.subtract(f.multiply(one, cosines), f.multiply(two, sines))
    right = f.add(f.multiply(two, cosines), f.multiply(one, sines))
    together = np.stack([left, right], axis=-1 if is_interleaved else -2).reshape(turned.shape)
    return np.concatenate([together, rest], axis=-1)


def _rotary(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    del point
    x, cosines, sines = (given(inputs, place) for place in range(3))
    places = _optional(inputs, 3)
    if places is not None:
        cosines, sines = cosines[places.astype(np.int64)], sines[places.astype(np.int64)]
    return _rotated(x, cosines[:, None], sines[:, None], attributes)


def _provider_rotary(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    x, places, cosines, sines = (given(inputs, place) for place in range(4))
    heads = x if x.ndim == 4 else _apart(x, integer(attributes, "num_heads") or _num_heads(x, cosines))
    first = places.astype(np.int64)
    rows = first.reshape(1, 1) + np.arange(heads.shape[2])[None] if first.size == 1 else first
    turned = _rotated(heads, cosines[rows][:, None], sines[rows][:, None], attributes)
    turned = f.multiply(point.constant(real(attributes, "scale")), turned)
    return turned if x.ndim == 4 else _together(turned)


def _num_heads(x: Numbers, cosines: Numbers) -> int:
    """Return how many heads stand side by side where nothing but the tables says how large one is."""
    size = 2 * cosines.shape[-1]
    if not size or x.shape[-1] % size:
        raise UnevaluableError("heads of another size than the tables")
    return int(x.shape[-1] // size)


KERNELS: Final[Mapping[str, Kernel]] = {
    "Attention": _attention,
    "MsMultiHeadAttention": _multi_head,
    "MsAttention": _packed,
    "RotaryEmbedding": _rotary,
    "MsRotaryEmbedding": _provider_rotary,
}
"""How attention and rotary embedding are evaluated at one point."""
