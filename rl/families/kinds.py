"""The kinds of small models, each with how one is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from rl.families import images, loose, text
from rl.families.choices import chance, pick
from rl.families.pieces import stitched
from rl.families.sketch import Sketch

if TYPE_CHECKING:
    from ir.graph import Graph
    from rl.families.sketch import Sketch as _Sketch

Made: TypeAlias = "tuple[Graph, Mapping[int, int]]"
"""A graph, and the size of each symbol of its inputs."""

Block: TypeAlias = "Callable[[_Sketch, images.Style, str], str]"


class Kind(StrEnum):
    """What a small model is like."""

    ENCODER = "encoder"
    DECODER = "decoder"
    FEED_FORWARD = "feed-forward"
    CHAINS = "chains"
    RESIDUAL = "residual"
    GROUPED = "grouped"
    BRANCHES = "branches"
    MOBILE = "mobile"
    CHANNELS_LAST = "channels-last"
    ALGEBRA = "algebra"
    PIECES = "pieces"
    DENSE = "dense"
    SHUFFLED = "shuffled"
    RECURRENT = "recurrent"
    WINDOWS = "windows"


HELD_OUT_KINDS: Final = (Kind.DENSE, Kind.SHUFFLED, Kind.RECURRENT, Kind.WINDOWS)
"""Kinds that no training task is of."""

TRAINING_KINDS: Final = tuple(kind for kind in Kind if kind not in HELD_OUT_KINDS)


def make_graph(kind: Kind, rng: np.random.Generator, num_values: int) -> Made:
    """Return a small model.

    Args:
        kind: What it is like.
        rng: The only source of chance.
        num_values: Values from which on it gets no more blocks.
    """
    return _MAKERS[kind](rng, num_values)


def _transformer(rng: np.random.Generator, num_values: int, *, style_of: Callable[..., text.Style]) -> Made:
    style = style_of(rng)
    sketch = Sketch(rng)
    value = sketch.input(1, style.length, style.hidden)
    while sketch.num_values < num_values:
        value = text.block(sketch, style, value)
    return sketch.graph(value), {}


def _feed_forward(rng: np.random.Generator, num_values: int) -> Made:
    style = (text.decoder_style if chance(rng, 0.6) else text.encoder_style)(rng)
    sketch = Sketch(rng)
    value = sketch.input(1, style.length, style.hidden)
    while sketch.num_values < num_values:
        made = text.feed_forward(sketch, style, text.normalised(sketch, value, style.norm))
        value = sketch.apply("Add", value, made)
    return sketch.graph(value), {}


def _chains(rng: np.random.Generator, num_values: int) -> Made:
    sketch = Sketch(rng)
    value = sketch.input(1, pick(rng, (4, 16, 64)), pick(rng, (16, 32, 64)))
    while sketch.num_values < num_values:
        made = loose.chain(sketch, value)
        value = sketch.apply("Add", value, made) if chance(rng, 0.3) else made
    return sketch.graph(value), {}


def _images(rng: np.random.Generator, num_values: int, *, blocks: tuple[Block, ...]) -> Made:
    style = images.image_style(rng)
    sketch = Sketch(rng)
    value = images.start(sketch, style)
    while sketch.num_values < num_values:
        value = pick(rng, blocks)(sketch, style, value)
    if chance(rng, 0.5):
        value = sketch.apply("ReduceMean", value, axes=(-2, -1))
    return sketch.graph(value), {}


def _algebra(rng: np.random.Generator, num_values: int) -> Made:
    sketch = Sketch(rng)
    return sketch.graph(*dict.fromkeys(loose.algebra(sketch, num_values))), {}


def _recurrent(rng: np.random.Generator, num_values: int) -> Made:
    sketch = Sketch(rng)
    rows, width = pick(rng, (1, 4, 16)), pick(rng, (16, 32, 64))
    state = sketch.input(rows, width)
    plan = int(rng.integers(2**31))
    while sketch.num_values < num_values:
        state = loose.cell(sketch, sketch.input(rows, width), state, np.random.default_rng(plan))
    return sketch.graph(state), {}


def _windows(rng: np.random.Generator, num_values: int) -> Made:
    sketch = Sketch(rng)
    value = sketch.input(1, pick(rng, (16, 32, 64)), pick(rng, (16, 32, 64)))
    while sketch.num_values < num_values:
        value = loose.windows(sketch, value)
    return sketch.graph(value), {}


_MAKERS: Final[Mapping[Kind, Callable[[np.random.Generator, int], Made]]] = MappingProxyType(
    {
        Kind.ENCODER: partial(_transformer, style_of=text.encoder_style),
        Kind.DECODER: partial(_transformer, style_of=text.decoder_style),
        Kind.FEED_FORWARD: _feed_forward,
        Kind.CHAINS: _chains,
        Kind.RESIDUAL: partial(_images, blocks=(images.residual,)),
        Kind.GROUPED: partial(_images, blocks=(images.grouped,)),
        Kind.BRANCHES: partial(_images, blocks=(images.branches, images.branches, images.residual)),
        Kind.MOBILE: partial(_images, blocks=(images.mobile,)),
        Kind.CHANNELS_LAST: partial(_images, blocks=(images.channels_last,)),
        Kind.ALGEBRA: _algebra,
        Kind.PIECES: stitched,
        Kind.DENSE: partial(_images, blocks=(images.dense,)),
        Kind.SHUFFLED: partial(_images, blocks=(images.shuffled,)),
        Kind.RECURRENT: _recurrent,
        Kind.WINDOWS: _windows,
    }
)
