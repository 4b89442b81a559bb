"""Whether ONNX Runtime has a kernel for a node: random models are made only of what a plain session could run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, final

import onnx
from onnx import helper

from eqsat.runtime import MeasurementError, Runtime
from eqsat.runtime.batch import ModelRun

_NO_VALUE: Final = "was given no value"
"""What is said of a session that could be made, and was then given nothing."""

_TELLING: Final = frozenset({"to", "dtype", "mode", "nearest_mode", "reduction", "direction", "equation", "fmod"})
"""Attributes that decide between kernels."""


@final
class Kernels:
    """Asks ONNX Runtime once for each operator, opset and types of inputs."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._known: dict[tuple[object, ...], bool] = {}

    def has(
        self,
        node: onnx.NodeProto,
        opsets: Iterable[onnx.OperatorSetIdProto],
        dtypes: Mapping[str, int],
        constants: Iterable[onnx.TensorProto],
    ) -> bool:
        """Return whether a session of this one node can be made; where a value is no tensor, nobody is asked."""
        if 0 in dtypes.values():
            return True
        imports = tuple((each.domain, each.version) for each in opsets)
        telling = tuple(a.SerializeToString() for a in node.attribute if a.name in _TELLING)
        types = tuple(dtypes.get(name, 0) for name in node.input)
        key = (node.domain, node.op_type, imports, types, tuple(map(bool, node.output)), telling)
        if key not in self._known:
            self._known[key] = self._ask(node, imports, dtypes, constants)
        return self._known[key]

    def _ask(
        self,
        node: onnx.NodeProto,
        imports: tuple[tuple[str, int], ...],
        dtypes: Mapping[str, int],
        constants: Iterable[onnx.TensorProto],
    ) -> bool:
        tensors = {tensor.name: tensor for tensor in constants}
        names = dict.fromkeys(name for name in node.input if name and name not in tensors)
        graph = helper.make_graph(
            [node],
            "one",
            [helper.make_tensor_value_info(name, dtypes[name], None) for name in names],
            [onnx.ValueInfoProto(name=name) for name in node.output if name],
            list(tensors.values()),
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid(*each) for each in imports], ir_version=10)
        try:
            (answer,) = self._runtime.run_batch([ModelRun(model=model.SerializeToString(), feeds={})])
        except MeasurementError:
            return False
        return not isinstance(answer, MeasurementError) or _NO_VALUE in str(answer)
