"""The end-to-end price learns what prices miss, is judged by unseen families, and finds bad measurements."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from rl.world.endprice import STRENGTHS, Ended, EndPrice, cross_validated, end_error, fit, worst
from rl.world.model import COST_SCALE

WIDTH = 6
SHARE = 0.4
"""Of what the prices promise, the clock sees this much."""


def graph(family: str, promised: float, gain: float, rng: np.random.Generator) -> Ended:
    row = np.append(rng.normal(size=WIDTH), -COST_SCALE * promised)
    return Ended(family=family, row=row, promised=promised, gain=gain)


def graphs(share: float = SHARE, num_families: int = 4, column: int | None = None) -> list[Ended]:
    """Graphs of which the clock sees a share of what is promised, and a tenth of a column of their state."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(12 * num_families):
        promised = rng.uniform(0.0, 0.5)
        each = graph(f"family-{number % num_families}", promised, 0.0, rng)
        measured = share * promised + (0.0 if column is None else 0.1 * each.row[column])
        found.append(replace(each, gain=1.0 - math.exp(-measured)))
    return found


def promised_by(ended: list[Ended]) -> np.ndarray:
    return np.array([each.promised for each in ended])


def test_logarithms_of_gains() -> None:
    each = graph("a", 0.3, 0.5, np.random.default_rng(0))
    assert each.measured == pytest.approx(math.log(2.0))
    assert replace(each, gain=-1.0).measured == pytest.approx(-math.log(2.0)), "twice as slow"


def test_measurements_are_averaged() -> None:
    each = graph("a", 0.3, 0.1, np.random.default_rng(0))
    twice = each.again(0.3)
    assert twice.num_measurements == 2
    assert twice.gain == pytest.approx(0.2)
    assert twice.again(0.5).gain == pytest.approx(0.3)


def test_where_the_prices_miss_nothing_it_adds_nothing() -> None:
    ended = graphs(share=1.0)
    assert fit(ended).weights == pytest.approx(np.zeros(WIDTH + 1), abs=1e-9)


def test_it_learns_what_families_have_in_common() -> None:
    for column in (None, 2):
        ended = graphs(column=column)
        foreseen = cross_validated(ended)
        assert end_error(ended, foreseen).mean < 0.1 * end_error(ended, promised_by(ended)).mean


def test_what_only_holds_in_one_family_is_not_believed() -> None:
    """A column that tells the family apart explains its own graphs and misleads about the others."""
    ended = graphs(num_families=4)
    biased = []
    for each in ended:
        number = int(each.family[-1])
        row = each.row.copy()
        row[0] = (3.0, -3.0, -3.0, 3.0)[number]
        gain = 1.0 - math.exp(-each.measured - (0.2, 0.2, -0.2, -0.2)[number])
        biased.append(replace(each, row=row, gain=gain))
    learned = fit(biased)
    assert learned.strength == max(STRENGTHS)
    assert abs(learned.weights[:-1]).max() < 1e-3


def test_no_graph_is_foreseen_by_what_saw_its_family() -> None:
    """What a family measures has no part in what is foreseen of it."""
    ended = graphs()
    altered = [replace(each, gain=0.9) if each.family == "family-1" else each for each in ended]
    own = [place for place, each in enumerate(ended) if each.family == "family-1"]
    others = [place for place in range(len(ended)) if place not in own]
    one, two = (cross_validated(each) for each in (ended, altered))
    assert np.array_equal(one[own], two[own])
    assert not np.allclose(one[others], two[others])


@pytest.mark.parametrize("num_families", [1, 2])
def test_few_families_cannot_be_split(num_families: int) -> None:
    with pytest.raises(ValueError, match="one family"):
        cross_validated(graphs(num_families=num_families))


def test_ridge_regression_is_what_its_formula_says() -> None:
    """Of all weights, those that are found have the least squared error and ridge together."""
    ended = graphs(column=1)
    found = fit(ended)

    def penalised(weights: np.ndarray) -> float:
        errors = EndPrice(weights=weights, strength=0.0).foreseen(ended) - np.array([each.measured for each in ended])
        ridge = np.append(np.full(WIDTH, found.strength), 0.1)
        return float(errors @ errors + ridge @ np.square(weights))

    rng = np.random.default_rng(1)
    least = penalised(found.weights)
    assert all(penalised(found.weights + 1e-3 * rng.normal(size=WIDTH + 1)) > least for _ in range(20))


def test_a_measurement_that_went_wrong_is_among_the_worst() -> None:
    ended = graphs()
    ended[7] = replace(ended[7], gain=0.95)
    assert worst(ended, cross_validated(ended), 1) == [7]
    assert len(worst(ended, promised_by(ended), 1000)) == len(ended)
