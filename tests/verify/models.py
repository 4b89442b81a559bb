"""Tiny models and a runner, for the tests of the verification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnxruntime

from eqsat.runtime import SessionFailedError, SessionSettings

FLOAT = onnx.TensorProto.FLOAT
FLOAT16 = onnx.TensorProto.FLOAT16
INT64 = onnx.TensorProto.INT64
BOOL = onnx.TensorProto.BOOL

Dims = Sequence[int | str | None] | None
Value = tuple[str, int, Dims]


def node(op_type: str, inputs: str, outputs: str, domain: str = "", **attributes: Any) -> onnx.NodeProto:
    return onnx.helper.make_node(op_type, inputs.split(), outputs.split(), domain=domain, **attributes)


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    constants: Mapping[str, np.ndarray] | None = None,
    opset: int = 18,
) -> Path:
    """Write a model to ``path`` and return it."""
    graph = onnx.helper.make_graph(
        list(nodes),
        "tiny",
        [onnx.helper.make_tensor_value_info(*value) for value in inputs],
        [onnx.helper.make_tensor_value_info(*value) for value in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    opsets = [onnx.helper.make_opsetid("", opset), onnx.helper.make_opsetid("com.microsoft", 1)]
    onnx.save_model(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def weights(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


class InProcessRunner:
    """ONNX Runtime in this process, one thread; remembers what it was fed."""

    def __init__(self) -> None:
        self.seen: list[tuple[Path, SessionSettings, dict[str, np.ndarray]]] = []

    def outputs(self, model: Path, feeds: Mapping[str, np.ndarray], settings: SessionSettings) -> dict[str, np.ndarray]:
        self.seen.append((model, settings, dict(feeds)))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, settings.level.value)
        try:
            session = onnxruntime.InferenceSession(model, options, providers=list(settings.providers))
            results = session.run(None, dict(feeds))
        except Exception as error:  # ONNX Runtime's own exceptions have no common base
            raise SessionFailedError(str(error).splitlines()[0]) from error
        return {value.name: result for value, result in zip(session.get_outputs(), results, strict=True)}
