"""Blocks of convolutional networks, at few channels and small images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rl.families.choices import chance, pick
from rl.families.text import activated, normalised

if TYPE_CHECKING:
    from rl.families.sketch import Sketch


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """What the blocks of one model have in common.

    Attributes:
        channels: Channels that go from block to block.
        side: Height and width of the image.
        activation: Behind convolutions.
        batch_norm: How batch normalisation is written: ``plain``, ``caffe`` with scale and shift apart, or ``folded``.
        groups: Groups of grouped convolutions.
        num_pieces: Convolutions side by side where a grouped one is written as several.
        num_branches: Branches that a block concatenates.
        has_lrn: Whether blocks end with local response normalisation.
    """

    channels: int
    side: int
    activation: str
    batch_norm: str
    groups: int
    num_pieces: int
    num_branches: int
    has_lrn: bool


def image_style(rng: np.random.Generator) -> Style:
    """Return a style."""
    return Style(
        channels=pick(rng, (16, 32, 32, 64)),
        side=pick(rng, (7, 14, 14, 28)),
        activation=pick(rng, ("Relu", "Relu", "Relu", "clip", "silu", "LeakyRelu")),
        batch_norm=pick(rng, ("plain", "caffe", "folded", "folded")),
        groups=pick(rng, (2, 4, 8)),
        num_pieces=pick(rng, (2, 4, 8)),
        num_branches=pick(rng, (2, 3, 4)),
        has_lrn=chance(rng, 0.3),
    )


def start(sketch: Sketch, style: Style) -> str:
    """Return the image that the first block reads: an input, or what a first convolution makes of one."""
    image = sketch.input(1, 3, 2 * style.side, 2 * style.side)
    stem = convolved(sketch, style, image, style.channels, 3, stride=2)
    if style.has_lrn:
        return sketch.apply("LRN", stem, size=5)
    return stem


def convolved(
    sketch: Sketch,
    style: Style,
    source: str,
    num_out: int,
    kernel: int = 1,
    *,
    stride: int = 1,
    groups: int = 1,
    is_active: bool = True,
) -> str:
    """Return a convolution with its normalisation and its activation."""
    has_bias = style.batch_norm == "folded"
    value = sketch.convolution(source, num_out, kernel, stride=stride, groups=groups, has_bias=has_bias)
    if style.batch_norm != "folded":
        value = batch_normalised(sketch, style, value)
    return active(sketch, style, value) if is_active else value


def active(sketch: Sketch, style: Style, value: str) -> str:
    """Return the activation of the style."""
    if style.activation == "clip":
        return sketch.apply("Clip", value, sketch.number(0.0), sketch.number(6.0))
    return activated(sketch, value, style.activation)


def batch_normalised(sketch: Sketch, style: Style, value: str) -> str:
    """Return a value after batch normalisation."""
    channels = sketch.shape(value)[1]
    scale, shift, mean = (sketch.weight(channels) for _ in range(3))
    variance = sketch.weight(channels, is_positive=True)
    value = sketch.apply("BatchNormalization", value, scale, shift, mean, variance)
    if style.batch_norm == "caffe":
        for operator in ("Mul", "Add"):
            value = sketch.apply(operator, value, sketch.reshape(sketch.weight(channels), channels, 1, 1))
    return value


def residual(sketch: Sketch, style: Style, source: str) -> str:
    """A block of ResNet: two convolutions, or three with few channels between them, and the input added."""
    channels = sketch.shape(source)[1]
    if chance(sketch.rng, 0.5):
        inner = convolved(sketch, style, source, channels, 3)
    else:
        inner = convolved(sketch, style, convolved(sketch, style, source, channels // 2), channels // 2, 3)
    value = convolved(sketch, style, inner, channels, pick(sketch.rng, (1, 3)), is_active=False)
    return active(sketch, style, sketch.apply("Add", value, source))


def grouped(sketch: Sketch, style: Style, source: str) -> str:
    """A block of ResNeXt: between two pointwise convolutions a grouped one, whole or written as several."""
    channels = sketch.shape(source)[1]
    inner = convolved(sketch, style, source, channels)
    if chance(sketch.rng, 0.5):
        middle = convolved(sketch, style, inner, channels, 3, groups=style.groups)
    else:
        width = channels // style.num_pieces
        pieces = sketch.split(inner, 1, *(width,) * style.num_pieces)
        joined = sketch.apply(
            "Concat", *(sketch.convolution(piece, width, 3, has_bias=False) for piece in pieces), axis=1
        )
        middle = active(sketch, style, joined)
    value = convolved(sketch, style, middle, channels, is_active=False)
    return active(sketch, style, sketch.apply("Add", value, source))


def branches(sketch: Sketch, style: Style, source: str) -> str:
    """A block of Inception or SqueezeNet: convolutions of several sizes side by side, concatenated."""
    channels = sketch.shape(source)[1]
    is_squeezed = chance(sketch.rng, 0.4)
    if is_squeezed:
        source = convolved(sketch, style, source, channels // 2)
    width = channels // style.num_branches
    found: list[str] = []
    for index in range(style.num_branches):
        num_out = channels - width * (style.num_branches - 1) if not index else width
        kernel = pick(sketch.rng, (1, 1, 3, 3, 5))
        if chance(sketch.rng, 0.2):
            value = convolved(sketch, style, sketch.pool(source), num_out)
        elif kernel > 1 and not is_squeezed:
            value = convolved(sketch, style, convolved(sketch, style, source, width), num_out, kernel)
        else:
            value = convolved(sketch, style, source, num_out, kernel)
        found.append(value)
    joined = sketch.apply("Concat", *found, axis=1)
    return sketch.apply("LRN", joined, size=5) if style.has_lrn and chance(sketch.rng, 0.3) else joined


def mobile(sketch: Sketch, style: Style, source: str) -> str:
    """A block of MobileNet or EfficientNet: a depthwise convolution between pointwise ones, with a gate by channel."""
    channels = sketch.shape(source)[1]
    inner = 2 * channels
    value = convolved(sketch, style, convolved(sketch, style, source, inner), inner, 3, groups=inner)
    if chance(sketch.rng, 0.5):
        mean = sketch.apply("ReduceMean", value, axes=(-2, -1))
        few = active(sketch, style, sketch.convolution(mean, max(channels // 4, 4)))
        gate = sketch.apply("Sigmoid", sketch.convolution(few, inner))
        value = sketch.apply("Mul", value, gate)
    value = convolved(sketch, style, value, channels, is_active=False)
    return sketch.apply("Add", value, source)


def shuffled(sketch: Sketch, style: Style, source: str) -> str:
    """A block of ShuffleNet: grouped pointwise convolutions with channels exchanged between the groups."""
    _, channels, height, width = sketch.shape(source)
    groups = style.groups
    value = convolved(sketch, style, source, channels, groups=groups)
    apart = sketch.reshape(value, 1, groups, channels // groups, height, width)
    value = sketch.reshape(sketch.transpose(apart, 0, 2, 1, 3, 4), 1, channels, height, width)
    value = convolved(sketch, style, value, channels, 3, groups=channels, is_active=False)
    value = convolved(sketch, style, value, channels, groups=groups, is_active=False)
    return active(sketch, style, sketch.apply("Add", value, source))


def dense(sketch: Sketch, style: Style, source: str) -> str:
    """A block of DenseNet: normalisation comes first, and what is made is concatenated to what was there."""
    value = active(sketch, style, batch_normalised(sketch, style, source))
    value = convolved(sketch, style, value, style.channels)
    grown = sketch.apply("Concat", source, sketch.convolution(value, 16, 3, has_bias=False), axis=1)
    if sketch.shape(grown)[1] < 3 * style.channels:
        return grown
    return sketch.convolution(active(sketch, style, batch_normalised(sketch, style, grown)), style.channels)


def channels_last(sketch: Sketch, style: Style, source: str) -> str:
    """A block of ConvNeXt: a depthwise convolution, then a feed-forward network with the channels behind."""
    channels = sketch.shape(source)[1]
    value = sketch.transpose(sketch.convolution(source, channels, 7, groups=channels), 0, 2, 3, 1)
    value = normalised(sketch, value, "LayerNormalization")
    form = pick(sketch.rng, ("erf", "erf", style.activation.replace("clip", "Relu")))
    value = activated(sketch, sketch.linear(value, 2 * channels), form)
    value = sketch.apply("Mul", sketch.weight(channels), sketch.linear(value, channels))
    return sketch.apply("Add", source, sketch.transpose(value, 0, 3, 1, 2))
