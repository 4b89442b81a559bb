"""The audio encoder of the Transformer Transducer (Zhang et al. 2020, arXiv 2002.02562)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.architectures.layers import attend, merge_heads, split_heads
from bench.inputs import FULL_STACKED_FRAMES, SMALL_STACKED_FRAMES, STACKED_FEATURES
from bench.spec import Attention, Variant

LEFT_CONTEXT = 10
RIGHT_CONTEXT = 2
"""Frames before and after a frame that each block may look at: the paper's choice for streaming."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """The sizes of an encoder.

    Attributes:
        num_frames: Stacked frames of a sequence.
        num_features: Features of a stacked frame.
        hidden: Width of the blocks.
        num_heads: Heads of attention, each ``hidden / num_heads`` wide.
        inner: Width of the feed-forward layer.
        num_blocks: Blocks.
        attention: Which implementation of attention.
    """

    num_frames: int
    num_features: int
    hidden: int
    num_heads: int
    inner: int
    num_blocks: int
    attention: Attention


def relative_encoding(num_frames: int, hidden: int) -> Tensor:
    """Return the sines and cosines of the distances T - 1 down to 1 - T, float32 [2 T - 1, hidden].

    They are those of Transformer-XL (Dai et al. 2019, arXiv 1901.02860), which the paper takes over.
    """
    distances = torch.arange(num_frames - 1, -num_frames, -1.0)
    wavelengths = 10000.0 ** (torch.arange(0.0, hidden, 2.0) / hidden)
    angles = distances[:, None] / wavelengths
    return torch.cat((angles.sin(), angles.cos()), dim=1)


def shift(scores: Tensor) -> Tensor:
    """Turn scores by distance into scores by key, [N, heads, T, 2 T - 1] to [N, heads, T, T] (Dai et al., appendix B).

    Entry (i, j) of the result is the entry of query i whose distance is i - j, column T - 1 - i + j: reading rows one
    column longer as rows one column shorter moves each a step further than the row above it.
    """
    num_frames = scores.shape[2]
    padded = nn.functional.pad(scores, (1, 0)).flatten(2)
    moved = torch.unflatten(padded[:, :, num_frames:], 2, (num_frames, 2 * num_frames - 1))
    return moved[..., :num_frames]


def frames_out_of_context(num_frames: int) -> Tensor:
    """Return the mask of streaming, bool [T, T]: True where the frame of the column is out of the row's context."""
    ahead = torch.arange(num_frames)[None, :] - torch.arange(num_frames)[:, None]
    return (ahead < -LEFT_CONTEXT) | (ahead > RIGHT_CONTEXT)


class RelativeAttention(nn.Module):
    """Self-attention whose scores are q k / sqrt(d) by content and by distance, each with a bias of its own."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        hidden, self.num_heads, self.attention = config.hidden, config.num_heads, config.attention
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden)
        self.distance = nn.Linear(hidden, hidden, bias=False)
        self.output = nn.Linear(hidden, hidden)
        self.content_bias = nn.Parameter(torch.zeros(self.num_heads, 1, hidden // self.num_heads))
        self.distance_bias = nn.Parameter(torch.zeros(self.num_heads, 1, hidden // self.num_heads))

    @override
    def forward(self, x: Tensor, encoding: Tensor, out_of_context: Tensor) -> Tensor:
        """Map [N, T, hidden], the encoding [2 T - 1, hidden] and the mask [T, T] to [N, T, hidden]."""
        query, key, value = (split_heads(part(x), self.num_heads) for part in (self.query, self.key, self.value))
        distances = split_heads(self.distance(encoding)[None], self.num_heads)
        by_distance = shift((query + self.distance_bias) @ distances.transpose(2, 3)) * query.shape[-1] ** -0.5
        bias = by_distance.masked_fill(out_of_context, float("-inf"))
        mixed = attend(query + self.content_bias, key, value, bias, self.attention)
        result: Tensor = self.output(merge_heads(mixed))
        return result


class EncoderBlock(nn.Module):
    """Attention and a feed-forward layer, each added to the normalised input, as in the paper's figure 2."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.hidden)
        self.attention = RelativeAttention(config)
        self.forward_norm = nn.LayerNorm(config.hidden)
        self.widen = nn.Linear(config.hidden, config.inner)
        self.narrow = nn.Linear(config.inner, config.hidden)

    @override
    def forward(self, x: Tensor, encoding: Tensor, out_of_context: Tensor) -> Tensor:
        """Map [N, T, hidden], the encoding [2 T - 1, hidden] and the mask [T, T] to [N, T, hidden]."""
        x = self.attention_norm(x)
        x = self.forward_norm(x + self.attention(x, encoding, out_of_context))
        result: Tensor = x + self.narrow(self.widen(x).relu())
        return result


class AudioEncoder(nn.Module):
    """Stacked log-mel frames in, one vector for each of them out, which the joint network adds to that of the label."""

    encoding: Tensor
    out_of_context: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.projection = nn.Linear(config.num_features, config.hidden)
        self.norm = nn.LayerNorm(config.hidden)
        self.blocks = nn.ModuleList(EncoderBlock(config) for _ in range(config.num_blocks))
        self.joint = nn.Linear(config.hidden, config.hidden)
        self.register_buffer("encoding", relative_encoding(config.num_frames, config.hidden), persistent=False)
        self.register_buffer("out_of_context", frames_out_of_context(config.num_frames), persistent=False)

    @override
    def forward(self, frames: Tensor) -> Tensor:
        """Map float32 [N, T, features] to float32 [N, T, hidden]."""
        x = self.norm(self.projection(frames))
        for block in self.blocks:
            x = block(x, self.encoding, self.out_of_context)
        result: Tensor = self.joint(x)
        return result


def transformer_transducer(variant: Variant) -> nn.Module:
    """Return the audio encoder with the paper's blocks, 4 in place of its 18."""
    return AudioEncoder(
        EncoderConfig(
            num_frames=variant.pick(SMALL_STACKED_FRAMES, FULL_STACKED_FRAMES),
            num_features=STACKED_FEATURES,
            hidden=variant.pick(128, 512),
            num_heads=variant.pick(4, 8),
            inner=variant.pick(512, 2048),
            num_blocks=variant.layers(2, 4),
            attention=variant.attention,
        )
    )
