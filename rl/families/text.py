"""Blocks of transformers as exporters write them: attention, feed-forward networks, normalisations, at small sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from rl.families.choices import chance, pick

if TYPE_CHECKING:
    from rl.families.sketch import Sketch

MASKED: Final = -3.4028234663852886e38
"""What exporters add where attention must not look."""

_HEAD_SIZES: Final = (8, 16, 32)
_LENGTHS: Final = (8, 16, 32, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """What the blocks of one model have in common.

    Attributes:
        num_heads: Heads of queries.
        num_key_heads: Heads of keys and values, of which several heads of queries may share one.
        head_size: Columns of a head.
        length: Positions.
        expansion: Columns inside the feed-forward network for each outside.
        activation: Of the feed-forward network.
        norm: Which normalisation, and whether it is written out.
        is_pre_norm: Whether blocks normalise what they read instead of what they give.
        is_gated: Whether the feed-forward network multiplies two branches.
        has_bias: Whether products have biases.
        has_rotary: Whether positions turn queries and keys.
        has_mask: Whether a constant mask is added to the scores.
        has_guard: Whether rows without a number are replaced after the softmax.
        scaling: Where the scores are scaled: on ``both`` factors, on the ``queries``, or on the ``scores``.
    """

    num_heads: int
    num_key_heads: int
    head_size: int
    length: int
    expansion: int
    activation: str
    norm: str
    is_pre_norm: bool
    is_gated: bool
    has_bias: bool
    has_rotary: bool
    has_mask: bool
    has_guard: bool
    scaling: str

    @property
    def hidden(self) -> int:
        """Columns of what goes from block to block."""
        return self.num_heads * self.head_size


def encoder_style(rng: np.random.Generator) -> Style:
    """Return a style like that of BERT or ViT."""
    heads = pick(rng, (2, 4))
    return Style(
        num_heads=heads,
        num_key_heads=heads,
        head_size=pick(rng, _HEAD_SIZES),
        length=pick(rng, _LENGTHS),
        expansion=pick(rng, (2, 4)),
        activation=pick(rng, ("erf", "erf", "tanh", "quick", "Relu")),
        norm=pick(rng, ("LayerNormalization", "LayerNormalization", "layer")),
        is_pre_norm=chance(rng, 0.5),
        is_gated=chance(rng, 0.1),
        has_bias=chance(rng, 0.9),
        has_rotary=False,
        has_mask=chance(rng, 0.6),
        has_guard=chance(rng, 0.4),
        scaling=pick(rng, ("both", "queries", "scores")),
    )


def decoder_style(rng: np.random.Generator) -> Style:
    """Return a style like that of Llama or T5."""
    heads = pick(rng, (2, 4))
    return Style(
        num_heads=heads,
        num_key_heads=pick(rng, (1, 2, heads)),
        head_size=pick(rng, _HEAD_SIZES),
        length=pick(rng, _LENGTHS),
        expansion=pick(rng, (2, 3)),
        activation=pick(rng, ("silu", "silu", "tanh", "Relu")),
        norm=pick(rng, ("rms", "rms", "rms-first")),
        is_pre_norm=True,
        is_gated=chance(rng, 0.8),
        has_bias=chance(rng, 0.2),
        has_rotary=chance(rng, 0.7),
        has_mask=True,
        has_guard=chance(rng, 0.4),
        scaling=pick(rng, ("both", "queries", "scores")),
    )


def block(sketch: Sketch, style: Style, source: str) -> str:
    """Return what one block makes of its input, [1, length, hidden] both."""
    for part in (attention, feed_forward):
        if style.is_pre_norm:
            source = sketch.apply("Add", source, part(sketch, style, normalised(sketch, source, style.norm)))
        else:
            source = normalised(sketch, sketch.apply("Add", part(sketch, style, source), source), style.norm)
    return source


def normalised(sketch: Sketch, source: str, form: str) -> str:
    """Return a value normalised over its last axis, in one of the forms that exporters write."""
    hidden = sketch.shape(source)[-1]
    match form:
        case "LayerNormalization":
            return sketch.apply("LayerNormalization", source, sketch.weight(hidden), sketch.weight(hidden))
        case "layer":
            mean = sketch.apply("ReduceMean", source, axes=(-1,))
            apart = sketch.apply("Sub", source, mean)
            square = sketch.apply("Pow", apart, sketch.number(2.0))
            root = _root_of_mean(sketch, square, 1e-5)
            scaled = sketch.apply("Mul", sketch.apply("Div", apart, root), sketch.weight(hidden))
            return sketch.apply("Add", scaled, sketch.weight(hidden))
        case _:
            root = _root_of_mean(sketch, sketch.apply("Pow", source, sketch.number(2.0)), 1e-6)
            scaled = sketch.apply("Mul", source, sketch.apply("Reciprocal", root))
            weight = sketch.weight(hidden)
            return sketch.apply("Mul", weight, scaled) if form == "rms" else sketch.apply("Mul", scaled, weight)


def _root_of_mean(sketch: Sketch, square: str, epsilon: float) -> str:
    mean = sketch.apply("ReduceMean", square, axes=(-1,))
    return sketch.apply("Sqrt", sketch.apply("Add", mean, sketch.number(epsilon)))


def attention(sketch: Sketch, style: Style, source: str) -> str:
    """Return the attention of a value to itself."""
    heads, keys, size = style.num_heads, style.num_key_heads, style.head_size
    query, key, value = (
        sketch.transpose(
            sketch.reshape(sketch.linear(source, count * size, has_bias=style.has_bias), 1, style.length, count, size),
            *(0, 2, 1, 3),
        )
        for count in (heads, keys, keys)
    )
    if style.has_rotary:
        angles = sketch.rng.random((1, 1, style.length, size), dtype=np.float32)
        cosine, sine = sketch.constant(np.cos(angles)), sketch.constant(np.sin(angles))
        query, key = (_turned(sketch, each, cosine, sine) for each in (query, key))
    if keys < heads:
        key, value = (_repeated(sketch, each, heads) for each in (key, value))
    probabilities = sketch.apply("Softmax", _scores(sketch, style, query, key))
    if style.has_guard:
        is_nan = sketch.apply("IsNaN", probabilities)
        probabilities = sketch.apply("Where", is_nan, sketch.number(0.0), probabilities)
    mixed = sketch.transpose(sketch.apply("MatMul", probabilities, value), 0, 2, 1, 3)
    joined = sketch.reshape(mixed, 1, style.length, style.hidden)
    return sketch.linear(joined, style.hidden, has_bias=style.has_bias)


def _scores(sketch: Sketch, style: Style, query: str, key: str) -> str:
    length, size = style.length, style.head_size
    if style.scaling == "both":
        flat = sketch.transpose(sketch.reshape(key, style.num_heads, length, size), 0, 2, 1)
        turned = sketch.reshape(flat, 1, style.num_heads, size, length)
        factor = sketch.number(float(np.float32(size**-0.25)))
        scores = sketch.apply("MatMul", sketch.apply("Mul", query, factor), sketch.apply("Mul", turned, factor))
    else:
        turned = sketch.transpose(key, 0, 1, 3, 2)
        if style.scaling == "queries":
            query = sketch.apply("Mul", query, sketch.number(float(np.float32(1 / math.sqrt(size)))))
        scores = sketch.apply("MatMul", query, turned)
        if style.scaling == "scores":
            scores = sketch.apply("Div", scores, sketch.number(float(np.float32(math.sqrt(size)))))
    if not style.has_mask:
        return scores
    mask = np.triu(np.full((1, 1, length, length), MASKED, np.float32), 1)
    return sketch.apply("Add", scores, sketch.constant(mask))


def _turned(sketch: Sketch, value: str, cosine: str, sine: str) -> str:
    """Return queries or keys turned by their positions (Su et al. 2021, arXiv 2104.09864)."""
    half = sketch.shape(value)[3] // 2
    first, second = sketch.slice(value, 3, 0, half), sketch.slice(value, 3, half, 2 * half)
    crossed = sketch.apply("Concat", sketch.apply("Neg", second), first, axis=3)
    return sketch.apply("Add", sketch.apply("Mul", value, cosine), sketch.apply("Mul", crossed, sine))


def _repeated(sketch: Sketch, value: str, num_heads: int) -> str:
    """Return keys or values with each head as often as heads of queries share it."""
    _, count, length, size = sketch.shape(value)
    each = num_heads // count
    apart = sketch.reshape(value, 1, count, 1, length, size)
    expanded = sketch.apply("Expand", apart, shape=(1, count, each, length, size))
    return sketch.reshape(expanded, 1, num_heads, length, size)


def feed_forward(sketch: Sketch, style: Style, source: str) -> str:
    """Return what the feed-forward network makes of a value."""
    hidden = sketch.shape(source)[-1]
    first = sketch.linear(source, style.expansion * hidden, has_bias=style.has_bias)
    made = activated(sketch, first, style.activation)
    if style.is_gated:
        made = sketch.apply("Mul", made, sketch.linear(source, style.expansion * hidden, has_bias=style.has_bias))
    return sketch.linear(made, hidden, has_bias=style.has_bias)


def activated(sketch: Sketch, value: str, form: str) -> str:
    """Return an activation in the form that exporters write."""
    match form:
        case "erf":
            scaled = sketch.apply("Div", value, sketch.number(1.4142135))
            shifted = sketch.apply("Add", sketch.apply("Erf", scaled), sketch.number(1.0))
            return sketch.apply("Mul", value, sketch.apply("Mul", sketch.number(0.5), shifted))
        case "tanh":
            cube = sketch.apply("Mul", sketch.apply("Pow", value, sketch.number(3.0)), sketch.number(0.044715))
            inner = sketch.apply("Mul", sketch.apply("Add", value, cube), sketch.number(0.7978846))
            shifted = sketch.apply("Add", sketch.apply("Tanh", inner), sketch.number(1.0))
            return sketch.apply("Mul", sketch.apply("Mul", value, sketch.number(0.5)), shifted)
        case "quick":
            scaled = sketch.apply("Mul", value, sketch.number(1.702))
            return sketch.apply("Mul", value, sketch.apply("Sigmoid", scaled))
        case "silu":
            return sketch.apply("Mul", value, sketch.apply("Sigmoid", value))
        case _:
            return sketch.apply(form, value)
