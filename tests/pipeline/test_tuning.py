"""Session options are chosen only where they are clearly faster and compute the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typing_extensions import override

from eqsat.pipeline.tuning import candidates, tune
from eqsat.runtime import Contender, OptimizationLevel, SessionSettings
from tests.pipeline import models
from tests.pipeline.fake_runtime import FakeRuntime

BASE = SessionSettings(threads=2)


class LevelRuntime(FakeRuntime):
    """Its times depend on the settings only; settings it does not know change nothing."""

    def __init__(self, times_us: dict[str, float]) -> None:
        super().__init__()
        self.times_us = times_us

    @override
    def optimized_fingerprint(self, model: Path, settings: SessionSettings) -> str:
        return key(settings) if key(settings) in self.times_us else "plain"

    @override
    def time_us(self, contender: Contender) -> float:
        return self.times_us.get(key(contender.settings), 100.0)


def key(settings: SessionSettings) -> str:
    names = "+".join(sorted(settings.disabled_optimizers))
    return names or settings.level.value


Tune = Callable[..., SessionSettings]


@pytest.fixture
def tuned(tmp_path: Path) -> Tune:
    path = models.save(tmp_path / "m.onnx", models.chain(2))

    def run(
        times_us: dict[str, float],
        is_sound: Callable[[SessionSettings], bool] = lambda _: True,
        interval: float = 0.001,
        now: float = 0.0,
    ) -> SessionSettings:
        runtime = LevelRuntime(times_us)
        runtime.interval = interval
        feeds = {"x": np.ones((2, 3), np.float32)}
        return tune(path, runtime.as_runtime(), BASE, feeds, deadline=1.0, clock=lambda: now, seed=0, is_sound=is_sound)

    return run


def test_the_fastest_level_is_taken(tuned: Tune) -> None:
    found = tuned({"ORT_ENABLE_BASIC": 80.0, "ORT_ENABLE_EXTENDED": 90.0})
    assert found == SessionSettings(threads=2, level=OptimizationLevel.BASIC)


def test_optimizers_are_left_out_together(tuned: Tune) -> None:
    found = tuned({"MatMulAddFusion": 90.0, "NchwcTransformer": 95.0, "MatMulAddFusion+NchwcTransformer": 85.0})
    assert set(found.disabled_optimizers) == {"MatMulAddFusion", "NchwcTransformer"}


@pytest.mark.parametrize(
    ("times_us", "interval"),
    [
        pytest.param({}, 0.001, id="nothing changes anything"),
        pytest.param({"ORT_ENABLE_BASIC": 120.0}, 0.001, id="slower"),
        pytest.param({"ORT_ENABLE_BASIC": 99.5}, 0.001, id="hardly faster"),
        pytest.param({"ORT_ENABLE_BASIC": 95.0}, 0.1, id="not clear"),
    ],
)
def test_the_defaults_stay(tuned: Tune, times_us: dict[str, float], interval: float) -> None:
    assert tuned(times_us, interval=interval) is BASE


def test_settings_that_compute_something_else_are_passed_over(tuned: Tune) -> None:
    times_us = {"ORT_ENABLE_BASIC": 80.0, "NchwcTransformer": 90.0}
    found = tuned(times_us, lambda settings: settings.level is OptimizationLevel.ALL)
    assert found.disabled_optimizers == ("NchwcTransformer",)


def test_every_candidate_is_one_change_away() -> None:
    for each in candidates(BASE):
        changed = (each.level is not BASE.level) + len(each.disabled_optimizers)
        assert changed == 1
        assert (each.providers, each.threads) == (BASE.providers, BASE.threads)


def test_no_choice_is_looked_at_when_the_time_is_over(tuned: Tune) -> None:
    assert tuned({"ORT_ENABLE_BASIC": 80.0}, now=2.0) == BASE
