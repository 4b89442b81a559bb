"""The hurdle distribution is one, has the mean it says, and draws what it says."""

from __future__ import annotations

import math

import pytest
import torch

from rl.world.hurdle import drawn_counts, hurdle_nll, likely_counts, positive_mean


@pytest.mark.parametrize("rate", [0.05, 0.7, 4.0])
@pytest.mark.parametrize("chance", [0.1, 0.8])
def test_probabilities_against_a_loop(rate: float, chance: float) -> None:
    counts = torch.arange(40, dtype=torch.float64)
    logit = torch.tensor(math.log(chance / (1 - chance)), dtype=torch.float64)
    log_rate = torch.tensor(math.log(rate), dtype=torch.float64)
    nll = hurdle_nll(counts, logit.expand(40), log_rate.expand(40))
    total, mean = 0.0, 0.0
    for count in range(40):
        poisson = rate**count * math.exp(-rate) / math.factorial(count)
        expected = 1 - chance if count == 0 else chance * poisson / (1 - math.exp(-rate))
        assert math.exp(-float(nll[count])) == pytest.approx(expected)
        total += expected
        mean += count * expected
    assert total == pytest.approx(1.0)
    assert float(positive_mean(log_rate)) == pytest.approx(mean / chance)


def test_draws_have_the_mean_and_the_share_of_zeros() -> None:
    logits, log_rates = torch.full((20_000,), 0.5), torch.full((20_000,), math.log(1.5))
    counts = drawn_counts(logits, log_rates, torch.Generator().manual_seed(0)).double()
    assert float(counts.mean()) == pytest.approx(
        float(torch.sigmoid(logits[0]) * positive_mean(log_rates[0])), rel=0.03
    )
    assert float((counts > 0).double().mean()) == pytest.approx(float(torch.sigmoid(logits[0])), rel=0.03)
    again = drawn_counts(logits, log_rates, torch.Generator().manual_seed(0)).double()
    assert torch.equal(counts, again)


def test_what_is_likely_is_nothing_or_the_mean() -> None:
    logits, log_rates = torch.tensor([-1.0, 1.0, 1.0]), torch.tensor([3.0, -4.0, math.log(5.0)])
    assert likely_counts(logits, log_rates).tolist() == [0, 1, 5]
