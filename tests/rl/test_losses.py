"""The terms of the objective against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rl.training.losses import approximate_kl, clip_fraction, linear_schedule, policy_loss, value_loss

CLIP = 0.2


def drawn(seed: int, count: int = 50) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    old = -rng.random(count) * 3
    return old + rng.standard_normal(count) * 0.3, old, rng.standard_normal(count)


@pytest.mark.parametrize("seed", range(3))
def test_against_loops(seed: int) -> None:
    new, old, advantages = drawn(seed)
    surrogate = divergence = outside = 0.0
    for one, two, advantage in zip(new, old, advantages, strict=True):
        ratio = math.exp(one - two)
        surrogate += min(ratio * advantage, min(max(ratio, 1 - CLIP), 1 + CLIP) * advantage)
        divergence += ratio - 1 - math.log(ratio)
        outside += ratio < 1 - CLIP or ratio > 1 + CLIP
    one, two, gain = (torch.from_numpy(each) for each in (new, old, advantages))
    assert policy_loss(one, two, gain, CLIP).item() == pytest.approx(-surrogate / len(new))
    assert approximate_kl(one, two).item() == pytest.approx(divergence / len(new))
    assert clip_fraction(one, two, CLIP).item() == pytest.approx(outside / len(new))
    assert 0 < outside < len(new)


@pytest.mark.parametrize(("advantage", "moves"), [(1.0, False), (-1.0, True)])
def test_what_went_far_enough_is_not_pushed_farther(advantage: float, moves: bool) -> None:
    new = torch.tensor([0.5], requires_grad=True)
    policy_loss(new, torch.tensor([0.0]), torch.tensor([advantage]), CLIP).backward()  # type: ignore[no-untyped-call]
    assert new.grad is not None
    assert bool(new.grad.any()) is moves


def test_the_value_is_pulled_to_the_return() -> None:
    values = torch.tensor([1.0, 2.0], requires_grad=True)
    loss = value_loss(values, torch.tensor([3.0, 2.0]))
    assert loss.item() == pytest.approx(0.5 * (4.0 + 0.0) / 2)
    loss.backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    assert values.grad.tolist() == [-1.0, 0.0]


def test_divergence_is_never_negative() -> None:
    new, old, _ = drawn(7)
    assert approximate_kl(torch.from_numpy(new), torch.from_numpy(old)) > 0
    assert approximate_kl(torch.from_numpy(old), torch.from_numpy(old)) == 0


@pytest.mark.parametrize(("progress", "expected"), [(-1.0, 4.0), (0.0, 4.0), (0.25, 3.5), (1.0, 2.0), (2.0, 2.0)])
def test_schedule(progress: float, expected: float) -> None:
    assert linear_schedule(4.0, 2.0, progress) == expected
