"""Why ONNX Runtime refuses a model: because it is broken, or because this build does not know a part of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from eqsat.runtime import BrokenModelError, Runtime, SessionFailedError, SessionSettings
from tests.ir.graphs import make_model, save, value

N = helper.make_node


def _model(node: onnx.NodeProto | None = None, *, opset: int = 18, ir_version: int = 9) -> onnx.ModelProto:
    nodes = [node or N("Add", ["x", "w"], ["y"])]
    weights = {"w": np.ones((2, 3), dtype=np.float32)}
    ends = [value("x")], [value("y")]
    return make_model(nodes, *ends, weights, domains=["d"], opset=opset, ir_version=ir_version)


def _in_brain_floats() -> onnx.ModelProto:
    """A sum that ONNX allows and ONNX Runtime has no kernel for."""
    ends = [value("x", dtype=TensorProto.BFLOAT16)], [value("y", dtype=TensorProto.BFLOAT16)]
    return make_model([N("Add", ["x", "x"], ["y"])], *ends)


def _changed(change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    model = _model()
    change(model)
    return model


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (_model(N("Sub", ["x", "nowhere"], ["y"])), "'nowhere' is not a graph input"),
        (_model(N("Concat", [], ["y"], axis=0)), "has input size 0"),
        (_model(N("Transpose", ["x"], ["y"], perm="text")), "attribute type"),
        (_model(N("Flatten", ["x"], ["y"], axis=9)), "Flatten"),
        (_changed(lambda m: m.graph.node.append(m.graph.node[0])), "Duplicate definition"),
        (
            _changed(lambda m: setattr(m.graph.initializer[0], "data_type", 99)),
            "'w' does not have valid data type",
        ),
        (_changed(lambda m: m.ClearField("opset_import")), "Missing opset"),
        (_changed(lambda m: setattr(m.graph.output[0], "name", "nowhere")), r"\(nowhere\) does not exist"),
        (_changed(lambda m: setattr(m.graph.output[0].type.tensor_type, "elem_type", 7)), "Type Error"),
    ],
)
def test_a_broken_model_is_told_by_the_fact_alone(
    model: onnx.ModelProto, said: str, runtime: Runtime, settings: SessionSettings, tmp_path: Path
) -> None:
    with pytest.raises(BrokenModelError, match=said) as caught:
        runtime.optimized_fingerprint(save(model, tmp_path), settings)
    assert str(caught.value).startswith("not a valid ONNX model (")
    assert not any(noise in str(caught.value) for noise in ("onnxruntime", "ONNXRuntimeError", "Load model", ".cc:"))


def test_a_broken_model_whose_names_are_no_text_is_told_without_them(
    runtime: Runtime, settings: SessionSettings, tmp_path: Path
) -> None:
    data = _model(N("Add", ["x", "nowhere"], ["y"])).SerializeToString().replace(b"nowhere", b"\xb5owhere")
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(BrokenModelError, match="a name in it is no UTF-8 text"):
        runtime.optimized_fingerprint(path, settings)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (_model(N("Mystery", ["x"], ["y"])), "No Op registered for Mystery"),
        (_model(N("Mystery", ["x"], ["y"], domain="d")), "d:Mystery"),
        (_model(N("Gelu", ["x"], ["y"]), opset=15), "Gelu with domain_version of 15"),
        (_model(opset=999), "Opset 999"),
        (_model(ir_version=77), "Unsupported model IR version: 77"),
        (_in_brain_floats(), "Could not find an implementation for Add"),
    ],
)
def test_what_another_build_may_run_is_not_broken(
    model: onnx.ModelProto, said: str, runtime: Runtime, settings: SessionSettings, tmp_path: Path
) -> None:
    with pytest.raises(SessionFailedError, match=said) as caught:
        runtime.optimized_fingerprint(save(model, tmp_path), settings)
    assert type(caught.value) is SessionFailedError
