"""The operators whose way back to ONNX hangs on more than their schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import onnx_ir

from ir.onnx_form import RawNode, Surroundings, UnwritableError, Written, generic, one_node, prefix_of
from ir.operators import OPERATORS, Kind, Operator
from ir.types import TensorType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ir.graph import AttributeValue


_MATRIX: Final = 2

_SINCE_CHAIN: Final = 7
"""Opset from which on operators broadcast as the chain of a normalisation needs."""

_HALF: Final = frozenset({int(onnx_ir.DataType.FLOAT16), int(onnx_ir.DataType.BFLOAT16)})


def _dims(value: AttributeValue) -> tuple[int, ...]:
    if not isinstance(value, tuple):
        raise UnwritableError("a shape must be a tuple")
    return value


def _reshape(
    operator: Operator,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    attributes: Mapping[str, AttributeValue],
    around: Surroundings,
) -> Written:
    """Reshape to a constant where 0 (copy) and -1 (the rest) can say it, else to a computed shape.

    What is the rest cannot be told where another dimension is 0, so there axes of size 1 that come or go are said as
    such, and rows that are made of all axes but the first too.
    """
    target = _dims(attributes["shape"])
    source_type = around.type_of(inputs[0])
    source = source_type.shape if source_type is not None else ()
    entries = [
        0 if dim <= 0 and position < len(source) and source[position] == dim else dim
        for position, dim in enumerate(target)
    ]
    num_unknown = sum(dim < 0 for dim in entries)
    literal_zeros = [axis for axis, dim in enumerate(target) if dim == 0 and source[axis : axis + 1] != (0,)]
    if literal_zeros:
        if around.opset >= 14 and all(dim >= 0 for dim in target):
            return _constant_target(operator, inputs[0], outputs, target, {"allowzero": 1})
        if len(literal_zeros) > 1 or 0 in entries[: literal_zeros[0]] + entries[literal_zeros[0] + 1 :] or num_unknown:
            raise UnwritableError(f"Reshape to {target} needs allowzero, which opset {around.opset} has not")
        entries[literal_zeros[0]] = -1
    is_copied = any(entry == 0 > dim for entry, dim in zip(entries, target, strict=True))
    if num_unknown > 1 or (num_unknown and (is_copied or 0 in target)):
        for op_type, axes in (("Unsqueeze", _new_ones(source, target)), ("Squeeze", _new_ones(target, source))):
            if axes is not None:
                return _with_axes(op_type, inputs[0], outputs, axes, around)
    if num_unknown and is_copied and len(target) == _MATRIX and entries[0] == 0:
        node = RawNode(op_type="Flatten", domain="", inputs=inputs[:1], outputs=outputs, attributes={"axis": 1})
        return Written(nodes=(node,), constants={})
    if num_unknown > 1 or (num_unknown and 0 in target):
        return _computed(operator, inputs, outputs, target, around)
    entries = [-1 if dim < 0 else dim for dim in entries]
    if around.opset < 5:
        return one_node(operator, inputs, outputs, {"shape": tuple(entries)})
    return _constant_target(operator, inputs[0], outputs, entries, {})


def _new_ones(short: Sequence[int], long: Sequence[int]) -> tuple[int, ...] | None:
    """The axes of size 1 that ``long`` has beside the dimensions of ``short``; None where they differ otherwise."""
    axes: list[int] = []
    for axis, dim in enumerate(long):
        position = axis - len(axes)
        if position < len(short) and short[position] == dim:
            continue
        if dim != 1:
            return None
        axes.append(axis)
    return tuple(axes) if len(long) - len(axes) == len(short) else None


def _with_axes(
    op_type: str, source: str, outputs: tuple[str, ...], axes: tuple[int, ...], around: Surroundings
) -> Written:
    if around.opset < 13:
        node = RawNode(op_type=op_type, domain="", inputs=(source,), outputs=outputs, attributes={"axes": axes})
        return Written(nodes=(node,), constants={})
    name = f"{prefix_of((source,), outputs)}/axes"
    node = RawNode(op_type=op_type, domain="", inputs=(source, name), outputs=outputs, attributes={})
    return Written(nodes=(node,), constants={name: np.array(axes, dtype=np.int64)})


def _constant_target(
    operator: Operator,
    source: str,
    outputs: tuple[str, ...],
    entries: Sequence[int],
    attributes: Mapping[str, AttributeValue | np.ndarray],
) -> Written:
    name = f"{prefix_of((source,), outputs)}/shape"
    return one_node(operator, (source, name), outputs, attributes, {name: np.array(entries, dtype=np.int64)})


def _expand(
    operator: Operator,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    attributes: Mapping[str, AttributeValue],
    around: Surroundings,
) -> Written:
    """Expand with 1 where the input has the dimension already, so that symbols need not be computed."""
    target = _dims(attributes["shape"])
    source_type = around.type_of(inputs[0])
    source = source_type.shape if source_type is not None else ()
    offset = len(target) - len(source)
    entries = [
        1 if dim < 0 and position >= offset and source[position - offset] == dim else dim
        for position, dim in enumerate(target)
    ]
    if any(dim < 0 for dim in entries):
        return _computed(operator, inputs, outputs, entries, around)
    return _constant_target(operator, inputs[0], outputs, entries, {})


def _computed(
    operator: Operator,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    entries: Sequence[int],
    around: Surroundings,
) -> Written:
    """The shape as a concatenation of constants and of dimensions of the model's inputs; a Reshape may lack one."""
    prefix = prefix_of(inputs, outputs)
    nodes: list[RawNode] = []
    constants: dict[str, np.ndarray] = {}
    parts: list[str] = []
    is_rest_taken = False
    for position, dim in enumerate(entries):
        part = f"{prefix}/dim{position}"
        parts.append(part)
        if dim >= 0:
            constants[part] = np.array([dim], dtype=np.int64)
            continue
        if dim not in around.symbol_sources and operator.name == "Reshape" and not is_rest_taken and 0 not in entries:
            is_rest_taken = True
            constants[part] = np.array([-1], dtype=np.int64)
            continue
        if dim not in around.symbol_sources:
            raise UnwritableError(f"{operator.onnx_name}: no input of the model has the dimension {dim}")
        source, axis = around.symbol_sources[dim]
        shape, index = f"{part}/shape", f"{part}/index"
        constants[index] = np.array([axis], dtype=np.int64)
        nodes.append(RawNode(op_type="Shape", domain="", inputs=(source,), outputs=(shape,), attributes={}))
        gathered: Mapping[str, AttributeValue | np.ndarray] = {"axis": 0}
        nodes.append(
            RawNode(op_type="Gather", domain="", inputs=(shape, index), outputs=(part,), attributes=gathered),
        )
    joined = f"{prefix}/shape"
    nodes.append(RawNode(op_type="Concat", domain="", inputs=tuple(parts), outputs=(joined,), attributes={"axis": 0}))
    # A dimension that is computed to be 0 is no copy of the input's.
    is_literal = operator.name == "Reshape" and around.opset >= 14 and not is_rest_taken
    last = one_node(operator, (inputs[0], joined), outputs, {"allowzero": 1} if is_literal else {}).nodes
    return Written(nodes=(*nodes, *last), constants=constants)


