"""Any small model becomes an e-graph and a model again that computes the same bits, and inputs can be drawn for it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
from hypothesis import given, settings

from eqsat.egraph.session import Session
from eqsat.verify.inputs import input_specs, random_feeds
from tests.egraph.sessions import first_choice, rules, written
from tests.ir.graphs import assert_same_results, read_proto
from tests.ir.growing import models


@settings(max_examples=40, deadline=None, derandomize=True)
@given(models())
def test_a_random_model_survives_its_e_graph(model: onnx.ModelProto) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        graph = read_proto(model, folder)
        feeds = random_feeds(graph, input_specs(graph, {}), np.random.default_rng(0), {})
        session = Session(graph, rules())
        assert_same_results(model, written(session, first_choice(session), folder), feeds)
