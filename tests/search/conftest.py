"""An arena with prices by table."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from eqsat.egraph.session import Session
from eqsat.search.interface import Arena
from tests.pipeline import models, pricing
from tests.pipeline.fake_runtime import FakeRuntime

MakeArena = Callable[..., Arena]


@pytest.fixture
def make_arena(tmp_path: Path) -> MakeArena:
    """Makes an arena from a session, prices of operators, a seed and the times that its clock will tell."""

    def make(session: Session, prices: dict[str, float], seed: int = 0, times: list[float] | None = None) -> Arena:
        by = pricing.pricer(FakeRuntime(prices), tmp_path / "prices.sqlite")
        clock = iter(times) if times is not None else itertools.repeat(0.0)
        return Arena(
            session=session,
            build_problem=lambda current: pricing.priced(current, by),
            clock=lambda: next(clock),
            rng=models.rng(seed),
        )

    return make