def _constant_of_shape(
    operator: Operator,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    attributes: Mapping[str, AttributeValue],
    around: Surroundings,
) -> Written:
    del around
    shape = _dims(attributes["shape"])
    value, dtype = attributes["value"], attributes["dtype"]
    if any(dim < 0 for dim in shape) or not isinstance(dtype, int):
        raise UnwritableError("ConstantOfShape: the shape must be known")
    name = f"{prefix_of(inputs, outputs)}/shape"
    filler = np.array([value], dtype=onnx_ir.DataType(dtype).numpy())
    return one_node(operator, (name,), outputs, {"value": filler}, {name: np.array(shape, dtype=np.int64)})


def _shape(
    operator: Operator,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    attributes: Mapping[str, AttributeValue],
    around: Surroundings,
) -> Written:
    """``start`` and ``end`` exist from opset 15 on; before, only the whole shape can be said."""
    source = around.type_of(inputs[0])
    if source is not None and attributes["start"] == 0 and attributes["end"] == source.rank:
        return one_node(operator, inputs, outputs, {})
    if around.opset < 15:
        raise UnwritableError(f"Shape has no start and end at opset {around.opset}")
    return one_node(operator, inputs, outputs, dict(attributes))


def _slice(
    operator: Operator,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    attributes: Mapping[str, AttributeValue],
    around: Surroundings,
) -> Written:
    """Before opset 10 the step is always 1 and the bounds are attributes."""
    if around.opset >= 10:
        return generic(operator, inputs, outputs, attributes, around)
    if any(step != 1 for step in _dims(attributes["steps"])):
        raise UnwritableError(f"Slice has no steps at opset {around.opset}")
    bounds = {name: attributes[name] for name in ("starts", "ends", "axes")}
    return one_node(operator, inputs, outputs, bounds)


