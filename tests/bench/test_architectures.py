"""Architectures written here rather than taken from a library compute what their papers say."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench import models
from bench.architectures.build import build_module
from bench.architectures.dalle import Pattern, pattern_mask, pattern_of
from bench.architectures.transducer import LEFT_CONTEXT, RIGHT_CONTEXT, shift

TEXT, SIDE = 3, 4
"""Tokens of the start and the text, and rows of the image, in the masks below."""


def build(name: str, *, attention: str = "sdpa") -> tuple[nn.Module, list[torch.Tensor]]:
    choice = models.find(name, size="small", attention=attention)
    feeds = models.inputs(name, size="small")
    return build_module(choice.spec, choice.variant, seed=0), [torch.from_numpy(array) for array in feeds.values()]


def changed(before: torch.Tensor, after: torch.Tensor) -> list[int]:
    """Return the positions of [1, T, ...] at which two outputs differ."""
    return (before - after).abs().amax(dim=(0, 2)).gt(1e-5).nonzero().flatten().tolist()


def seen(pattern: Pattern, token: int) -> list[int]:
    """Return which image tokens the image token sees; all of them see the whole text."""
    row = pattern_mask(pattern, TEXT, SIDE)[TEXT + token]
    assert row[:TEXT].eq(0).all()
    return row[TEXT:].eq(0).nonzero().flatten().tolist()


def test_shifted_scores_are_those_of_the_distance() -> None:
    scores = torch.randn((2, 3, 5, 9), generator=torch.Generator().manual_seed(0))
    shifted = shift(scores)
    assert shifted.shape == (2, 3, 5, 5)
    for query in range(5):
        for key in range(5):
            assert torch.equal(shifted[:, :, query, key], scores[:, :, query, 4 - (query - key)])


@pytest.mark.parametrize("num_blocks", [1, 2])
@torch.no_grad()
def test_a_frame_reaches_its_context_and_no_further(num_blocks: int) -> None:
    module, (frames,) = build(f"transformer-transducer-{num_blocks}l")
    other = frames.clone()
    other[:, 14] += 1.0
    reached = range(max(0, 14 - num_blocks * RIGHT_CONTEXT), min(32, 14 + num_blocks * LEFT_CONTEXT + 1))
    assert changed(module(frames), module(other)) == list(reached)


def test_an_image_token_sees_what_its_pattern_shows() -> None:
    assert seen(Pattern.ROW, 6) == [2, 3, 4, 5, 6]
    assert seen(Pattern.COLUMN, 9) == [1, 5, 9]
    assert seen(Pattern.NEIGHBOURHOOD, 9) == [4, 5, 6, 8, 9]
    assert seen(Pattern.NEIGHBOURHOOD, 0) == [0]


@pytest.mark.parametrize("pattern", Pattern)
def test_text_sees_the_text_before_it(pattern: Pattern) -> None:
    mask = pattern_mask(pattern, TEXT, SIDE)
    assert mask.shape == (TEXT + SIDE * SIDE - 1,) * 2
    assert torch.equal(mask[:TEXT].eq(0), torch.ones((TEXT, mask.shape[1]), dtype=torch.bool).tril())


def test_patterns_take_turns_and_the_last_is_its_own() -> None:
    named = {Pattern.ROW: "r", Pattern.COLUMN: "c", Pattern.NEIGHBOURHOOD: "n"}
    assert "".join(named[pattern_of(block, 8)] for block in range(1, 9)) == "rcrrrcrn"
    assert "".join(named[pattern_of(block, 2)] for block in range(1, 3)) == "rc"


@torch.no_grad()
def test_a_token_changes_no_logits_up_to_its_own() -> None:
    module, (text_ids, image_ids) = build("dalle")
    text, image = module(text_ids, image_ids)
    other = text_ids.clone()
    other[0, 5] = (other[0, 5] + 1) % 1000
    later_text, later_image = module(other, image_ids)
    assert changed(text, later_text) == list(range(6, 16))
    assert changed(image, later_image) == list(range(16))
    other = image_ids.clone()
    other[0, 5] = (other[0, 5] + 1) % 500
    same_text, later_image = module(text_ids, other)
    assert changed(text, same_text) == []
    assert changed(image, later_image)[0] == 6


@pytest.mark.parametrize("name", ["transformer-transducer", "dalle"])
@torch.no_grad()
def test_both_forms_of_attention_compute_the_same(name: str) -> None:
    fused, arguments = build(name)
    eager, _ = build(name, attention="eager")
    for left, right in zip(fused(*arguments), eager(*arguments), strict=True):
        assert torch.allclose(left, right, rtol=0, atol=1e-4)
