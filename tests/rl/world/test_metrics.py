"""Ranks, sets and calibration against plain loops and known values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rl.world.metrics import area_under_curve, calibration_error, f1, rank_correlation, ranks, ranks_among


def test_ranks_against_a_loop() -> None:
    values = np.array([3.0, 1.0, 3.0, 2.0, 3.0])
    for place, found in enumerate(ranks(values)):
        below = sum(other < values[place] for other in values)
        equal = sum(other == values[place] for other in values)
        assert found == below + (equal + 1) / 2


def test_rank_correlation_sees_the_order_alone() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=50)
    assert rank_correlation(one, np.exp(3 * one)) == pytest.approx(1.0)
    assert rank_correlation(one, -one) == pytest.approx(-1.0)
    assert abs(rank_correlation(one, rng.normal(size=50))) < 0.4
    assert rank_correlation(np.array([1.0, 2.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])) == pytest.approx(
        0.9487, abs=1e-4
    )
    assert math.isnan(rank_correlation(one, np.zeros(50)))
    assert math.isnan(rank_correlation(one[:1], one[:1]))


def test_the_area_under_the_curve_against_all_pairs() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(6, size=60).astype(float), rng.random(60) < 0.3
    pairs = [(one > two) + 0.5 * (one == two) for one in scores[labels] for two in scores[~labels]]
    assert area_under_curve(scores, labels) == pytest.approx(sum(pairs) / len(pairs))
    assert area_under_curve(labels.astype(float), labels) == 1.0
    assert math.isnan(area_under_curve(scores, np.ones(60, np.bool_)))


def test_f1_counts_over_all_sets() -> None:
    predicted = [frozenset({1, 2}), frozenset({3})]
    real = [frozenset({1}), frozenset({3, 4, 5})]
    assert f1(predicted, real) == pytest.approx(2 * 2 / (2 * 2 + 1 + 2))
    assert f1([frozenset()], [frozenset()]) == 1.0
    assert f1([frozenset({1})], [frozenset({2})]) == 0.0


def test_calibrated_predictions_have_uniform_places() -> None:
    rng = np.random.default_rng(0)
    means = rng.normal(size=2_000)
    values = means + rng.normal(size=2_000)
    samples = means + rng.normal(size=(99, 2_000))
    assert calibration_error(ranks_among(values, samples, rng)) < 0.03
    too_sure = means + 0.2 * rng.normal(size=(99, 2_000))
    assert calibration_error(ranks_among(values, too_sure, rng)) > 0.1


def test_calibration_holds_for_predictions_that_are_mostly_zero() -> None:
    rng = np.random.default_rng(0)
    values, samples = rng.random(2_000) < 0.2, rng.random((99, 2_000)) < 0.2
    assert calibration_error(ranks_among(values, samples, rng)) < 0.03
    assert math.isnan(calibration_error(np.empty(0)))