def _softmax(
    operator: Operator,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    attributes: Mapping[str, AttributeValue],
    around: Surroundings,
) -> Written:
    """Before opset 13 the axis counted from the front and only the last means the same."""
    if around.opset >= 13:
        return generic(operator, inputs, outputs, attributes, around)
    source = around.type_of(inputs[0])
    if attributes["axis"] != -1 or source is None:
        raise UnwritableError(f"{operator.onnx_name} over another axis than the last at opset {around.opset}")
    return one_node(operator, inputs, outputs, {"axis": source.rank - 1})


def _from_front(
    operator: Operator,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    attributes: Mapping[str, AttributeValue],
    around: Surroundings,
) -> Written:
    """Reductions with their axes counted from the front, where the rank is known.

    Below opset 11 a negative axis meant nothing yet, and ONNX Runtime takes it for none at all where the input has no
    elements: the result then has the wrong shape.
    """
    source = around.type_of(inputs[0])
    if source is not None and source.rank:
        counted = {
            column.name: _front(attributes[column.name], source.rank)
            for column in operator.attributes
            if column.kind in {Kind.LAST, Kind.LASTS}
        }
        attributes = {**attributes, **counted}
    return generic(operator, inputs, outputs, attributes, around)


def _root_mean_square_norm(
    operator: Operator,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    attributes: Mapping[str, AttributeValue],
    around: Surroundings,
) -> Written:
    """``x / sqrt(mean(x^2) + epsilon) scale``, of which ONNX Runtime makes its operator itself.

    The operator stands in ONNX's own domain, where ONNX does not know it, so that no checker lets a file with it pass.
    """
    del operator
    source, axis, epsilon = around.type_of(inputs[0]), attributes["axis"], attributes["epsilon"]
    if source is None or not isinstance(axis, int) or not isinstance(epsilon, float) or around.opset < _SINCE_CHAIN:
        raise UnwritableError("SimplifiedLayerNormalization: nothing is known of its input, or the opset is too old")
    prefix = prefix_of(inputs, outputs)
    is_widened = source.dtype in _HALF and attributes["stash_type"] == int(onnx_ir.DataType.FLOAT)
    dtype = int(onnx_ir.DataType.FLOAT) if is_widened else source.dtype
    kind = onnx_ir.DataType(dtype).numpy()
    two, shift = f"{prefix}/two", f"{prefix}/epsilon"
    constants = {two: np.array(2.0, kind), shift: np.array(epsilon, kind)}
    nodes: list[RawNode] = []
    types = {inputs[0]: TensorType(dtype, source.shape)}
    wide = Surroundings(opset=around.opset, type_of=types.get)

    def made(kind: str, operands: tuple[str, ...], result: str, **given: AttributeValue) -> str:
        nodes.append(RawNode(op_type=kind, domain="", inputs=operands, outputs=(result,), attributes=given))
        return result

    value = made("Cast", (inputs[0],), f"{prefix}/wide", to=dtype) if is_widened else inputs[0]
    square = made("Pow", (value, two), f"{prefix}/square")
    types[square] = TensorType(dtype, source.shape)
    columns: dict[str, AttributeValue] = {"axes": tuple(range(axis, 0)), "keepdims": 1}
    mean = _from_front(OPERATORS["ReduceMean"], (square,), (f"{prefix}/mean",), columns, wide)
    nodes.extend(mean.nodes)
    shifted = made("Add", (f"{prefix}/mean", shift), f"{prefix}/shifted")
    root = made("Sqrt", (shifted,), f"{prefix}/root")
    normal = made("Div", (value, root), f"{prefix}/normal")
    if is_widened:
        normal = made("Cast", (normal,), f"{prefix}/narrow", to=source.dtype)
    made("Mul", (normal, inputs[1]), outputs[0])
    return Written(nodes=tuple(nodes), constants={**constants, **mean.constants})


def _front(axes: AttributeValue, rank: int) -> AttributeValue:
    if isinstance(axes, tuple):
        return tuple(axis % rank for axis in axes)
    return axes % rank if isinstance(axes, int) else axes


_Special: TypeAlias = Callable[
    [Operator, tuple[str, ...], tuple[str, ...], "Mapping[str, AttributeValue]", Surroundings],
    Written,
]

SPECIAL: Final[Mapping[str, _Special]] = {
    "Reshape": _reshape,
    "Expand": _expand,
    "ConstantOfShape": _constant_of_shape,
    "Shape": _shape,
    "Slice": _slice,
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _softmax),
    **dict.fromkeys((name for name in OPERATORS if name.startswith(("Reduce", "Arg"))), _from_front),
    "SimplifiedLayerNormalization": _root_mean_square_norm,
}
