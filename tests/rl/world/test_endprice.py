"""The end-to-end price learns what prices miss, is judged by unseen families, and finds bad measurements."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from rl.world.endprice import Ended, EndFit, cross_validated, end_error, fit_ends, foreseen_ends, worst
from rl.world.latent import LatentState
from rl.world.model import WorldModel
from tests.rl.world import trajectories

FIT = EndFit(num_updates=400, learning_rate=3e-3)
SHARE = 0.4
"""Of what the prices promise, the clock sees this much."""


def state(rng: np.random.Generator, width: int, promised: float) -> LatentState:
    return LatentState(
        summaries=torch.from_numpy(rng.normal(size=(1, width))).float(),
        candidates=torch.zeros(0, width),
        rules=torch.zeros(0, dtype=torch.int64),
        owner=torch.zeros(0, dtype=torch.int64),
        log_costs=torch.tensor([-promised]),
        num_enodes=torch.tensor([100]),
    )


def graphs(model: WorldModel, share: float = SHARE, num_families: int = 3) -> list[Ended]:
    rng = np.random.default_rng(0)
    found = []
    for number in range(12 * num_families):
        promised = rng.uniform(0.0, 0.5)
        gain = 1.0 - math.exp(-share * promised)
        each = state(rng, model.width, promised)
        found.append(Ended(family=f"family-{number % num_families}", state=each, gain=gain))
    return found


def test_logarithms_of_gains() -> None:
    each = Ended(family="a", state=state(np.random.default_rng(0), 8, 0.3), gain=0.5)
    assert each.promised == pytest.approx(0.3)
    assert each.measured == pytest.approx(math.log(2.0))
    assert replace(each, gain=-1.0).measured == pytest.approx(-math.log(2.0)), "twice as slow"


def test_measurements_are_averaged() -> None:
    each = Ended(family="a", state=state(np.random.default_rng(0), 8, 0.3), gain=0.1)
    twice = each.again(0.3)
    assert twice.num_measurements == 2
    assert twice.gain == pytest.approx(0.2)
    assert twice.again(0.5).gain == pytest.approx(0.3)


def test_where_the_prices_miss_nothing_it_adds_nothing() -> None:
    model = trajectories.model()
    ended = graphs(model, share=1.0)
    fit_ends(model, ended, FIT, 0)
    foreseen, disagreement = foreseen_ends(model, ended)
    assert foreseen == pytest.approx([each.measured for each in ended], abs=0.01)
    assert disagreement.max() < 0.01


def test_it_learns_what_families_have_in_common() -> None:
    model = trajectories.model()
    ended = graphs(model)
    promised = np.array([each.promised for each in ended])
    foreseen = cross_validated(model, ended, FIT, 0)
    assert end_error(ended, foreseen).mean < 0.5 * end_error(ended, promised).mean


def test_no_graph_is_foreseen_by_a_head_that_saw_its_family() -> None:
    """What a family measures has no part in what is foreseen of it."""
    model = trajectories.model()
    ended = graphs(model)
    altered = [replace(each, gain=0.9) if each.family == "family-1" else each for each in ended]
    own = [place for place, each in enumerate(ended) if each.family == "family-1"]
    others = [place for place in range(len(ended)) if place not in own]
    one, two = (cross_validated(model, each, FIT, 0) for each in (ended, altered))
    assert np.array_equal(one[own], two[own])
    assert not np.allclose(one[others], two[others])


def test_one_family_cannot_be_split() -> None:
    model = trajectories.model()
    with pytest.raises(ValueError, match="one family"):
        cross_validated(model, graphs(model, num_families=1), FIT, 0)


def test_nothing_but_the_heads_learns() -> None:
    model = trajectories.model()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    fit_ends(model, graphs(model), EndFit(num_updates=3), 0)
    changed = {name for name, each in model.state_dict().items() if not torch.equal(each, before[name])}
    assert changed
    assert all(".final." in name for name in changed)


def test_a_seed_says_it_all() -> None:
    found = []
    for seed in (1, 1, 2):
        model = trajectories.model()
        fit_ends(model, graphs(model), EndFit(num_updates=20), seed)
        found.append(foreseen_ends(model, graphs(model))[0])
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_a_measurement_that_went_wrong_is_among_the_worst() -> None:
    model = trajectories.model()
    ended = graphs(model)
    ended[7] = replace(ended[7], gain=0.95)
    foreseen = cross_validated(model, ended, FIT, 0)
    assert worst(ended, foreseen, 1) == [7]
    assert len(worst(ended, foreseen, 1000)) == len(ended)
