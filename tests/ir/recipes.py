"""For every row of the operator table a node in normal form that can exist at every opset of the row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

import numpy as np
from onnx import TensorProto

from ir.graph import AttributeValue
from ir.operators import OPERATORS
from ir.types import TensorType

_DTYPES: Final = {
    "f": TensorProto.FLOAT,
    "i": TensorProto.INT64,
    "w": TensorProto.INT32,
    "b": TensorProto.BOOL,
    "u": TensorProto.UINT8,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One node in normal form.

    Attributes:
        inputs: Types of the inputs, None for one that is missing.
        attributes: Attributes that differ from the row's defaults.
        constants: Elements of inputs that are constant, by position.
        num_outputs: Outputs asked for.
        since: Opset from which on this very node can be said.
    """

    inputs: tuple[TensorType | None, ...]
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    constants: Mapping[int, np.ndarray] = field(default_factory=dict)
    num_outputs: int = 1
    since: int = 1


def recipe(inputs: str, since: int = 1, num_outputs: int = 1, **attributes: AttributeValue) -> Recipe:
    """Return a recipe whose inputs are written ``f:2,3 i: -``: letter, dimensions; ``-`` for one that is missing."""
    types = tuple(None if text == "-" else _type(text) for text in inputs.split())
    return Recipe(inputs=types, attributes=attributes, num_outputs=num_outputs, since=since)


def _type(text: str) -> TensorType:
    letter, _, dims = text.partition(":")
    return TensorType(_DTYPES[letter], tuple(int(dim) for dim in dims.split(",") if dim))


def _all(names: str, made: Recipe) -> dict[str, Recipe]:
    return dict.fromkeys(names.split(), made)


def _spatial(inputs: str, **attributes: AttributeValue) -> Recipe:
    steps: dict[str, AttributeValue] = {"strides": (2, 1), "pads": (1, 0, 1, 0), "dilations": (1, 1)}
    return replace(recipe(inputs), attributes={**steps, **attributes})


_REDUCTIONS: Final = " ".join(name for name in OPERATORS if name.startswith("Reduce"))

