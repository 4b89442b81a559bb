"""How good predictions are: of an order, of a set, and of their own uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

NUM_LEVELS: Final = 19


def ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value from 1, equal ones with the mean of theirs; float64 (num_values,).

    Args:
        values: float (num_values,).
    """
    order = np.argsort(values, kind="stable")
    placed = np.empty(len(values))
    placed[order] = np.arange(1, len(values) + 1)
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    found: np.ndarray = (np.bincount(group, placed) / counts)[group]
    return found


def rank_correlation(one: np.ndarray, two: np.ndarray) -> float:
    """Return Spearman's rank correlation: Pearson's, of the ranks (Spearman 1904).

    Args:
        one: float (num_values,).
        two: float (num_values,).

    Returns:
        From -1 to 1; not a number where one of them does not vary.
    """
    if len(one) < 2:
        return math.nan
    first, second = ranks(one), ranks(two)
    first, second = first - first.mean(), second - second.mean()
    scale = math.sqrt(float(first @ first) * float(second @ second))
    return float(first @ second) / scale if scale > 0 else math.nan


def area_under_curve(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the chance that one that is has a higher score than one that is not: the area under the ROC curve.

    Hanley and McNeil 1982, "The meaning and use of the area under a receiver operating characteristic curve"; equal
    scores count half.

    Args:
        scores: float (num_values,).
        labels: bool (num_values,).

    Returns:
        From 0 to 1, 0.5 where scores say nothing; not a number where all are or none is.
    """
    num_true = int(labels.sum())
    num_false = len(labels) - num_true
    if not num_true or not num_false:
        return math.nan
    below = float(ranks(scores)[labels].sum()) - num_true * (num_true + 1) / 2
    return below / (num_true * num_false)


def f1(predicted: Sequence[frozenset[int]], real: Sequence[frozenset[int]]) -> float:
    """Return ``2 TP / (2 TP + FP + FN)`` over all sets together; 1 where all are empty.

    van Rijsbergen 1979, "Information retrieval", chapter 7.

    Args:
        predicted: One set a case.
        real: Likewise.
    """
    hits = sum(len(one & two) for one, two in zip(predicted, real, strict=True))
    total = sum(len(one) + len(two) for one, two in zip(predicted, real, strict=True))
    return 2 * hits / total if total else 1.0


def ranks_among(values: np.ndarray, samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return where each value lies among the samples of its prediction, from 0 to 1; float64 (num_values,).

    Uniform where predictions are calibrated (Dawid 1984, "probability integral transform"). Among samples that equal
    the value the place is drawn, so that it holds for predictions that are not continuous too.

    Args:
        values: What came; float (num_values,).
        samples: What was drawn from each prediction; float (num_samples, num_values).
        rng: Draws.
    """
    below = (samples < values).sum(axis=0)
    equal = (samples == values).sum(axis=0)
    found: np.ndarray = (below + rng.random(len(values)) * (equal + 1)) / (len(samples) + 1)
    return found


def calibration_curve(places: np.ndarray, num_levels: int = NUM_LEVELS) -> np.ndarray:
    """Return the share of values below each of some predicted quantiles, evenly between 0 and 1; float64 (num_levels,).

    Args:
        places: See :func:`ranks_among`; float (num_values,), at least one.
        num_levels: Quantiles.
    """
    shares: np.ndarray = (places[None, :] <= levels(num_levels)[:, None]).mean(axis=1)
    return shares


def levels(num_levels: int = NUM_LEVELS) -> np.ndarray:
    """Return levels of quantiles, evenly between 0 and 1; float64 (num_levels,)."""
    found: np.ndarray = np.arange(1, num_levels + 1) / (num_levels + 1)
    return found


def calibration_error(places: np.ndarray, num_levels: int = NUM_LEVELS) -> float:
    """Return how far the share of values below a predicted quantile is from its level, on average over the levels.

    Kuleshov, Fenner, Ermon 2018, "Accurate uncertainties for deep learning using calibrated regression", equation 9,
    with the absolute difference in place of its square, so that it reads as a share.

    Args:
        places: See :func:`ranks_among`; float (num_values,).
        num_levels: Levels, evenly between 0 and 1.

    Returns:
        From 0 to about 0.5; not a number where there is no value.
    """
    if not len(places):
        return math.nan
    return float(np.abs(calibration_curve(places, num_levels) - levels(num_levels)).mean())
