"""Choices among numbers of actions that differ: each segment does what a plain loop over it does."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rl.agent.segments import segment_argmax, segment_entropy, segment_log_softmax, segment_sample

SIZES = (3, 1, 5, 2)


def row(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, a mask that allows something in every segment, and the segments, in mixed order."""
    rng = np.random.default_rng(seed)
    segments = np.repeat(np.arange(len(SIZES)), SIZES)
    mask = rng.random(len(segments)) < 0.6
    mask[np.searchsorted(segments, np.arange(len(SIZES)))] = True
    order = rng.permutation(len(segments))
    logits = rng.standard_normal(len(segments)) * 5
    return torch.from_numpy(logits[order]), torch.from_numpy(mask[order]), torch.from_numpy(segments[order])


@pytest.mark.parametrize("seed", range(5))
def test_log_softmax_and_entropy(seed: int) -> None:
    logits, mask, segments = row(seed)
    log_probs = segment_log_softmax(logits, mask, segments, len(SIZES))
    entropy = segment_entropy(log_probs, segments, len(SIZES))
    for segment in range(len(SIZES)):
        places = [place for place in range(len(logits)) if segments[place] == segment]
        weights = {place: math.exp(logits[place]) for place in places if mask[place]}
        expected = 0.0
        for place in places:
            probability = weights.get(place, 0.0) / sum(weights.values())
            assert log_probs[place].exp().item() == pytest.approx(probability)
            expected -= probability * math.log(probability) if probability else 0.0
        assert entropy[segment].item() == pytest.approx(expected, abs=1e-12)


def test_large_logits_do_not_overflow() -> None:
    logits = torch.tensor([1e4, 1e4, -1e4])
    log_probs = segment_log_softmax(logits, torch.ones(3, dtype=torch.bool), torch.zeros(3, dtype=torch.long), 1)
    assert log_probs[:2].tolist() == pytest.approx([math.log(0.5)] * 2)
    assert log_probs[2] == -2e4 + math.log(0.5)


def test_gradients_do_not_reach_what_is_masked() -> None:
    logits, mask, segments = row(1)
    logits.requires_grad_()
    log_probs = segment_log_softmax(logits, mask, segments, len(SIZES))
    (segment_entropy(log_probs, segments, len(SIZES)).sum() + log_probs[mask].sum()).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert not logits.grad[~mask].any()


def test_the_first_of_the_largest_is_chosen() -> None:
    scores = torch.tensor([1.0, 3.0, 3.0, -math.inf, 7.0])
    segments = torch.tensor([0, 0, 0, 1, 1])
    assert segment_argmax(scores, segments, 2).tolist() == [1, 4]


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([0.0, 1.0, 5.0, 2.0, 0.0])
    mask = torch.tensor([True, True, False, True, True])
    segments = torch.tensor([0, 0, 0, 1, 1])
    log_probs = segment_log_softmax(logits, mask, segments, 2)
    generator = torch.Generator().manual_seed(0)
    counts = np.zeros(5)
    for _ in range(2000):
        counts[segment_sample(log_probs, segments, 2, generator).numpy()] += 1
    assert counts[2] == 0
    assert counts / 2000 == pytest.approx(log_probs.exp().numpy(), abs=0.04)


def test_a_seed_draws_the_same_again() -> None:
    logits, mask, segments = row(2)
    log_probs = segment_log_softmax(0.1 * logits, mask, segments, len(SIZES))
    draws = [
        [segment_sample(log_probs, segments, len(SIZES), generator).tolist() for _ in range(5)]
        for generator in (torch.Generator().manual_seed(3), torch.Generator().manual_seed(3))
    ]
    assert draws[0] == draws[1]
    assert len({tuple(draw) for draw in draws[0]}) > 1
