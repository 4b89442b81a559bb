"""What tells how fast the machine is just now: two small models, run in turn with what is measured.

Clocks rise and fall, and other programs come and go, for tenths of a second at a time: what is measured alone then is a
fifth dearer or cheaper than at another time, however often it runs. The yardstick is dearer or cheaper by
about the same. Only the child process imports this module.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final, final

import numpy as np

from eqsat.runtime.probe import PAIR_INPUTS, pair_model
from eqsat.runtime.sessions import Runner, create_session

if TYPE_CHECKING:
    from eqsat.runtime.settings import SessionSettings

_SHAPES: Final = {"MatMul": ((64, 128), (128, 128)), "Add": ((64, 512), (64, 512))}
"""One that computes and one that moves data, each small enough to leave the caches to what is measured."""


@final
@dataclass(slots=True)
class Yardstick:
    """The models of the yardstick, ready to run, and how long they took.

    Attributes:
        runners: The models.
        seconds: Of each run so far, by model.
    """

    runners: Sequence[Runner]
    seconds: list[list[float]] = field(default_factory=list)

    def run(self) -> None:
        """Time each model once, warm again after whatever ran before."""
        row = []
        for runner in self.runners:
            runner.run()
            start = time.perf_counter()
            runner.run()
            row.append(time.perf_counter() - start)
        self.seconds.append(row)

    def typical_us(self) -> float:
        """Return the geometric mean of the lower quartiles of the models, in us.

        Raises:
            ValueError: It never ran.
        """
        if not self.seconds:
            raise ValueError("the yardstick never ran")
        logs = [math.log(lower_quartile(column)) for column in zip(*self.seconds, strict=True)]
        return math.exp(math.fsum(logs) / len(logs)) * 1e6


def yardstick(settings: SessionSettings) -> Yardstick:
    """Return a yardstick that has not run yet, in sessions made as others are.

    Args:
        settings: How sessions are made.

    Raises:
        SessionFailedError: ONNX Runtime refuses the models or fails.
        ProviderError: A provider is not available.
    """
    return Yardstick(_runners(settings))


@cache
def _runners(settings: SessionSettings) -> tuple[Runner, ...]:
    made = []
    for operator, shapes in _SHAPES.items():
        feeds = {name: np.ones(shape, dtype=np.float32) for name, shape in zip(PAIR_INPUTS, shapes, strict=True)}
        made.append(Runner(create_session(pair_model(operator), settings), feeds, settings.providers))
    return tuple(made)


def lower_quartile(durations_s: Sequence[float]) -> float:
    """Return what a quarter of the runs are faster than; other programs make runs slower, never faster."""
    return float(np.quantile(durations_s, 0.25))