RECIPES: Final[Mapping[str, Recipe]] = MappingProxyType(
    {
        **_all(
            "Abs Ceil Exp Floor Log Neg Reciprocal Relu Sigmoid Sqrt Tanh Acos Acosh Asin Asinh Atan Atanh Cos Cosh "
            "Erf HardSwish Identity IsNaN IsInf Mish Round Sign Sin Sinh Softplus Softsign Tan Elu Celu LeakyRelu "
            "ThresholdedRelu Selu HardSigmoid Shrink Gelu Swish Dropout Size NonZero MsGelu MsQuickGelu",
            recipe("f:2,3,4"),
        ),
        "Not": recipe("b:2,3"),
        "BitwiseNot": recipe("w:2,3"),
        "Cast": recipe("f:2,3", to=7),
        "CastLike": recipe("f:2,3 i:1"),
        "Clip": replace(
            recipe("f:2,3,4 f: f:"), constants={1: np.array(-1, dtype=np.float32), 2: np.array(1, dtype=np.float32)}
        ),
        **_all("Add Mul Sub Div Pow Mod PRelu", recipe("f:2,3 f:3")),
        "Mod": recipe("w:2,3 w:3"),
        **_all("And Or Xor", recipe("b:2,3 b:3")),
        "Equal": recipe("w:2,3 w:3"),
        **_all("Greater GreaterOrEqual Less LessOrEqual", recipe("f:2,3 f:3")),
        **_all("BitwiseAnd BitwiseOr BitwiseXor", recipe("w:2,3 w:3")),
        "BitShift": recipe("u:2,3 u:3", direction="LEFT"),
        "Where": recipe("b:2,3 f:2,3 f:3"),
        **_all("Sum Max Min Mean", recipe("f:2,3 f:3 f:2,1")),
        "MatMul": recipe("f:2,3 f:3,4"),
        "Gemm": recipe("f:2,3 f:4,3 f:4", transB=1, alpha=0.5),
        "Einsum": recipe("f:2,3 f:3,4", equation="ab,bc->ac"),
        "MatMulInteger": recipe("u:2,3 u:3,4"),
        "Conv": _spatial("f:1,2,5,5 f:4,2,3,3 f:4"),
        "ConvTranspose": _spatial("f:1,2,5,5 f:2,4,3,3 f:4", output_padding=(0, 0)),
        **_all("MaxPool AveragePool LpPool", _spatial("f:1,2,5,5", kernel_shape=(3, 3))),
        **_all("GlobalAveragePool GlobalMaxPool GlobalLpPool", recipe("f:1,2,5,5")),
        "LRN": recipe("f:1,4,5,5", size=3),
        "DepthToSpace": recipe("f:1,8,2,2", blocksize=2),
        "SpaceToDepth": recipe("f:1,2,4,4", blocksize=2),
        "BatchNormalization": recipe("f:1,2,5 f:2 f:2 f:2 f:2"),
        "InstanceNormalization": recipe("f:1,2,5 f:2 f:2"),
        "LayerNormalization": recipe("f:2,3,4 f:4 f:4"),
        "RMSNormalization": recipe("f:2,3,4 f:4"),
        "GroupNormalization": recipe("f:1,4,5 f:4 f:4", num_groups=2),
        "LpNormalization": recipe("f:2,3"),
        "MeanVarianceNormalization": recipe("f:2,3,4,5", axes=(0, 2)),
        **_all("Softmax LogSoftmax Hardmax", recipe("f:2,3,4")),
        **_all(_REDUCTIONS, recipe("f:2,3,4", axes=(-2, -1))),
        **_all("ArgMax ArgMin", recipe("f:2,3,4", axis=-2)),
        "CumSum": replace(recipe("f:2,3 i:"), constants={1: np.array(1, dtype=np.int64)}),
        "TopK": recipe("f:2,5", num_outputs=2, K=3),
        "Reshape": recipe("f:2,3,4", shape=(6, 4)),
        "Expand": recipe("f:2,1,4", shape=(5, 2, 3, 4)),
        "Transpose": recipe("f:2,3,4", perm=(2, 0, 1)),
        "Concat": recipe("f:2,3 f:2,4", axis=1),
        "Split": recipe("f:2,5", num_outputs=2, axis=1, split=(2, 3)),
        "Slice": recipe("f:4,5", starts=(1, 0), ends=(3, 4), axes=(0, 1), steps=(1, 1)),
        "Pad": replace(recipe("f:2,3,4 f:", pads=(0, 1, 0, 0, 2, 0)), constants={1: np.array(1, dtype=np.float32)}),
        "Tile": recipe("f:2,3", repeats=(1, 2)),
        "Trilu": recipe("f:3,3", k=1),
        "Shape": recipe("f:2,3,4", start=0, end=3),
        "ConstantOfShape": recipe("", shape=(2, 3), value=1.5, dtype=1),
        "EyeLike": recipe("f:3,3", dtype=7),
        "Range": recipe("i: i: i:"),
        "Gather": recipe("f:4,5 i:2", axis=1),
        "GatherElements": recipe("f:4,5 i:4,2", axis=1),
        "GatherND": recipe("f:4,5 i:3,1"),
        "ScatterElements": recipe("f:4,5 i:4,2 f:4,2", axis=1),
        "ScatterND": recipe("f:4,5 i:3,1 f:3,5"),
        "OneHot": replace(recipe("i:3 i: f:2"), constants={1: np.array(4, dtype=np.int64)}),
        "ReverseSequence": recipe("f:4,5 i:5"),
        "Resize": replace(recipe("f:1,2,3,3 - f:4", since=13), constants={2: np.array([1, 1, 2, 2], dtype=np.float32)}),
        "GridSample": recipe("f:1,2,3,3 f:1,4,4,2"),
        "NonMaxSuppression": recipe("f:1,6,4 f:1,2,6"),
        "LSTM": recipe("f:5,2,3 f:1,16,3 f:1,16,4", num_outputs=3, hidden_size=4),
        "GRU": recipe("f:5,2,3 f:1,12,3 f:1,12,4", num_outputs=2, hidden_size=4),
        "RNN": recipe("f:5,2,3 f:1,4,3 f:1,4,4", num_outputs=2, hidden_size=4),
        "QuantizeLinear": recipe("f:2,3 f: u:"),
        "DequantizeLinear": recipe("u:2,3 f: u:"),
        "DynamicQuantizeLinear": recipe("f:2,3", num_outputs=3),
        "QLinearMatMul": recipe("u:2,3 f: u: u:3,4 f: u: f: u:"),
        "QLinearConv": _spatial("u:1,2,5,5 f: u: u:4,2,3,3 f: u: f: u: w:4"),
        "Attention": recipe("f:1,2,5,8 f:1,2,5,8 f:1,2,5,8"),
        "RotaryEmbedding": recipe("f:1,2,5,8 f:1,5,4 f:1,5,4"),
        "MsFastGelu": recipe("f:2,3,4 f:4"),
        "MsBiasGelu": recipe("f:2,3,4 f:4"),
        "MsFusedMatMul": recipe("f:2,3,4 f:2,5,4", transB=1, alpha=0.5),
        "MsMultiHeadAttention": recipe("f:1,5,8 f:1,5,8 f:1,5,8", num_heads=2),
        "MsAttention": recipe("f:1,5,8 f:8,24 f:24", num_heads=2),
        "MsGroupQueryAttention": recipe("f:1,5,32 f:1,5,16 f:1,5,16 - - w:1 w:", num_heads=4, kv_num_heads=2),
        "MsSkipLayerNormalization": recipe("f:2,3,4 f:2,3,4 f:4 f:4"),
        "MsSkipSimplifiedLayerNormalization": recipe("f:2,3,4 f:2,3,4 f:4"),
        "SimplifiedLayerNormalization": recipe("f:2,3,4 f:4"),
        "MsRotaryEmbedding": recipe("f:1,5,8 i:1,5 f:8,2 f:8,2", num_heads=2),
    }
)
