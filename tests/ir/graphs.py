"""Small models, and the way through the package that must not change them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from ir.assembly import assemble
from ir.graph import Graph
from ir.onnx_file import write_model
from ir.reader import read

FLOAT = TensorProto.FLOAT
INT64 = TensorProto.INT64
BOOL = TensorProto.BOOL


def value(name: str, shape: Sequence[int | str | None] | None = (2, 3), dtype: int = FLOAT) -> onnx.ValueInfoProto:
    """Return a tensor's name, type and shape."""
    return helper.make_tensor_value_info(name, dtype, shape)


def make_model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    initializers: Mapping[str, np.ndarray] | None = None,
    *,
    opset: int = 18,
    ir_version: int = 9,
    domains: Sequence[str] = (),
    functions: Sequence[onnx.FunctionProto] = (),
) -> onnx.ModelProto:
    """Return a model."""
    tensors = [numpy_helper.from_array(array, name) for name, array in (initializers or {}).items()]
    return helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, tensors),
        opset_imports=[helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)],
        ir_version=ir_version,
        functions=functions,
    )


def save(model: onnx.ModelProto, folder: Path, name: str = "model.onnx") -> Path:
    """Write a model and return its path."""
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def read_proto(model: onnx.ModelProto, folder: Path) -> Graph:
    """Return a model in normal form."""
    return read(save(model, folder))


def write_back(graph: Graph, path: Path) -> onnx.ModelProto:
    """Write a graph as it was read and return what stands in the file."""
    write_model(assemble(graph, graph.nodes, graph.constants, graph.types), path, is_durable=False)
    return onnx.load(path)


def round_trip(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    """Return a model read and written again, checked by ONNX."""
    written = write_back(read_proto(model, folder), folder / "written.onnx")
    onnx.checker.check_model(written, full_check=True)
    return written


def session_of(model: onnx.ModelProto) -> ort.InferenceSession:
    """Return a session that runs a model as it stands, ONNX Runtime's own rewriting switched off."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(model: onnx.ModelProto, feeds: Mapping[str, Any]) -> list[Any]:
    """Return what ONNX Runtime computes, its own rewriting switched off."""
    return list(session_of(model).run(None, dict(feeds)))


def assert_same_results(before: onnx.ModelProto, after: onnx.ModelProto, feeds: Mapping[str, Any]) -> None:
    """Check that two models give the same bits, under the same names."""
    assert [each.name for each in after.graph.output] == [each.name for each in before.graph.output]
    for one, two in zip(run(before, feeds), run(after, feeds), strict=True):
        np.testing.assert_array_equal(one, two)
        assert np.asarray(one).dtype == np.asarray(two).dtype


def operators(model: onnx.ModelProto) -> list[str]:
    """Return the operator types of a model's main graph, in order."""
    return [node.op_type for node in model.graph.node]
