"""Confidence intervals of paired latency tests.

A pair of fresh sessions has a bias of its own (about 1 %, from where its memory and threads landed) that more
rounds do not remove. So one pair is one observation, the median log ratio of its rounds, and the interval comes
from the spread between pairs: Student's t on log ratios.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median, stdev

_T_95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_T_999 = (
    636.619, 31.599, 12.924, 8.610, 6.869, 5.959, 5.408, 5.041, 4.781, 4.587, 4.437, 4.318, 4.221, 4.140, 4.073,
    4.015, 3.965, 3.922, 3.883, 3.850, 3.819, 3.792, 3.768, 3.745, 3.725, 3.707, 3.690, 3.674, 3.659, 3.646,
)  # fmt: skip
"""Two-sided quantiles of Student's t for 1 to 30 degrees of freedom; beyond, the last is used and errs to the wide
side."""

MIN_PAIRS = 5
"""Fewer pairs decide nothing."""

NEGLIGIBLE = 0.005
"""A speed-up that is certainly smaller than this, either way, is none."""


def paired_interval(log_ratios: Sequence[float]) -> tuple[float, float, float]:
    """Return the speed-up and its 95 % interval.

    Args:
        log_ratios: One number a pair of sessions: log(latency of the baseline / latency of the contender).

    Returns:
        The median ratio, and the ends of the t-interval of the mean log ratio with n - 1 degrees of freedom,
        widened to hold the median where it does not. One pair gives (ratio, 0, inf).

    Raises:
        ValueError: There is no pair.
    """
    return _interval(log_ratios, _T_95)


def is_decided(log_ratios: Sequence[float]) -> bool:
    """Return whether more pairs would change nothing that matters.

    Looking after every pair gives chance many tries, so a difference counts only when the 99.9 % interval excludes
    1; no difference, when the 95 % interval lies within half a percent of 1.
    """
    if len(log_ratios) < MIN_PAIRS:
        return False
    _, low, high = _interval(log_ratios, _T_999)
    if low > 1.0 or high < 1.0:
        return True
    _, low, high = _interval(log_ratios, _T_95)
    return low > 1.0 - NEGLIGIBLE and high < 1.0 + NEGLIGIBLE


def _interval(log_ratios: Sequence[float], quantiles: Sequence[float]) -> tuple[float, float, float]:
    if not log_ratios:
        raise ValueError("an interval needs at least one pair")
    middle = median(log_ratios)
    count = len(log_ratios)
    if count == 1:
        return math.exp(middle), 0.0, math.inf
    quantile = quantiles[min(count - 1, len(quantiles)) - 1]
    half_width = quantile * stdev(log_ratios) / math.sqrt(count)
    centre = fmean(log_ratios)
    low = min(middle, centre - half_width)
    high = max(middle, centre + half_width)
    return math.exp(middle), math.exp(low), math.exp(high)
