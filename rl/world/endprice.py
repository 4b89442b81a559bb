"""The learned end-to-end price: what sums of prices miss of a whole graph.

The price of a graph is a sum over its operators, each measured alone. From end to end caches are shared, fusions span
more than a pair, and threads wait. What is learnt is the difference, in nats:
``log(latency before / after) - log(price before / after)``, from the state in which an episode ended, read by the one
function that STOP's head reads in training and in use, :meth:`rl.world.model.WorldModel.ends`.

Measurements are dear and few, and graphs of one family are alike. So the map is linear, with a ridge (Hoerl and
Kennard 1970) on what is not the price, whose strength is chosen by families that were left out; and whether it has
learnt something is told by families that neither the map nor its strength have seen. Where it is most wrong, the
measurement may be at fault, so that the worst are measured again. No prediction decides what a run returns: that is the
paired test of its finalists.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, final

import numpy as np

from rl.world.metrics import rank_correlation

STRENGTHS: Final = (0.1, 1.0, 10.0, 100.0, 1e3, 1e6)
"""Ridges that are tried; behind the last one, only the price counts."""

_PRICE_RIDGE: Final = 0.1
"""Ridge on the weight of the price itself."""

_LARGEST_GAIN: Final = 0.99
"""A latency that fell by more counts as this: a logarithm needs a bound."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ended:
    """A graph that an episode ended with, measured from end to end.

    Attributes:
        family: Graphs of one family are never on both sides of a split.
        row: The state in which the episode ended, see :meth:`rl.world.model.WorldModel.ends`; float64 (width + 1,).
        promised: Drop of the log-price, nats.
        gain: Relative drop of the latency, the mean of all measurements; below 0 where it rose.
        num_measurements: How often it was measured.
    """

    family: str
    row: np.ndarray
    promised: float
    gain: float
    num_measurements: int = 1

    @property
    def measured(self) -> float:
        """Drop of the log-latency, nats."""
        return -math.log1p(-min(self.gain, _LARGEST_GAIN))

    def again(self, gain: float) -> Ended:
        """Return the same graph with one measurement more."""
        count = self.num_measurements + 1
        return replace(self, gain=self.gain + (gain - self.gain) / count, num_measurements=count)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EndPrice:
    """A linear map from the state in which an episode ended to what the prices miss.

    Attributes:
        weights: One for each column of a row; float64 (width + 1,). The last one is that of the price.
        strength: Ridge on all weights but the last.
    """

    weights: np.ndarray
    strength: float

    def foreseen(self, ended: Sequence[Ended]) -> np.ndarray:
        """Return the drop of the log-latency of graphs; what was measured of them is not looked at.

        Args:
            ended: At least one.

        Returns:
            float64 (num_graphs,), nats.
        """
        promised = np.array([each.promised for each in ended])
        found: np.ndarray = promised + np.stack([each.row for each in ended]) @ self.weights
        return found


def fit(ended: Sequence[Ended]) -> EndPrice:
    """Return the end-to-end price that graphs tell, with the ridge that is best for families left out.

    Args:
        ended: Of two families at least.

    Raises:
        ValueError: There is only one family.
    """
    errors = [end_error(ended, _left_out(ended, partial(_fitted, strength=each))).mean for each in STRENGTHS]
    return _fitted(ended, STRENGTHS[int(np.argmin(errors))])


def cross_validated(ended: Sequence[Ended]) -> np.ndarray:
    """Return what is foreseen of each graph by a price that has seen no graph of its family.

    Args:
        ended: Of three families at least: one is foreseen, one of the others chooses the ridge.

    Returns:
        float64 (num_graphs,), nats.

    Raises:
        ValueError: There are fewer families.
    """
    return _left_out(ended, fit)


def worst(ended: Sequence[Ended], foreseen: np.ndarray, count: int) -> list[int]:
    """Return the places of the graphs of which was foreseen what is farthest from what was measured, the worst first.

    Args:
        ended: The graphs.
        foreseen: Of each, nats; float (num_graphs,).
        count: Places, at most.
    """
    errors = np.abs(foreseen - np.array([each.measured for each in ended]))
    return [int(place) for place in np.argsort(-errors, kind="stable")[:count]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndError:
    """How far predictions are from the clock.

    Attributes:
        mean: Mean absolute error, nats.
        correlation: Spearman's rank correlation; not a number where one side does not vary.
    """

    mean: float
    correlation: float


def end_error(ended: Sequence[Ended], foreseen: np.ndarray) -> EndError:
    """Return how far what was foreseen is from what was measured.

    Args:
        ended: At least one graph.
        foreseen: Of each, nats; float (num_graphs,).
    """
    measured = np.array([each.measured for each in ended])
    return EndError(mean=float(np.abs(foreseen - measured).mean()), correlation=rank_correlation(foreseen, measured))


def _left_out(ended: Sequence[Ended], learn: Callable[[Sequence[Ended]], EndPrice]) -> np.ndarray:
    """Return what is foreseen of each graph by what was learnt from the other families; float64 (num_graphs,)."""
    families = sorted({each.family for each in ended})
    if len(families) < 2:
        raise ValueError("graphs of one family cannot be split")
    found = np.empty(len(ended))
    for family in families:
        own = [place for place, each in enumerate(ended) if each.family == family]
        price = learn([each for each in ended if each.family != family])
        found[own] = price.foreseen([ended[place] for place in own])
    return found


def _fitted(ended: Sequence[Ended], strength: float) -> EndPrice:
    """Return the weights of ridge regression: ``(X'X + D)^-1 X'y``, the ridge in units of rows."""
    rows = np.stack([each.row for each in ended])
    missed = np.array([each.measured - each.promised for each in ended])
    ridge = np.full(rows.shape[1], strength)
    ridge[-1] = _PRICE_RIDGE
    weights = np.linalg.solve(rows.T @ rows + np.diag(ridge), rows.T @ missed)
    return EndPrice(weights=weights, strength=strength)
