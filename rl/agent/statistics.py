"""Running means and variances of features, by which a network normalises what it sees."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, final

import numpy as np

from rl.env.observation import NUM_CANDIDATE_FEATURES, NUM_ECLASS_FEATURES, NUM_ENODE_FEATURES

if TYPE_CHECKING:
    from rl.env.observation import Observation

WIDTHS: Final[Mapping[str, int]] = {
    "enode_features": NUM_ENODE_FEATURES,
    "eclass_features": NUM_ECLASS_FEATURES,
    "candidate_features": NUM_CANDIDATE_FEATURES,
}
"""The arrays of an observation that are normalised, and their columns."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """What has been seen of the columns of one array.

    Attributes:
        count: Rows.
        mean: One a column.
        squares: Sum of the squared distances from the mean, one a column.

    Raises:
        ValueError: These are the moments of no rows.
    """

    count: int
    mean: tuple[float, ...]
    squares: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what would normalise a feature to no number."""
        if self.count < 0 or not np.less_equal(np.abs(self.mean), _LARGEST).all():
            raise ValueError("a mean is out of range")
        squares = np.array(self.squares, np.float64)
        if not ((squares >= 0) & (squares <= _LARGEST * max(self.count, 1))).all():
            raise ValueError("a variance is out of range")

    @staticmethod
    def nothing(num_columns: int) -> Moments:
        """Return the moments of no row."""
        return Moments(count=0, mean=(0.0,) * num_columns, squares=(0.0,) * num_columns)

    @staticmethod
    def of(rows: np.ndarray) -> Moments:
        """Return the moments of rows; float (num_rows, num_columns)."""
        if not len(rows):
            return Moments.nothing(rows.shape[1])
        exact = rows.astype(np.float64)
        mean = exact.mean(axis=0)
        squares = np.square(exact - mean).sum(axis=0)
        return Moments(count=len(rows), mean=tuple(mean.tolist()), squares=tuple(squares.tolist()))

    def deviation(self) -> np.ndarray:
        """Return the standard deviation of each column; 1 where a column never varied."""
        if not self.count:
            return np.ones(len(self.mean))
        deviation = np.sqrt(np.array(self.squares) / self.count)
        return np.where(deviation > _CONSTANT, deviation, 1.0)


_CONSTANT: Final = 1e-6
_LARGEST: Final = 1e30
"""Far beyond any feature, and far within what float32 holds."""


def merge(one: Moments, two: Moments) -> Moments:
    """Return the moments of the rows behind both.

    Chan, Golub, LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances", section 3.
    """
    if not one.count or not two.count:
        return one if one.count else two
    count = one.count + two.count
    delta = np.array(two.mean) - np.array(one.mean)
    mean = np.array(one.mean) + delta * (two.count / count)
    squares = np.array(one.squares) + np.array(two.squares) + np.square(delta) * (one.count * two.count / count)
    return Moments(count=count, mean=tuple(mean.tolist()), squares=tuple(squares.tolist()))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureStatistics:
    """The moments of every array that is normalised.

    Attributes:
        moments: By the name of the observation's array.
    """

    moments: Mapping[str, Moments]

    @staticmethod
    def nothing() -> FeatureStatistics:
        """Return the statistics of no observation; they normalise nothing."""
        return FeatureStatistics(moments={name: Moments.nothing(width) for name, width in WIDTHS.items()})

    def with_observations(self, observations: Iterable[Observation]) -> FeatureStatistics:
        """Return the statistics of what these know and the observations."""
        moments = dict(self.moments)
        for observation in observations:
            for name in WIDTHS:
                moments[name] = merge(moments[name], Moments.of(getattr(observation, name)))
        return FeatureStatistics(moments=moments)

    def to_json(self) -> str:
        """Return the statistics as JSON."""
        return json.dumps({name: asdict(each) for name, each in self.moments.items()}, indent=1) + "\n"

    @staticmethod
    def from_json(text: str) -> FeatureStatistics:
        """Return the statistics that :meth:`to_json` wrote.

        Raises:
            ValueError: It did not write this.
        """
        try:
            moments = {
                name: Moments(count=each["count"], mean=tuple(each["mean"]), squares=tuple(each["squares"]))
                for name, each in json.loads(text).items()
            }
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"these are no feature statistics: {error!r}") from error
        if {name: len(each.mean) for name, each in moments.items()} != dict(WIDTHS):
            raise ValueError("these statistics are of other features")
        return FeatureStatistics(moments=moments)
