"""The policy that ships is small, is whole, and is worth having where there is little room."""

from __future__ import annotations

import numpy as np
import pytest

from rl.agent.checkpoint import SHIPPED, shipped
from rl.comparison.attempts import Limits
from rl.comparison.baselines import baselines
from rl.comparison.contenders import PolicyContender
from rl.comparison.ledger import PriceBook
from rl.families import Split, make_tasks
from rl.families.prices import CalibratedPrices, measured_fits
from rl.training.config import DEFAULT, read_config

MAX_BYTES = 4_000_000


def test_it_fits_into_a_wheel() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < MAX_BYTES


def test_it_has_the_shape_that_its_settings_say() -> None:
    policy = shipped()
    assert policy.network == read_config(DEFAULT).network
    policy.build()


@pytest.fixture(scope="module")
def gains() -> dict[str, list[float]]:
    """Gains on kinds that training never saw, when the e-graph may grow by 40 %."""
    fallback = CalibratedPrices(measured_fits())
    policy = PolicyContender(name="shipped", checkpoint=shipped(), fallback=fallback)
    limits = Limits(growth=1.4)
    found: dict[str, list[float]] = {}
    for task in make_tasks([3, 4, 10], split=Split.HELD_OUT):
        for contender in (policy, *baselines(fallback, ["saturate"])):
            attempt = contender.attempt(task, PriceBook(source=task.prices), limits, 0)
            found.setdefault(contender.name, []).append(attempt.gain)
    return found


def test_it_never_loses(gains: dict[str, list[float]]) -> None:
    assert min(gains["shipped"]) >= 0.0


def test_it_spends_little_room_about_as_well_as_saturation(gains: dict[str, list[float]]) -> None:
    assert np.mean(gains["shipped"]) > 0.95 * np.mean(gains["saturate"])
