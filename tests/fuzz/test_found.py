"""Small models on which random trials have found a fault, each under the name of what was wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import onnx.parser
import pytest

from eqsat.runtime import Runtime
from tests.fuzz.generator import Sample
from tests.fuzz.growing import Input, Type
from tests.fuzz.trial import Setting, try_model

FOUND: Final = {
    "a reduction of nothing keeps its shape": (
        18,
        "g (float[N, 3] x) => (float[1, 1] y) { y = ReduceSumSquare <keepdims: int = 1> (x) }",
    ),
    "a dead product": (
        18,
        "g (float[2, 3] x) => (float[2, 3] y) <float two = {2}> { y = Tanh (x) unused = Mul (x, two) }",
    ),
    "a factor of a double is no float32": (
        18,
        "g (double[2, 3] x) => (double[2, 3] y) <double a = {0.3}, double z = {0}> {"
        " c = Less (x, z) m = Mul (x, a) y = Where (c, m, x) }",
    ),
    "an identity matrix behind a value of no known type": (
        18,
        "g (float[2, 3] x) => (int64[2, 3] y) { b = ai.onnx.ml.Binarizer <threshold: float = 0.5> (x)"
        " y = EyeLike <dtype: int = 7> (b) }",
    ),
    "a normalisation of an image of no size": (
        18,
        "g (float[N, 1, M, M] x) => (float[N, 1, M, M] y) {"
        " y = LRN <beta: float = 0.75, bias: float = 1, size: int = 3> (x) }",
    ),
    "a sum of nothing drops its axes": (
        20,
        "g (float[N, 3, 5] x) => (float[] y) <int64[3] axes = {1, -1, 0}> {"
        " y = ReduceSum <keepdims: int = 0> (x, axes) }",
    ),
    "attention of no heads": (
        24,
        "g (float[1, N, 3, 4] q, float[1, N, 3, 2] v, float[1, N, 4, 3] k) => (float[1, N, 3, 2] y) {"
        " s = MatMul (q, k) p = Softmax (s) y = MatMul (p, v) }",
    ),
    "a flattened product of no size": (
        15,
        "g (float[N, 2, M, M] x) => (float[N, L] y) <float c = {0.35}> {"
        " m = Mul (x, c) y = Flatten <axis: int = 1> (m) }",
    ),
}
"""Opset and graph by what was wrong."""


def sample_of(opset: int, text: str) -> Sample:
    """Return the model of a graph in ONNX's own notation."""
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : {opset}, "ai.onnx.ml" : 3]> {text}')
    inputs = {
        value.name: Input(
            type=Type(
                value.type.tensor_type.elem_type,
                tuple(dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim),
            )
        )
        for value in model.graph.input
    }
    return Sample(model=model, inputs=inputs)


@pytest.mark.parametrize("name", FOUND)
def test_what_was_wrong_is_right(name: str, runtime: Runtime, tmp_path: Path) -> None:
    sample = sample_of(*FOUND[name])
    for has_provider_operators in (True, False):
        setting = Setting(is_strict=False, has_provider_operators=has_provider_operators, num_extractions=9)
        result = try_model(sample, setting, 0, runtime, tmp_path)
        assert result.is_valid
        assert not [finding for finding in result.findings if finding.is_fault]
