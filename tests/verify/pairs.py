"""An original and a candidate, verified against each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from eqsat.rules.rule import FloatClass
from eqsat.runtime import SessionSettings
from eqsat.verify import Verification, verify
from ir.reader import read
from tests.verify.models import FLOAT, Dims, InProcessRunner, Value, save

Nodes = list[onnx.NodeProto]
Constants = dict[str, np.ndarray]


class Pair:
    """An original and a candidate with the same inputs and outputs."""

    def __init__(self, folder: Path, inputs: list[Value], outputs: list[Value], opset: int = 18) -> None:
        self.folder = folder
        self.inputs = inputs
        self.outputs = outputs
        self.opset = opset
        self.runner = InProcessRunner()

    def check(
        self,
        original: tuple[Nodes, Constants],
        candidate: tuple[Nodes, Constants],
        *,
        float_class: FloatClass = FloatClass.REASSOCIATES,
        num_checks: int = 2,
        seed: int = 0,
        input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    ) -> Verification:
        one = save(self.folder / "a.onnx", original[0], self.inputs, self.outputs, original[1], self.opset)
        two = save(self.folder / "b.onnx", candidate[0], self.inputs, self.outputs, candidate[1], self.opset)
        return verify(
            one,
            two,
            read(one),
            self.runner,
            settings=SessionSettings(),
            num_checks=num_checks,
            seed=seed,
            float_class=float_class,
            input_shapes=input_shapes or {},
        )


def pair(tmp_path: Path, shape: Dims = (8, 16), output: int = FLOAT, dtype: int = FLOAT, opset: int = 18) -> Pair:
    return Pair(tmp_path, [("x", dtype, shape)], [("y", output, None)], opset)
