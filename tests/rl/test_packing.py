"""A packed observation is the observation, up to the digits of float16."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from rl.agent.packing import pack, unpack
from rl.env.observation import Observation, problems
from tests.rl.observations import observation


@pytest.mark.parametrize("seed", range(3))
def test_nothing_but_digits_is_lost(seed: int) -> None:
    whole = observation(seed)
    back = unpack(pack(whole))
    assert not problems(back)
    for field in fields(Observation):
        one, two = getattr(whole, field.name), getattr(back, field.name)
        assert one.dtype == two.dtype
        assert np.allclose(one, two, rtol=1e-3, atol=1e-3) if one.dtype == np.float32 else np.array_equal(one, two)


def test_it_takes_less_memory() -> None:
    whole = observation(0)
    assert pack(whole).num_bytes < 0.55 * sum(getattr(whole, field.name).nbytes for field in fields(Observation))


def test_large_numbers_survive() -> None:
    whole = observation(0)
    features = whole.enode_features.copy()
    features[0, 0] = 1e9
    packed = pack(replace(whole, enode_features=features, child_edges=whole.child_edges + 70_000))
    assert np.isfinite(unpack(packed).enode_features).all()
    assert np.array_equal(unpack(packed).child_edges, whole.child_edges + 70_000)
