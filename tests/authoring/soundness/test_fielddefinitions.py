"""What operators are by definition over the field is what ONNX and ONNX Runtime say they are.

The kernels are sums, products and a few functions: here they run with real numbers and real functions in their place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

from eqsat.authoring.soundness import (
    fieldattention,
    fieldfunctions,
    fieldnumbers,
    fieldproducts,
    fieldrecurrent,
    fieldreductions,
)
from eqsat.authoring.soundness.evaluators import ReferenceNumbers, RuntimeNumbers
from eqsat.runtime import Runtime
from ir.graph import AttributeValue
from ir.operators import OPERATORS

OPSET = 23


class RealPoint:
    """Real functions in place of those of which nothing is known."""

    exponential = staticmethod(np.exp)
    logarithm = staticmethod(np.log)
    root = staticmethod(np.sqrt)
    absolute = staticmethod(np.abs)

    @staticmethod
    def constant(value: float) -> np.ndarray:
        return np.array(value)

    @staticmethod
    def odd(name: str, x: np.ndarray) -> np.ndarray:
        assert name == "Erf"
        return np.asarray(np.vectorize(math.erf)(x))

    @staticmethod
    def maximum(arguments: Sequence[np.ndarray]) -> np.ndarray:
        return np.asarray(np.max(np.broadcast_arrays(*arguments), axis=0))

    @staticmethod
    def minimum(arguments: Sequence[np.ndarray]) -> np.ndarray:
        return np.asarray(np.min(np.broadcast_arrays(*arguments), axis=0))

    @staticmethod
    def is_positive(x: np.ndarray) -> np.ndarray:
        return x > 0

    @staticmethod
    def apply(name: str, arguments: Sequence[np.ndarray]) -> np.ndarray:
        assert name == "Pow"
        return np.asarray(arguments[0] ** arguments[1])


REAL: Mapping[str, Any] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "negative": np.negative,
    "inverse": lambda x: 1 / x,
    "scale": lambda factor, x: float(factor) * x,
    "power": lambda x, exponent: x**exponent,
    "total": lambda x, axes, keepdims=False: x.sum(axis=tuple(axes), keepdims=keepdims),
    "mean": lambda x, axes, keepdims=False: x.mean(axis=tuple(axes), keepdims=keepdims),
    "matrix_product": np.matmul,
}


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, function in REAL.items():
        monkeypatch.setattr(fieldnumbers, name, function)
    monkeypatch.setattr(fieldreductions, "power", lambda point, x, exponent: x**exponent)


class Case(NamedTuple):
    """A node and the shapes of its inputs; an array stands for itself, None for what is missing."""

    operator: str
    inputs: Sequence[tuple[int, ...] | np.ndarray | None]
    attributes: Mapping[str, AttributeValue] = {}
    num_outputs: int = 1


POOL: Mapping[str, AttributeValue] = {
    "kernel_shape": (2, 3),
    "strides": (1, 2),
    "pads": (1, 1, 0, 1),
    "dilations": (1, 1),
    "ceil_mode": 0,
}
HEADS: Sequence[tuple[int, ...]] = [(2, 4, 3, 5), (2, 4, 6, 5), (2, 4, 6, 2)]
ROWS: Sequence[tuple[int, ...]] = [(2, 3, 8), (2, 5, 8), (2, 5, 12)]
LSTM: Sequence[tuple[int, ...]] = [(4, 2, 3), (2, 20, 3), (2, 20, 5), (2, 40)]
GRU: Sequence[tuple[int, ...]] = [(4, 2, 3), (1, 15, 3), (1, 15, 5), (1, 30)]

ONNX = [
    *(Case(name, [(3, 7)]) for name in ("Sigmoid", "Tanh", "Softplus", "Mish", "Softsign", "HardSwish", "Selu")),
    Case("Elu", [(3, 7)], {"alpha": 0.7}),
    Case("LeakyRelu", [(3, 7)], {"alpha": 0.2}),
    Case("PRelu", [(3, 7), (7,)]),
    Case("HardSigmoid", [(3, 7)], {"alpha": 0.3, "beta": 0.4}),
    Case("Clip", [(3, 7), np.array(-0.3), np.array(0.4)]),
    Case("Gelu", [(3, 7)]),
    Case("Gelu", [(3, 7)], {"approximate": "tanh"}),
    Case("Softmax", [(2, 3, 4)], {"axis": -2}),
    Case("LogSoftmax", [(2, 3, 4)], {"axis": -1}),
    Case("ReduceMax", [(2, 3, 4)], {"axes": (-2,)}),
    Case("ReduceMin", [(2, 3, 4)], {"axes": (-3, -1), "keepdims": 0}),
    Case("MaxPool", [(1, 2, 4, 5)], POOL),
    Case("AveragePool", [(1, 2, 4, 5)], {**POOL, "count_include_pad": 0}),
    Case("LayerNormalization", [(2, 3, 4), (4,), (4,)], {"epsilon": 0.1}),
    Case("LayerNormalization", [(2, 3, 4), (3, 4), None], {"axis": -2}),
    Case("RMSNormalization", [(2, 3, 4), (4,)], {"epsilon": 0.1}),
    Case("InstanceNormalization", [(2, 3, 4), (3,), (3,)], {"epsilon": 0.1}),
    Case("GroupNormalization", [(2, 6, 4), (6,), (6,)], {"epsilon": 0.1, "num_groups": 3}),
    Case("BatchNormalization", [(2, 3, 4), (3,), (3,), (3,), np.array([0.5, 1.0, 2.0])], {"epsilon": 0.1}),
    Case("LpNormalization", [(3, 4)], {"p": 2}),
    Case("Attention", HEADS),
    Case("Attention", [*HEADS, (2, 1, 3, 6)], {"scale": 0.3}),
    Case("Attention", [(2, 4, 3, 5), (2, 2, 3, 5), (2, 2, 3, 2)], {"is_causal": 1}),
]
ONNX_SINGLE = [
    Case("Celu", [(3, 7)], {"alpha": 0.7}),
    Case("RotaryEmbedding", [(2, 3, 4, 6), (2, 4, 3), (2, 4, 3), None]),
    Case("RotaryEmbedding", [(2, 3, 4, 6), (5, 3), (5, 3), np.array([[0, 1, 4, 2], [3, 3, 1, 0]])]),
    Case("RotaryEmbedding", [(2, 3, 4, 6), (2, 4, 3), (2, 4, 3), None], {"interleaved": 1}),
    Case("RotaryEmbedding", [(2, 3, 4, 6), (2, 4, 2), (2, 4, 2), None], {"rotary_embedding_dim": 4}),
]
ONNX_RUNTIME = [
    Case("LRN", [(2, 5, 2, 3)], {"size": 3, "alpha": 0.3, "beta": 0.6, "bias": 1.5}),
    Case("LRN", [(2, 5, 2, 3)], {"size": 5}),
    Case("MsGelu", [(3, 7)]),
    Case("MsQuickGelu", [(3, 7)], {"alpha": 1.3}),
    Case("MsFastGelu", [(3, 7), (7,)]),
    Case("MsBiasGelu", [(3, 7), (7,)]),
    Case("MsFusedMatMul", [(2, 3, 4), (2, 3, 5)], {"alpha": 0.5, "transA": 1}),
    Case("MsSkipLayerNormalization", [(2, 3, 4), (2, 3, 4), (4,), (4,), (4,)], {"epsilon": 0.1}),
    Case("MsSkipSimplifiedLayerNormalization", [(2, 3, 4), (2, 3, 4), (4,), (4,)], {"epsilon": 0.1}),
    Case("SimplifiedLayerNormalization", [(2, 3, 4), (4,)], {"epsilon": 0.1}),
    Case("MsMultiHeadAttention", ROWS, {"num_heads": 4}),
    Case("MsMultiHeadAttention", [*ROWS, (28,), None, (1, 4, 3, 5)], {"num_heads": 4, "scale": 0.3}),
    Case("MsMultiHeadAttention", [(2, 3, 8), (2, 3, 8), (2, 3, 8)], {"num_heads": 2, "unidirectional": 1}),
    Case("MsAttention", [(2, 3, 6), (6, 24), (24,)], {"num_heads": 2}),
    Case(
        "MsRotaryEmbedding",
        [(2, 3, 4, 8), np.array([1]), (8, 4), (8, 4)],
        {"num_heads": 3},
    ),
    Case("MsRotaryEmbedding", [(2, 3, 4, 8), np.array([1]), (8, 4), (8, 4)], {"interleaved": 1}),
    Case(
        "MsRotaryEmbedding",
        [(2, 3, 4, 8), np.array([1]), (8, 2), (8, 2)],
        {"num_heads": 3, "rotary_embedding_dim": 4},
    ),
    Case("MsRotaryEmbedding", [(2, 4, 24), np.array([1]), (8, 4), (8, 4)]),
    Case(
        "MsRotaryEmbedding",
        [(2, 4, 24), np.array([1]), (8, 2), (8, 2)],
        {"num_heads": 3, "rotary_embedding_dim": 4, "interleaved": 1},
    ),
    Case("LSTM", LSTM, {"direction": "bidirectional", "hidden_size": 5}, 3),
    Case("LSTM", [*LSTM, None, (2, 2, 5), (2, 2, 5), (2, 15)], {"direction": "bidirectional", "hidden_size": 5}, 3),
    Case("GRU", GRU, {"hidden_size": 5}, 2),
    Case("GRU", [*GRU, None, (1, 2, 5)], {"direction": "reverse", "hidden_size": 5, "linear_before_reset": 1}, 2),
]


def arrays(case: Case, dtype: str) -> list[np.ndarray | None]:
    rng = np.random.default_rng(3)
    found: list[np.ndarray | None] = []
    for given in case.inputs:
        array = rng.standard_normal(given) if isinstance(given, tuple) else given
        is_real = array is not None and array.dtype.kind == "f"
        found.append(array.astype(dtype) if array is not None and is_real else array)
    return found


def attributes(case: Case) -> dict[str, AttributeValue]:
    columns = OPERATORS[case.operator].attributes
    found = {column.name: case.attributes.get(column.name, column.default) for column in columns}
    return {name: value for name, value in found.items() if value is not None}


def by_definition(case: Case, inputs: Sequence[np.ndarray | None]) -> tuple[np.ndarray, ...]:
    point: Any = RealPoint()
    many = fieldrecurrent.KERNELS.get(case.operator)
    if many is not None:
        return many(point, attributes(case), inputs)
    kernels = {
        **fieldfunctions.KERNELS,
        **fieldproducts.KERNELS,
        **fieldreductions.KERNELS,
        **fieldattention.KERNELS,
    }
    return (kernels[case.operator](point, attributes(case), inputs),)


def check(found: Sequence[np.ndarray], expected: Sequence[np.ndarray], tolerance: float) -> None:
    for one, two in zip(found, expected, strict=True):
        assert one.shape == two.shape
        np.testing.assert_allclose(one, two, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("real")
@pytest.mark.parametrize(
    ("case", "dtype", "tolerance"),
    [(case, "float64", 1e-6) for case in ONNX] + [(case, "float32", 1e-4) for case in ONNX_SINGLE],
    ids=lambda value: value.operator if isinstance(value, Case) else "",
)
def test_the_reference_agrees(case: Case, dtype: str, tolerance: float) -> None:
    inputs = arrays(case, dtype)
    expected = ReferenceNumbers().run(
        case.operator, attributes(case), inputs, opset=OPSET, num_outputs=case.num_outputs
    )
    check(by_definition(case, inputs), expected, tolerance)


@pytest.mark.usefixtures("real")
@pytest.mark.parametrize("case", ONNX_RUNTIME, ids=lambda case: case.operator)
def test_the_runtime_agrees(case: Case, runtime: Runtime) -> None:
    inputs = arrays(case, "float32")
    expected = RuntimeNumbers(runtime).run(
        case.operator, attributes(case), inputs, opset=18, num_outputs=case.num_outputs
    )
    check(by_definition(case, inputs), expected, 1e-3)
