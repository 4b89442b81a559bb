"""The yardstick: two models that ONNX Runtime takes, and the number that is made of their times."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from eqsat.runtime.probe import PAIR_INPUTS, pair_model, probe_model
from eqsat.runtime.sessions import Runner, create_session
from eqsat.runtime.settings import SessionSettings
from eqsat.runtime.yardstick import Yardstick, lower_quartile, yardstick


@pytest.mark.parametrize(("operator", "expected"), [("MatMul", 24.0), ("Add", 5.0)])
def test_a_model_of_two_inputs_computes_what_it_says(operator: str, expected: float) -> None:
    model = pair_model(operator)
    onnx.checker.check_model(onnx.load_model_from_string(model), full_check=True)
    left, right = np.full((4, 4), 2.0, dtype=np.float32), np.full((4, 4), 3.0, dtype=np.float32)
    session = create_session(model, SessionSettings(threads=1))
    (found,) = Runner(session, dict(zip(PAIR_INPUTS, (left, right), strict=True))).outputs().values()
    np.testing.assert_array_equal(found, np.full((4, 4), expected, dtype=np.float32))


def test_the_probe_is_a_chain_of_the_length_that_was_asked_for() -> None:
    chain = onnx.load_model_from_string(probe_model(3))
    onnx.checker.check_model(chain, full_check=True)
    assert [node.op_type for node in chain.graph.node] == ["Neg"] * 3


def test_other_programs_make_runs_slower_never_faster() -> None:
    assert lower_quartile([1.0, 1.0, 9.0, 9.0, 9.0]) == 1.0


def test_it_is_the_geometric_mean_of_its_models() -> None:
    scale = Yardstick((), [[1e-6, 4e-6], [1e-6, 4e-6], [7e-6, 9e-6], [1e-6, 4e-6]])
    assert scale.typical_us() == pytest.approx(2.0)


def test_it_runs_as_often_as_it_is_told() -> None:
    scale, other = (yardstick(SessionSettings(threads=1)) for _ in range(2))
    for _ in range(4):
        scale.run()
    assert [len(row) for row in scale.seconds] == [2] * 4
    assert all(second > 0 for row in scale.seconds for second in row)
    assert scale.typical_us() > 0
    assert scale.runners is other.runners
    with pytest.raises(ValueError, match="never ran"):
        other.typical_us()
