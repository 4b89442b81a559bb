"""Prices of a session by table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from eqsat.egraph.session import Session
from eqsat.prices.database import PriceDatabase
from eqsat.prices.micro import MicroMaker
from eqsat.prices.pricing import Pricer
from eqsat.prices.problem import PricedProblem, build_problem
from eqsat.runtime import CPU_PROVIDER, SessionSettings
from tests.pipeline.fake_runtime import FakeRuntime


def pricer(runtime: FakeRuntime, database: Path, clock: Callable[[], float] = lambda: 0.0) -> Pricer:
    return Pricer(
        runtime=runtime.as_runtime(),
        database=PriceDatabase(database),
        settings=SessionSettings(threads=1),
        opset=18,
        now=lambda: 0.0,
        clock=clock,
    )


def priced(
    session: Session,
    by: Pricer,
    *,
    sizes: Mapping[int, int] | None = None,
    deadline: float = math.inf,
    provider: str = CPU_PROVIDER,
    has_clusters: bool = True,
) -> PricedProblem:
    maker = MicroMaker(session, sizes or {})
    return build_problem(session, by, maker, provider, deadline=deadline, has_clusters=has_clusters)
