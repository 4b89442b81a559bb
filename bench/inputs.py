"""The inputs of the benchmark models, and seeded samples of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.spec import Content, InputSpec, Variant

SMALL_VOCABULARY = 1000
SMALL_LENGTH = 32
FULL_LENGTH = 128
SMALL_FRAMES = 64
FULL_FRAMES = 1500
STACKED_FEATURES = 512
SMALL_STACKED_FRAMES = 32
FULL_STACKED_FRAMES = 256
TEXT_CODES = (SMALL_VOCABULARY, 16384)
IMAGE_CODES = (500, 8192)
TEXT_LENGTH = (16, 64)
IMAGE_SIDE = (4, 16)
"""The sizes of a text and of the grid of image tokens that follows it, small and full."""
TEXT_AXES = {0: "batch", 1: "sequence"}


def text(variant: Variant, *, num_ids: int, num_segments: int = 0) -> tuple[InputSpec, ...]:
    """Return token ids and mask, and segment ids where the model has ``num_segments`` of them, each int64 [1, T]."""
    shape = (1, variant.pick(SMALL_LENGTH, FULL_LENGTH))
    vocabulary = variant.pick(SMALL_VOCABULARY, num_ids)
    tokens = InputSpec(name="input_ids", shape=shape, content=Content.TOKENS, num_ids=vocabulary, dynamic=TEXT_AXES)
    mask = InputSpec(name="attention_mask", shape=shape, content=Content.MASK, dynamic=TEXT_AXES)
    if not num_segments:
        return (tokens, mask)
    segments = InputSpec(
        name="token_type_ids", shape=shape, content=Content.TOKENS, num_ids=num_segments, dynamic=TEXT_AXES
    )
    return (tokens, mask, segments)


def text_and_image(variant: Variant) -> tuple[InputSpec, ...]:
    """Return the tokens of a text, int64 [1, T], and those of an image row by row, int64 [1, side * side]."""
    batch = {0: "batch"}
    text_shape, image_shape = (1, variant.pick(*TEXT_LENGTH)), (1, variant.pick(*IMAGE_SIDE) ** 2)
    num_text_ids, num_image_ids = variant.pick(*TEXT_CODES), variant.pick(*IMAGE_CODES)
    return (
        InputSpec(name="text_ids", shape=text_shape, content=Content.TOKENS, num_ids=num_text_ids, dynamic=batch),
        InputSpec(name="image_ids", shape=image_shape, content=Content.TOKENS, num_ids=num_image_ids, dynamic=batch),
    )


def image(variant: Variant, *, small: int = 64, full: int = 224) -> tuple[InputSpec, ...]:
    """Return one float32 image [1, 3, side, side]; a dynamic export leaves the batch open."""
    side = variant.pick(small, full)
    return (InputSpec(name="image", shape=(1, 3, side, side), dynamic={0: "batch"}),)


def spectrogram(variant: Variant) -> tuple[InputSpec, ...]:
    """Return one float32 log-mel spectrogram: [1, 80, 3000] for the 30 seconds of the published model."""
    num_frames = 2 * variant.pick(SMALL_FRAMES, FULL_FRAMES)
    return (InputSpec(name="features", shape=(1, 80, num_frames), dynamic={0: "batch"}),)


def stacked_frames(variant: Variant) -> tuple[InputSpec, ...]:
    """Return float32 log-mel frames [1, T, 4 * 128], four stacked every 30 ms: 7.7 seconds of sound at full size."""
    num_frames = variant.pick(SMALL_STACKED_FRAMES, FULL_STACKED_FRAMES)
    return (InputSpec(name="frames", shape=(1, num_frames, STACKED_FEATURES), dynamic={0: "batch"}),)


def wave(variant: Variant) -> tuple[InputSpec, ...]:
    """Return one float32 sound wave [1, samples], 1 second at 16 kHz."""
    return (InputSpec(name="wave", shape=(1, variant.pick(4000, 16000)), dynamic={0: "batch"}),)


def recurrence(variant: Variant) -> tuple[InputSpec, ...]:
    """Return the float32 inputs of five steps [1, 5, hidden] and the float32 state before them [1, hidden]."""
    hidden = variant.pick(64, 512)
    steps = InputSpec(name="steps", shape=(1, 5, hidden), dynamic={0: "batch"})
    return (steps, InputSpec(name="state", shape=(1, hidden), dynamic={0: "batch"}))


def sample(specs: Sequence[InputSpec], *, axes: Mapping[str, int], seed: int) -> dict[str, np.ndarray]:
    """Return one array for each input, the same for the same seed.

    A mask keeps at least one and at most all tokens of a row; its first row is always about three quarters full, so
    that padding is part of every measurement and of every check.

    Args:
        specs: The inputs.
        axes: Sizes of named dynamic dimensions, in place of the static ones.
        seed: Of the random generator.
    """
    rng = np.random.default_rng(seed)
    return {spec.name: sample_one(spec, shape_with(spec, axes), rng) for spec in specs}


def shape_with(spec: InputSpec, axes: Mapping[str, int]) -> tuple[int, ...]:
    """Return the shape of an input with the sizes of ``axes`` in its named dimensions."""
    return tuple(axes.get(spec.dynamic.get(axis, ""), size) for axis, size in enumerate(spec.shape))


def sample_one(spec: InputSpec, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return one random array of ``shape`` for an input."""
    match spec.content:
        case Content.NORMAL:
            return rng.standard_normal(shape, dtype=np.float32)
        case Content.TOKENS:
            return rng.integers(0, spec.num_ids, shape, dtype=np.int64)
        case Content.MASK:
            num_rows, length = shape
            kept = rng.integers(1, length + 1, (num_rows, 1))
            kept[0] = length - length // 4
            return (np.arange(length)[None, :] < kept).astype(np.int64)
