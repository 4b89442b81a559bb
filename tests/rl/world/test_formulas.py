"""Every formula of the world model against a plain loop, or against what is known of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from rl.world.formulas import (
    balanced_kl,
    categorical_kl,
    disagreement,
    gaussian_nll,
    lambda_returns,
    mixture_mean,
    mixture_nll,
    straight_through,
    symmetric_bins,
    two_hot,
    two_hot_loss,
    two_hot_mean,
    two_hot_median,
    uniform_mix,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def density(x: float, mean: float, std: float) -> float:
    return math.exp(-((x - mean) ** 2) / (2 * std**2)) / (std * math.sqrt(2 * math.pi))


def test_gaussian_against_a_loop() -> None:
    target, mean, log_std = random(3, 2), random(3, 2, seed=1), random(3, 2, seed=2)
    for row, found in enumerate(gaussian_nll(target, mean, log_std).tolist()):
        columns = zip(target[row].tolist(), mean[row].tolist(), log_std[row].exp().tolist(), strict=True)
        assert found == pytest.approx(-sum(math.log(density(*each)) for each in columns))


def test_mixture_against_a_loop() -> None:
    target, logits = random(4, 2), random(4, 3, seed=1)
    means, log_stds = random(4, 3, 2, seed=2), 0.5 * random(4, 3, 2, seed=3)
    found = mixture_nll(target, logits, means, log_stds)
    for row in range(4):
        weights = torch.softmax(logits[row], dim=0)
        total = 0.0
        for component in range(3):
            product = float(weights[component])
            for column in range(2):
                product *= density(
                    float(target[row, column]),
                    float(means[row, component, column]),
                    math.exp(float(log_stds[row, component, column])),
                )
            total += product
        assert float(found[row]) == pytest.approx(-math.log(total))
        mean = sum(float(weights[each]) * means[row, each] for each in range(3))
        assert torch.allclose(mixture_mean(logits, means)[row], torch.as_tensor(mean))


def test_a_mixture_of_one_is_a_gaussian() -> None:
    target, mean, log_std = random(3, 2), random(3, 2, seed=1), random(3, 2, seed=2)
    alone = mixture_nll(target, torch.zeros(3, 1), mean[:, None], log_std[:, None])
    assert torch.allclose(alone, gaussian_nll(target, mean, log_std))


def test_uniform_mix_leaves_nothing_impossible() -> None:
    log_probs = uniform_mix(torch.tensor([[1000.0, 0.0, 0.0, 0.0]]), 0.1)
    assert torch.allclose(log_probs.exp(), torch.tensor([[0.925, 0.025, 0.025, 0.025]]))


def test_divergence_against_a_loop() -> None:
    log_p, log_q = (torch.log_softmax(random(2, 3, 4, seed=seed), dim=-1) for seed in (0, 1))
    for row, found in enumerate(categorical_kl(log_p, log_q).tolist()):
        cells = zip(log_p[row].flatten().tolist(), log_q[row].flatten().tolist(), strict=True)
        assert found == pytest.approx(sum(math.exp(p) * (p - q) for p, q in cells))
    assert categorical_kl(log_p, log_p).tolist() == pytest.approx([0.0, 0.0])


def test_balance_moves_the_prior_more() -> None:
    posterior, prior = (random(1, 2, 3, seed=seed).requires_grad_() for seed in (0, 1))
    log_q, log_p = (torch.log_softmax(each, dim=-1) for each in (posterior, prior))
    loss = balanced_kl(log_q, log_p, prior_weight=0.8, free_nats=0.0)
    assert loss.item() == pytest.approx(categorical_kl(log_q, log_p).item())
    loss.sum().backward()  # type: ignore[no-untyped-call]
    whole_p, whole_q = torch.autograd.grad(
        categorical_kl(torch.log_softmax(posterior, -1), torch.log_softmax(prior, -1)).sum(), [prior, posterior]
    )
    assert prior.grad is not None
    assert posterior.grad is not None
    assert torch.allclose(prior.grad, 0.8 * whole_p)
    assert torch.allclose(posterior.grad, 0.2 * whole_q)


def test_free_nats_cost_nothing_more() -> None:
    prior = random(1, 1, 3).requires_grad_()
    log_q = torch.log_softmax(prior.detach() + 0.01, dim=-1)
    loss = balanced_kl(log_q, torch.log_softmax(prior, dim=-1), prior_weight=0.8, free_nats=1.0)
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 1.0
    assert prior.grad is not None
    assert not prior.grad.any()


def test_straight_through_is_the_sample_with_the_gradient_of_the_probabilities() -> None:
    logits = random(2, 3).requires_grad_()
    sample = torch.eye(3, dtype=torch.float64)[:2]
    made = straight_through(sample, torch.log_softmax(logits, dim=-1))
    assert torch.allclose(made, sample)
    (gradient,) = torch.autograd.grad((made * random(2, 3, seed=1)).sum(), logits)
    (expected,) = torch.autograd.grad((torch.softmax(logits, -1) * random(2, 3, seed=1)).sum(), logits)
    assert torch.allclose(gradient, expected)


def test_bins_are_symmetric_around_zero() -> None:
    bins = symmetric_bins(5, 2.0)
    assert bins.tolist() == [-2.0, -0.5, 0.0, 0.5, 2.0]
    with pytest.raises(ValueError, match="none in the middle"):
        symmetric_bins(4, 1.0)


@pytest.mark.parametrize("value", [-1.9, -0.5, -0.1, 0.0, 0.3, 1.0, 2.0])
def test_two_hot_has_the_value_as_its_mean(value: float) -> None:
    bins = symmetric_bins(9, 2.0)
    weights = two_hot(torch.tensor([value]), bins)[0]
    assert float(weights.sum()) == pytest.approx(1.0)
    assert float(weights @ bins) == pytest.approx(value, abs=1e-6)
    assert len(weights.nonzero()) <= 2
    assert two_hot_mean(weights.log()[None], bins).item() == pytest.approx(value, abs=1e-6)


def test_two_hot_counts_what_lies_outside_as_outermost() -> None:
    assert two_hot(torch.tensor([-9.0, 9.0]), symmetric_bins(3, 1.0)).tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]


def test_the_median_is_off_by_least() -> None:
    bins = symmetric_bins(9, 1.0).double()
    for seed in range(20):
        probabilities = torch.softmax(3 * random(1, 9, seed=seed), dim=1)
        found = float(two_hot_median(probabilities, bins))
        errors = [float(probabilities[0] @ (bins - each).abs()) for each in bins]
        assert float(probabilities[0] @ (bins - found).abs()) == pytest.approx(min(errors))


def test_what_is_likelier_zero_than_not_has_the_median_zero() -> None:
    probabilities = torch.tensor([[0.2, 0.0, 0.51, 0.0, 0.29]])
    assert two_hot_median(probabilities, symmetric_bins(5, 1.0)).tolist() == [0.0]


def test_two_hot_loss_is_least_at_the_two_hot_weights() -> None:
    bins, value = symmetric_bins(5, 1.0), torch.tensor([0.1])
    best = two_hot(value, bins).clamp_min(1e-9).log()
    least = float(two_hot_loss(best, value, bins))
    for seed in range(5):
        noise = 0.1 * random(1, 5, seed=seed).float()
        assert float(two_hot_loss(best + noise, value, bins)) > least - 1e-6


@pytest.mark.parametrize("lambda_", [0.0, 0.5, 0.95, 1.0])
def test_lambda_returns_against_a_loop(lambda_: float) -> None:
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    lengths, stopped, gamma = [5, 2, 4], [False, True, False], 0.9
    continues, follows = np.ones((5, 3)), np.zeros((5, 3), np.bool_)
    for episode, length in enumerate(lengths):
        follows[: length - 1, episode] = True
        if stopped[episode]:
            continues[length - 1, episode] = 0.0
    tensors = [torch.from_numpy(each) for each in (rewards, values, continues, follows)]
    found = lambda_returns(tensors[0], tensors[1], tensors[2], tensors[3], gamma, lambda_)
    for episode, length in enumerate(lengths):
        following = values[length - 1, episode]
        for step in reversed(range(length)):
            mixed = (1 - lambda_) * values[step, episode] + lambda_ * following
            goes_on = not (stopped[episode] and step == length - 1)
            following = rewards[step, episode] + (gamma * mixed if goes_on else 0.0)
            assert float(found[step, episode]) == pytest.approx(following)


def test_members_that_agree_do_not_disagree() -> None:
    same = random(4, 2).expand(3, 4, 2)
    assert disagreement(same).tolist() == [0.0] * 4
    apart = disagreement(torch.tensor([[[0.0, 1.0]], [[2.0, 1.0]]]))
    assert apart.tolist() == [0.5]
