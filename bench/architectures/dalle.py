"""The decoder of DALL-E (Ramesh et al. 2021, arXiv 2102.12092, appendix B.1): text, then an image, token by token."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import assert_never

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.architectures.layers import attend, merge_heads, split_heads
from bench.inputs import IMAGE_CODES, IMAGE_SIDE, TEXT_CODES, TEXT_LENGTH
from bench.spec import Attention, Variant


class Pattern(Enum):
    """Which image tokens before it an image token looks at; it looks at all the text in every one."""

    ROW = auto()
    COLUMN = auto()
    NEIGHBOURHOOD = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderConfig:
    """The sizes of a decoder.

    Attributes:
        num_text_ids: Ids in the vocabulary of the text.
        num_image_ids: Ids in the codebook of the image.
        text_length: Tokens of the text.
        side: Rows and columns of the image's grid of tokens.
        hidden: Width of the blocks; the feed-forward layer is four times as wide.
        num_heads: Heads of attention.
        num_blocks: Blocks.
        attention: Which implementation of attention.
    """

    num_text_ids: int
    num_image_ids: int
    text_length: int
    side: int
    hidden: int
    num_heads: int
    num_blocks: int
    attention: Attention


def pattern_of(block: int, num_blocks: int) -> Pattern:
    """Return the pattern of a block, counted from 1: the last one's is its own, every fourth from the second a column.

    A stack of fewer than three blocks keeps rows and columns only.
    """
    if block == num_blocks > 2:
        return Pattern.NEIGHBOURHOOD
    return Pattern.COLUMN if block % 4 == 2 else Pattern.ROW


def is_seen(steps_back: Tensor, pattern: Pattern, side: int) -> Tensor:
    """Return which image tokens a pattern shows, given how many tokens each is before the one that looks.

    A row is the last ``side`` tokens, so it may start in the row above; the neighbourhood is the 3 x 3 tokens around,
    and goes on at the other side of the grid in the same way.
    """
    match pattern:
        case Pattern.ROW:
            return steps_back <= side
        case Pattern.COLUMN:
            return steps_back % side == 0
        case Pattern.NEIGHBOURHOOD:
            return ((steps_back + 1) % side <= 2) & (steps_back <= side + 1)
        case _:
            assert_never(pattern)


def pattern_mask(pattern: Pattern, num_text: int, side: int) -> Tensor:
    """Return the mask of a pattern, float32 [T, T] with T = num_text + side * side - 1: 0, or -inf where hidden.

    The first ``num_text`` tokens are the start and the text. The last token of the image is none of the T, since
    nothing comes after it.
    """
    positions = torch.arange(num_text + side * side - 1)
    steps_back = positions[:, None] - positions[None, :]
    is_text = positions < num_text
    is_between_images = ~is_text[:, None] & ~is_text[None, :]
    is_visible = (steps_back >= 0) & (~is_between_images | is_seen(steps_back, pattern, side))
    return torch.zeros(is_visible.shape).masked_fill(~is_visible, float("-inf"))


class DecoderBlock(nn.Module):
    """Masked self-attention and a feed-forward layer with GELU, each after a layer norm."""

    mask: Tensor

    def __init__(self, config: DecoderConfig, pattern: Pattern) -> None:
        super().__init__()
        hidden, self.num_heads, self.attention = config.hidden, config.num_heads, config.attention
        self.attention_norm = nn.LayerNorm(hidden)
        self.query_key_value = nn.Linear(hidden, 3 * hidden)
        self.output = nn.Linear(hidden, hidden)
        self.forward_norm = nn.LayerNorm(hidden)
        self.forward_layers = nn.Sequential(nn.Linear(hidden, 4 * hidden), nn.GELU(), nn.Linear(4 * hidden, hidden))
        self.register_buffer("mask", pattern_mask(pattern, config.text_length + 1, config.side), persistent=False)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Map [N, T, hidden] to [N, T, hidden]."""
        parts = self.query_key_value(self.attention_norm(x)).chunk(3, dim=-1)
        query, key, value = (split_heads(part, self.num_heads) for part in parts)
        x = x + self.output(merge_heads(attend(query, key, value, self.mask, self.attention)))
        result: Tensor = x + self.forward_layers(self.forward_norm(x))
        return result


class TextImageDecoder(nn.Module):
    """The tokens of a text and of its image in, the logits of each of them given those before it out."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        hidden, self.num_text = config.hidden, config.text_length
        self.start = config.num_text_ids
        self.text = nn.Embedding(config.num_text_ids + 1, hidden)
        self.image = nn.Embedding(config.num_image_ids, hidden)
        self.text_positions = nn.Embedding(config.text_length + 1, hidden)
        self.rows = nn.Embedding(config.side, hidden)
        self.columns = nn.Embedding(config.side, hidden)
        self.blocks = nn.Sequential(
            *(DecoderBlock(config, pattern_of(block, config.num_blocks)) for block in range(1, config.num_blocks + 1))
        )
        self.norm = nn.LayerNorm(hidden)
        self.text_head = nn.Linear(hidden, config.num_text_ids)
        self.image_head = nn.Linear(hidden, config.num_image_ids)

    @override
    def forward(self, text_ids: Tensor, image_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Map int64 [N, T] and [N, side * side] to float32 [N, T, text ids] and [N, side * side, image ids]."""
        text = self.text(nn.functional.pad(text_ids, (1, 0), value=self.start)) + self.text_positions.weight
        grid = (self.rows.weight[:, None] + self.columns.weight[None, :]).flatten(0, 1)
        image = self.image(image_ids[:, :-1]) + grid[:-1]
        x = self.norm(self.blocks(torch.cat((text, image), dim=1)))
        return self.text_head(x[:, : self.num_text]), self.image_head(x[:, self.num_text :])


def dalle(variant: Variant) -> nn.Module:
    """Return the decoder with the paper's vocabularies; its 12 billion parameters are 6 blocks of 512 here."""
    return TextImageDecoder(
        DecoderConfig(
            num_text_ids=variant.pick(*TEXT_CODES),
            num_image_ids=variant.pick(*IMAGE_CODES),
            text_length=variant.pick(*TEXT_LENGTH),
            side=variant.pick(*IMAGE_SIDE),
            hidden=variant.pick(128, 512),
            num_heads=variant.pick(4, 8),
            num_blocks=variant.layers(2, 6),
            attention=variant.attention,
        )
    )
