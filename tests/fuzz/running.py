"""Runs of models in one child process; a model that ends the child counts as one that cannot be run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from eqsat.runtime import MeasurementError, Runtime
from eqsat.runtime.batch import ModelRun

Answer: TypeAlias = "dict[str, np.ndarray] | MeasurementError"


def run_all(runtime: Runtime, runs: Sequence[ModelRun]) -> list[Answer]:
    """Return the outputs of each run, or why there are none.

    ONNX Runtime itself crashes on a few models: each run is then made alone, so that the others still have a result.
    """
    try:
        return runtime.run_batch(runs)
    except MeasurementError as error:
        if len(runs) == 1:
            return [error]
    return [answer for run in runs for answer in run_all(runtime, [run])]
