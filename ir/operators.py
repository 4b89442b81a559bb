"""The operator table: one row an operator, and the only place that says what an operator looks like.

A row gives an operator's *normal form*, which does not change with the opset: index-like inputs that must be
constant (shapes, axes, pads) are attributes of the row, whether the opset at hand has them as attributes or as
inputs; axes have one sign; defaults are filled in. ``ir.normalise`` goes from ONNX to the normal form and
``ir.writer`` back. What is not in the table is opaque: it passes through a run as it is.

The attribute column reads ``name:kind=default``. A kind is one of :class:`Kind`'s values; an attribute without a
default is always written out by the normaliser.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ir.graph import AttributeValue

VARIADIC = -1
"""Number of inputs of an operator that takes any number of them."""

MICROSOFT = "com.microsoft"
"""Domain of ONNX Runtime's own operators."""


class Kind(StrEnum):
    """What an attribute holds, and how it is normalised."""

    INT = "int"
    FLOAT = "float"
    STRING = "string"
    INTS = "ints"
    DIMS = "dims"
    """A shape: symbols may stand in it."""
    AXIS = "axis"
    """An axis of input 0, counted from the front."""
    LAST = "last"
    """An axis of input 0, counted from the back (-1 is the last)."""
    AXES = "axes"
    """Axes of input 0, counted from the front, in the operator's order."""
    LASTS = "lasts"
    """Axes of input 0, counted from the back, ascending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One attribute of an operator's normal form; ``default`` is None where it must be given."""

    name: str
    kind: Kind
    default: AttributeValue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One row.

    Attributes:
        name: The operator's name in the e-graph: ONNX's own, with ``Ms`` before those of ``com.microsoft``.
        onnx_name: The operator's type in a model.
        domain: Its domain.
        num_inputs: Inputs of the normal form (attributes taken out), or ``VARIADIC``.
        num_required: Of these, how many cannot be missing.
        attributes: In the order in which rules write them.
        num_outputs: 1, or the number that the operator may have; 0 for any number.
        since: Opset from which on this row tells the truth.
        is_commutative: True for two inputs that may be exchanged.
        ignored: ONNX attributes without an effect at inference, with the value at which that holds
            (None: at any value).
        is_provider: True where only ONNX Runtime knows the operator, whatever domain it stands in.
    """

    name: str
    onnx_name: str
    domain: str
    num_inputs: int
    num_required: int
    attributes: tuple[Attribute, ...]
    num_outputs: int = 1
    since: int = 1
    is_commutative: bool = False
    ignored: Mapping[str, AttributeValue | None]
    is_provider: bool = False

    @property
    def is_variadic(self) -> bool:
        """True where any number of inputs goes."""
        return self.num_inputs == VARIADIC

    @property
    def is_multi(self) -> bool:
        """True where the operator can have several outputs."""
        return self.num_outputs != 1


def shortest(value: float) -> float:
    """Return the number of fewest digits that is ``value`` as a float32.

    Attributes are float32 in a model, and 1e-05 in a rule: this is the one way of writing both.
    """
    return float(str(np.float32(value)))


def _attribute(text: str) -> Attribute:
    name, _, rest = text.partition(":")
    kind_text, has_default, default_text = rest.partition("=")
    kind = Kind(kind_text)
    default: AttributeValue | None = None
    if has_default:
        match kind:
            case Kind.FLOAT:
                default = shortest(float(default_text))
            case Kind.STRING:
                default = default_text
            case Kind.INTS | Kind.AXES | Kind.LASTS | Kind.DIMS:
                default = tuple(int(part) for part in default_text.split(",") if part)
            case Kind.INT | Kind.AXIS | Kind.LAST:
                default = int(default_text)
    return Attribute(name=name, kind=kind, default=default)


def _rows(  # noqa: PLR0913  # one call a family of operators that look alike
    names: str,
    num_inputs: int,
    attributes: str = "",
    *,
    required: int | None = None,
    outputs: int = 1,
    since: int = 1,
    domain: str = "",
    commutative: bool = False,
    ignored: Mapping[str, AttributeValue | None] = MappingProxyType({}),
    provider: bool = False,
) -> list[Operator]:
    prefix = "Ms" if domain == MICROSOFT else ""
    columns = tuple(_attribute(part) for part in attributes.split())
    return [
        Operator(
            name=prefix + name,
            onnx_name=name,
            domain=domain,
            num_inputs=num_inputs,
            num_required=max(num_inputs, 0) if required is None else required,
            attributes=columns,
            num_outputs=outputs,
            since=since,
            is_commutative=commutative,
            ignored=ignored,
            is_provider=provider or domain == MICROSOFT,
        )
        for name in names.split()
    ]


_CONSUMED: Mapping[str, AttributeValue | None] = MappingProxyType({"consumed_inputs": None})
_SPATIAL = "strides:ints pads:ints dilations:ints"
_STANDARD: list[list[Operator]] = [
    # elementwise, one input
    _rows("Abs Ceil Exp Floor Log Neg Reciprocal Relu Sigmoid Sqrt Tanh", 1, ignored=_CONSUMED),
    _rows("Acos Acosh Asin Asinh Atan Atanh Cos Cosh Erf HardSwish Identity IsNaN Mish Not Round Sign", 1),
    _rows("Sin Sinh Softplus Softsign Tan BitwiseNot", 1),
    _rows("Elu Celu", 1, "alpha:float=1.0", ignored=_CONSUMED),
    _rows("LeakyRelu", 1, "alpha:float=0.01", ignored=_CONSUMED),
    _rows("ThresholdedRelu", 1, "alpha:float=1.0"),
    _rows("Selu", 1, "alpha:float=1.67326319217681884765625 gamma:float=1.05070102214813232421875", since=6),
    _rows("HardSigmoid", 1, "alpha:float=0.2 beta:float=0.5", ignored=_CONSUMED),
    _rows("Shrink", 1, "bias:float=0.0 lambd:float=0.5"),
    _rows("IsInf", 1, "detect_negative:int=1 detect_positive:int=1"),
    _rows("Gelu", 1, "approximate:string=none", since=20),
    _rows("Swish", 1, "alpha:float=1.0", since=24),
    _rows("Cast", 1, "to:int", since=6, ignored={"saturate": 1, "round_mode": "up"}),
    _rows("CastLike", 2, ignored={"saturate": 1, "round_mode": "up"}),
    _rows("Clip", 3, required=1, ignored=_CONSUMED),
    _rows("Dropout", 3, required=1, since=7, ignored={"seed": None, "ratio": None}),
    # elementwise, several inputs; before opset 7 they did not broadcast as they do now
    _rows("Add Mul", 2, commutative=True, since=7),
    _rows("Sub Div", 2, since=7),
    _rows("And Or Xor Equal BitwiseAnd BitwiseOr BitwiseXor", 2, commutative=True, since=7),
    _rows("Pow Greater GreaterOrEqual Less LessOrEqual PRelu", 2, since=7),
    _rows("Mod", 2, "fmod:int=0"),
    _rows("BitShift", 2, "direction:string"),
    _rows("Where", 3),
    _rows("Sum Max Min Mean", VARIADIC, since=8),
    # products
    _rows("MatMul", 2),
    _rows("Gemm", 3, "alpha:float=1.0 beta:float=1.0 transA:int=0 transB:int=0", required=2, since=7),
    _rows("Einsum", VARIADIC, "equation:string"),
    _rows("MatMulInteger", 4, required=2),
    # convolution and pooling; auto_pad is resolved, so that pads always say it
    _rows("Conv", 3, f"{_SPATIAL} group:int=1", required=2),
    _rows("ConvTranspose", 3, f"{_SPATIAL} output_padding:ints group:int=1", required=2),
    _rows("MaxPool", 1, f"kernel_shape:ints {_SPATIAL} ceil_mode:int=0", ignored={"storage_order": 0}),
    _rows("AveragePool", 1, f"kernel_shape:ints {_SPATIAL} ceil_mode:int=0 count_include_pad:int=0"),
    _rows("LpPool", 1, f"kernel_shape:ints {_SPATIAL} ceil_mode:int=0 p:int=2", since=2),
    _rows("GlobalAveragePool GlobalMaxPool", 1),
    _rows("GlobalLpPool", 1, "p:int=2"),
    _rows("LRN", 1, "size:int alpha:float=0.0001 beta:float=0.75 bias:float=1.0"),
    _rows("DepthToSpace", 1, "blocksize:int mode:string=DCR"),
    _rows("SpaceToDepth", 1, "blocksize:int"),
    # normalisation
    _rows(
        "BatchNormalization",
        5,
        "epsilon:float=1e-05",
        since=7,
        ignored={"momentum": None, "training_mode": 0, "spatial": 1},
    ),
    _rows("InstanceNormalization", 3, "epsilon:float=1e-05", ignored=_CONSUMED),
    _rows("LayerNormalization", 3, "axis:last=-1 epsilon:float=1e-05 stash_type:int=1", required=2),
    _rows("RMSNormalization", 2, "axis:last=-1 epsilon:float=1e-05 stash_type:int=1", since=23),
    _rows("GroupNormalization", 3, "epsilon:float=1e-05 num_groups:int stash_type:int=1", since=21),
    _rows("LpNormalization", 1, "axis:last=-1 p:int=2"),
    _rows("MeanVarianceNormalization", 1, "axes:axes=0,2,3"),
    _rows("Softmax LogSoftmax Hardmax", 1, "axis:last=-1"),
    # reductions
    _rows(
        "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
        "ReduceSumSquare",
        1,
        "axes:lasts keepdims:int=1",
    ),
    _rows("ArgMax ArgMin", 1, "axis:last=0 keepdims:int=1 select_last_index:int=0"),
    _rows("CumSum", 2, "exclusive:int=0 reverse:int=0"),
    _rows("TopK", 1, "K:int axis:last=-1 largest:int=1 sorted:int=1", outputs=2, since=10),
    # layout; Squeeze, Unsqueeze and Flatten are read as Reshape
    _rows("Reshape", 1, "shape:dims"),
    _rows("Expand", 1, "shape:dims"),
    _rows("Transpose", 1, "perm:ints"),
    _rows("Concat", VARIADIC, "axis:axis", since=4),
    _rows("Split", 1, "axis:axis=0 split:ints", outputs=0),
    _rows("Slice", 1, "starts:ints ends:ints axes:axes steps:ints"),
    _rows("Pad", 2, "mode:string=constant pads:ints", required=1, since=2),
    _rows("Tile", 1, "repeats:ints", since=6),
    _rows("Trilu", 1, "k:int=0 upper:int=1"),
    _rows("Shape", 1, "start:int=0 end:int=9223372036854775807"),
    _rows("Size NonZero", 1),
    _rows("ConstantOfShape", 0, "shape:dims value:float dtype:int"),
    _rows("EyeLike", 1, "dtype:int k:int=0"),
    _rows("Range", 3),
    # indexing
    _rows("Gather", 2, "axis:axis=0"),
    _rows("GatherElements", 2, "axis:axis=0"),
    _rows("GatherND", 2, "batch_dims:int=0"),
    _rows("ScatterElements", 3, "axis:axis=0 reduction:string=none"),
    _rows("ScatterND", 3, "reduction:string=none"),
    _rows("OneHot", 3, "axis:int=-1"),
    _rows("ReverseSequence", 2, "batch_axis:int=1 time_axis:int=0"),
    _rows(
        "Resize",
        4,
        "coordinate_transformation_mode:string=half_pixel cubic_coeff_a:float=-0.75 exclude_outside:int=0 "
        "extrapolation_value:float=0.0 mode:string=nearest nearest_mode:string=round_prefer_floor",
        required=1,
        since=11,
    ),
    _rows("GridSample", 2, "align_corners:int=0 mode:string=linear padding_mode:string=zeros", since=20),
    _rows("NonMaxSuppression", 5, "center_point_box:int=0", required=2, since=10),
    # recurrent
    _rows("LSTM", 8, "direction:string=forward hidden_size:int layout:int=0", required=3, outputs=3, since=7),
    _rows(
        "GRU",
        6,
        "direction:string=forward hidden_size:int layout:int=0 linear_before_reset:int=0",
        required=3,
        outputs=2,
        since=7,
    ),
    _rows("RNN", 6, "direction:string=forward hidden_size:int layout:int=0", required=3, outputs=2, since=7),
    # quantisation
    _rows("QuantizeLinear", 3, "axis:int=1", required=2, ignored={"saturate": 1, "block_size": 0}),
    _rows("DequantizeLinear", 3, "axis:int=1", required=2, ignored={"block_size": 0}),
    _rows("DynamicQuantizeLinear", 1, outputs=3),
    _rows("QLinearMatMul", 8),
    _rows("QLinearConv", 9, f"{_SPATIAL} group:int=1", required=8),
    # attention
    _rows(
        "Attention",
        6,
        "is_causal:int=0 kv_num_heads:int=0 q_num_heads:int=0 scale:float=0.0 softcap:float=0.0",
        required=3,
        since=23,
    ),
    _rows("RotaryEmbedding", 4, "interleaved:int=0 num_heads:int=0 rotary_embedding_dim:int=0", required=3, since=23),
]

_PROVIDER: list[list[Operator]] = [
    _rows("Gelu", 1, domain=MICROSOFT),
    _rows("QuickGelu", 1, "alpha:float=1.702", domain=MICROSOFT),
    _rows("FastGelu", 2, required=1, domain=MICROSOFT),
    _rows("BiasGelu", 2, domain=MICROSOFT),
    _rows(
        "FusedMatMul",
        2,
        "alpha:float=1.0 transA:int=0 transB:int=0 transBatchA:int=0 transBatchB:int=0",
        domain=MICROSOFT,
    ),
    _rows(
        "MultiHeadAttention",
        8,
        "num_heads:int scale:float=0.0 unidirectional:int=0",
        required=1,
        domain=MICROSOFT,
        ignored={"mask_filter_value": -10000.0},
    ),
    _rows(
        "Attention",
        6,
        "num_heads:int scale:float=0.0 unidirectional:int=0",
        required=2,
        domain=MICROSOFT,
        ignored={"mask_filter_value": -10000.0, "do_rotary": 0, "past_present_share_buffer": 0},
    ),
    _rows("GroupQueryAttention", 7, "num_heads:int kv_num_heads:int scale:float=0.0", required=3, domain=MICROSOFT),
    _rows("SkipLayerNormalization", 5, "epsilon:float=1e-12", required=3, domain=MICROSOFT),
    _rows("SkipSimplifiedLayerNormalization", 4, "epsilon:float=1e-12", required=3, domain=MICROSOFT),
    _rows("SimplifiedLayerNormalization", 2, "axis:last=-1 epsilon:float=1e-05 stash_type:int=1", provider=True),
    _rows(
        "RotaryEmbedding",
        4,
        "interleaved:int=0 num_heads:int=0 rotary_embedding_dim:int=0 scale:float=1.0",
        domain=MICROSOFT,
        ignored={"is_packed_batching": 0},
    ),
]

OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {row.name: row for rows in (*_STANDARD, *_PROVIDER) for row in rows},
)
"""Every row, by the operator's name in the e-graph."""

BY_ONNX_NAME: Mapping[tuple[str, str], Operator] = MappingProxyType(
    {(row.domain, row.onnx_name): row for row in OPERATORS.values()},
)
"""Every row, by domain and type."""
