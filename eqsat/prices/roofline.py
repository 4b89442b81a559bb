"""What a kernel is called, and what a roofline makes of it: by operators and sizes, on a device that does not exist."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from eqsat.prices.clusters import UNFUSED
from eqsat.prices.macs import num_macs
from eqsat.prices.micro import Cluster, UnpriceableError
from eqsat.prices.pricing import VIEW_US, flat_price
from ir.data_types import itemsize
from ir.types import TensorType

if TYPE_CHECKING:
    from eqsat.egraph.enode import ENode
    from eqsat.egraph.session import Session
    from eqsat.prices.micro import MicroMaker

LAUNCH_US: Final = 1.0
"""What it takes to start a kernel, in the table."""

FLOPS_PER_US: Final = 40_000.0
"""Floating-point operations a microsecond, in the table."""

BYTES_PER_US: Final = 10_000.0
"""Memory traffic a microsecond, in the table."""

CHEAP_FLOPS: Final = 1.0
"""Operations an element of the result, of an operator of which the table says nothing."""

COSTLY_FLOPS: Final = 20.0
"""Operations an element of the result, where a transcendental function or several passes are needed."""

COSTLY: Final = frozenset(
    {
        *("Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cos", "Cosh", "Sin", "Sinh", "Tan", "Tanh", "Exp", "Log"),
        *("Erf", "Elu", "Celu", "Selu", "Sigmoid", "Softplus", "Mish", "Swish", "Gelu", "Pow", "Softmax", "LogSoftmax"),
        *("MsGelu", "MsQuickGelu", "MsFastGelu", "MsBiasGelu", "LayerNormalization", "RMSNormalization"),
        *("SimplifiedLayerNormalization", "MsSkipLayerNormalization", "MsSkipSimplifiedLayerNormalization"),
        *("InstanceNormalization", "GroupNormalization", "LpNormalization", "MeanVarianceNormalization", "LRN"),
    }
)

PARTIAL: Final = frozenset({"Gather", "GatherND", "GatherElements", "Slice", "Expand", "Tile", "Shape", "Size"})
"""Operators that read no more than they write."""


NORMALIZATIONS: Final = frozenset({"LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"})
"""Operators that may be one kernel with an addition before them."""


def kernel(session: Session, cluster: Cluster) -> str:
    """Return the name of the kernel that runs a cluster, as far as its speed depends on more than operator and size.

    ONNX Runtime makes one kernel of an addition and a normalisation of three dimensions, and of no others. What leaves
    the last axis where it is, when it transposes, copies rows.
    """
    names = [_variant(session, enode.operator, enode.children) for enode in cluster.enodes]
    if names == ["Transpose"]:
        order = cluster.enodes[0].named_attributes().get("perm")
        return "Transpose/rows" if isinstance(order, tuple) and order and order[-1] == len(order) - 1 else "Transpose"
    if len(names) > 1 and names[0] in NORMALIZATIONS:
        source = session.mirror.types[cluster.links[0]]
        names[0] += f"/{source.rank}d" if isinstance(source, TensorType) else ""
    return "+".join(names)


def _variant(session: Session, operator: str, children: Sequence[int]) -> str:
    mirror = session.mirror
    if operator in {"MatMul", "Gemm"}:
        is_weight = mirror.canonical[children[1]] in session.constants()
        return f"{operator}/weight" if is_weight else operator
    if operator != "Conv":
        return operator
    source, weight = (mirror.types[child] for child in children[:2])
    if not (isinstance(source, TensorType) and isinstance(weight, TensorType)):
        return operator
    if source.rank > 1 and weight.shape[1] != source.shape[1]:
        return "Conv/depthwise" if weight.shape[1] == 1 else "Conv/grouped"
    return "Conv/pointwise" if math.prod(weight.shape[2:]) == 1 else operator


def roofline_us(session: Session, cluster: Cluster, maker: MicroMaker) -> float:
    """Return a price by sizes alone: the start of a kernel, and the longer of arithmetic and memory traffic.

    Williams, Waterman, Patterson 2009, "Roofline: an insightful visual performance model". A cluster has one start, and
    nothing between its e-nodes goes through memory, where they are fused.

    Args:
        session: Where the e-nodes come from.
        cluster: What to price.
        maker: Knows the sizes of symbolic dimensions.

    Returns:
        Microseconds of a device that does not exist.
    """
    first = cluster.enodes[0]
    if any(enode.operator in UNFUSED for enode in cluster.enodes[1:]):
        return math.fsum(roofline_us(session, Cluster((enode,)), maker) for enode in cluster.enodes)
    flat = flat_price(cluster)
    if flat is not None:
        return flat
    types = session.mirror.types
    result = types[session.mirror.canonical[session.mirror.enodes[first]]]
    try:
        outputs = _sized(maker, (result, *(types[link] for link in cluster.links)))
        flops = 0.0
        for enode, output in zip(cluster.enodes, outputs, strict=True):
            flops += _flops(enode, _sized(maker, tuple(types[child] for child in enode.children)), output)
        reads = _flat(_sized(maker, tuple(types[child] for child in cluster.external_children())))
    except UnpriceableError:
        return VIEW_US
    written = sum(_num_bytes(type_) for type_ in outputs[0])
    read = sum(min(_num_bytes(type_), written) if first.operator in PARTIAL else _num_bytes(type_) for type_ in reads)
    return LAUNCH_US + max(flops / FLOPS_PER_US, (written + read) / BYTES_PER_US)


_Types = tuple[TensorType, ...]


def _sized(maker: MicroMaker, types: Sequence[object]) -> tuple[_Types, ...]:
    """Return the tensors behind each type, with every dimension a number; none for what is absent or has no type.

    Raises:
        UnpriceableError: A dimension has no size.
    """
    sized: list[_Types] = []
    for type_ in types:
        tensors = type_ if isinstance(type_, tuple) else (type_,)
        sized.append(tuple(maker.concrete(each) for each in tensors if isinstance(each, TensorType)))
    return tuple(sized)


def _flat(types: Sequence[_Types]) -> _Types:
    return tuple(type_ for each in types for type_ in each)


def _num_elements(type_: TensorType) -> int:
    return math.prod(type_.shape)


def _num_bytes(type_: TensorType) -> float:
    return _num_elements(type_) * itemsize(type_.dtype)


def _flops(enode: ENode, inputs: Sequence[_Types], outputs: _Types) -> float:
    """Return the operations of one e-node, 2 for a multiplication and an addition."""
    num_results = sum(_num_elements(type_) for type_ in outputs)
    tensors = _flat(inputs)
    macs = num_macs(enode.operator, enode.named_attributes(), tensors, num_results)
    if macs is not None:
        return 2.0 * macs
    if enode.operator in COSTLY:
        return COSTLY_FLOPS * num_results
    if enode.operator in PARTIAL:
        return CHEAP_FLOPS * num_results
    return CHEAP_FLOPS * max(num_results, sum(_num_elements(type_) for type_ in tensors[:1]))
