"""Running moments are those of all rows at once, and travel as text."""

from __future__ import annotations

import numpy as np
import pytest

from rl.agent.statistics import WIDTHS, FeatureStatistics, Moments, merge
from tests.rl.observations import observation


def test_moments_of_parts_are_those_of_the_whole() -> None:
    rows = np.random.default_rng(0).standard_normal((50, 4)) * [1, 10, 0.1, 5] + [0, 100, -3, 1]
    merged = Moments.nothing(4)
    for part in np.split(rows, [0, 1, 20]):
        merged = merge(merged, Moments.of(part))
    assert merged.count == 50
    assert merged.mean == pytest.approx(rows.mean(axis=0))
    assert merged.deviation() == pytest.approx(rows.std(axis=0))


def test_a_column_that_never_varies_is_not_blown_up() -> None:
    assert Moments.of(np.full((9, 1), 0.1, np.float32)).deviation().tolist() == [1.0]
    assert Moments.nothing(2).deviation().tolist() == [1.0, 1.0]


def test_observations_are_counted_once_each() -> None:
    observations = [observation(seed) for seed in range(5)]
    statistics = FeatureStatistics.nothing().with_observations(observations[:2]).with_observations(observations[2:])
    for name in WIDTHS:
        rows = np.concatenate([getattr(each, name) for each in observations])
        assert statistics.moments[name].count == len(rows)
        assert statistics.moments[name].mean == pytest.approx(rows.mean(axis=0), abs=1e-6)


def test_text_and_back() -> None:
    statistics = FeatureStatistics.nothing().with_observations([observation(0)])
    assert FeatureStatistics.from_json(statistics.to_json()) == statistics


@pytest.mark.parametrize("text", ["[]", "{}", "{", '{"enode_features": {"count": 1, "mean": [0], "squares": [0]}}'])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        FeatureStatistics.from_json(text)
