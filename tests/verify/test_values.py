"""Outputs that are no tensors are verified as those that are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from eqsat.rules.rule import FloatClass
from eqsat.runtime import Runtime, SessionSettings
from eqsat.verify.verify import Reason, Verification, verify
from ir.reader import read

SIZE = 64


def save(path: Path, factor: float, *, split: int = 1, is_exact: bool = True) -> Path:
    """``SplitToSequence(x w, split)`` with weights times a factor, in another order of additions where not exact."""
    weight = np.random.default_rng(0).standard_normal((SIZE, SIZE)).astype(np.float32) * np.float32(factor)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"])]
    if not is_exact:
        nodes = [
            helper.make_node("MatMul", ["x", "half"], ["a"]),
            helper.make_node("MatMul", ["x", "rest"], ["b"]),
            helper.make_node("Add", ["a", "b"], ["h"]),
        ]
    nodes.append(helper.make_node("SplitToSequence", ["h", "split"], ["y"], axis=0))
    constants = {
        "w": weight,
        "half": weight * np.float32(0.3),
        "rest": weight * np.float32(0.7),
        "split": np.array(split),
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, SIZE])],
        [helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path


def verified(runtime: Runtime, original: Path, candidate: Path) -> Verification:
    return verify(
        original,
        candidate,
        read(original),
        runtime,
        settings=SessionSettings(threads=1),
        num_checks=1,
        seed=0,
        float_class=FloatClass.REASSOCIATES,
        input_shapes={},
    )


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    with Runtime(timeout_s=60.0) as made:
        yield made


def test_the_elements_of_a_sequence_get_the_tolerance_of_their_output(runtime: Runtime, tmp_path: Path) -> None:
    original = save(tmp_path / "a.onnx", 1.0)
    found = verified(runtime, original, save(tmp_path / "b.onnx", 1.0, is_exact=False))
    assert found.reason is Reason.EQUAL
    assert [each.name for each in found.per_output] == ["y[length]", "y[0]", "y[1]", "y[2]", "y[3]"]
    assert found.max_abs_error > 0


@pytest.mark.parametrize(
    ("factor", "split", "said"), [(1.001, 1, "output 'y[0]' differs"), (1.0, 2, "outputs are y[length]")]
)
def test_a_sequence_of_other_elements_is_told(
    runtime: Runtime, tmp_path: Path, factor: float, split: int, said: str
) -> None:
    original = save(tmp_path / "a.onnx", 1.0)
    found = verified(runtime, original, save(tmp_path / "b.onnx", factor, split=split))
    assert found.reason is Reason.DIFFERENT
    assert said in found.detail
