"""Any small graph computes the same bits after it was read and written."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
from hypothesis import given, settings

from tests.ir.graphs import assert_same_results, round_trip
from tests.ir.growing import models


@settings(max_examples=100, deadline=None, derandomize=True)
@given(models())
def test_a_random_graph_computes_the_same(model: onnx.ModelProto) -> None:
    rng = np.random.default_rng(0)
    feeds = {name: rng.standard_normal((2, 3)).astype(np.float32) for name in ("x", "z")}
    with tempfile.TemporaryDirectory() as folder:
        assert_same_results(model, round_trip(model, Path(folder)), feeds)
