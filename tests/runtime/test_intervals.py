from __future__ import annotations

import math
import random

import pytest

from eqsat.runtime.intervals import MIN_PAIRS, is_decided, paired_interval

BETWEEN_SESSIONS = 0.01
"""Standard deviation of the log ratio of two sessions of one model, as measured on real models."""


def draw(rng: random.Random, speedup: float, num_pairs: int) -> list[float]:
    return [rng.gauss(math.log(speedup), BETWEEN_SESSIONS) for _ in range(num_pairs)]


def plain_loop(log_ratios: list[float], quantile: float) -> tuple[float, float]:
    total = 0.0
    for ratio in log_ratios:
        total += ratio
    mean = total / len(log_ratios)
    squares = 0.0
    for ratio in log_ratios:
        squares += (ratio - mean) ** 2
    error = (squares / (len(log_ratios) - 1) / len(log_ratios)) ** 0.5
    return math.exp(mean - quantile * error), math.exp(mean + quantile * error)


@pytest.mark.parametrize(("num_pairs", "quantile"), [(2, 12.706), (5, 2.776), (16, 2.131), (31, 2.042), (60, 2.042)])
def test_the_interval_is_the_t_interval_of_a_plain_loop(num_pairs: int, quantile: float) -> None:
    log_ratios = draw(random.Random(num_pairs), 1.05, num_pairs)
    middle, low, high = paired_interval(log_ratios)
    expected_low, expected_high = plain_loop(log_ratios, quantile)
    assert low == pytest.approx(expected_low, rel=1e-12)
    assert high == pytest.approx(expected_high, rel=1e-12)
    ordered = sorted(log_ratios)
    half = num_pairs // 2
    assert math.log(middle) == pytest.approx((ordered[half] + ordered[-half - 1]) / 2)


def test_one_pair_says_nothing_about_the_spread() -> None:
    middle, low, high = paired_interval([math.log(2.0)])
    assert middle == pytest.approx(2.0)
    assert (low, high) == (0.0, math.inf)


def test_no_pair_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one pair"):
        paired_interval([])


def test_the_interval_holds_its_own_middle_even_beside_an_outlier() -> None:
    middle, low, high = paired_interval([0.0] * 30 + [-9.0] * 14)
    assert low <= middle <= high


def test_the_interval_holds_the_truth_in_about_95_of_100() -> None:
    rng = random.Random(0)
    trials = 2000
    held = 0
    for _ in range(trials):
        _, low, high = paired_interval(draw(rng, 1.02, 8))
        held += low <= 1.02 <= high
    assert 0.935 <= held / trials <= 0.97


def test_stopping_early_rarely_calls_two_equal_models_different() -> None:
    rng = random.Random(1)
    trials = 1000
    faster = 0
    for _ in range(trials):
        log_ratios = draw(rng, 1.0, MIN_PAIRS)
        while len(log_ratios) < 16 and not is_decided(log_ratios):
            log_ratios += draw(rng, 1.0, 1)
        faster += paired_interval(log_ratios)[1] > 1.0
    assert faster / trials <= 0.04


def test_a_clear_gain_is_decided_at_once_and_a_small_one_later() -> None:
    rng = random.Random(2)
    assert is_decided(draw(rng, 1.3, MIN_PAIRS))
    assert not is_decided(draw(rng, 1.3, MIN_PAIRS - 1))
    assert not is_decided(draw(rng, 1.005, MIN_PAIRS))


def test_certainly_no_difference_is_decided_too() -> None:
    assert is_decided([0.0005, -0.0005] * 4)
    assert not is_decided([0.03, -0.03] * 4)
