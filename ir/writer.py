"""From the normal form back to ONNX: nodes as a given opset wants them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import onnx_ir

from ir.normalise import schema_of
from ir.operators import OPERATORS, Operator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ir.graph import AttributeValue
    from ir.types import TensorType


class UnwritableError(Exception):
    """The normal form cannot be said at this opset, or needs a dimension that nothing provides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawNode:
    """A node as ONNX has it; every input and output is a value name."""

    op_type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, AttributeValue | np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One node of the normal form as ONNX nodes, and the constants that they need."""

    nodes: tuple[RawNode, ...]
    constants: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What writing a node may depend on.

    Attributes:
        opset: Version of the default domain.
        type_of: Type of a value, None where it is not known.
        constant: Elements of a constant value, None where it is not constant.
        symbol_sources: For a symbol, an input of the model and the axis on which it stands.
    """

    opset: int
    type_of: Callable[[str], TensorType | None]
    constant: Callable[[str], np.ndarray | None] = field(default=lambda _: None)
    symbol_sources: Mapping[int, tuple[str, int]] = field(default_factory=dict)


def write_node(
    operator_name: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    attributes: Mapping[str, AttributeValue],
    around: Surroundings,
) -> Written:
    """Return the ONNX nodes of one node in normal form; new names start with the first output's.

    Raises:
        UnwritableError: The opset at hand cannot say it.
    """
    operator = OPERATORS[operator_name]
    special = _SPECIAL.get(operator_name, _generic)
    return special(operator, tuple(inputs), tuple(outputs), attributes, around)


def _prefix(outputs: Sequence[str]) -> str:
    return next(name for name in outputs if name)


def _trimmed(inputs: Sequence[str]) -> tuple[str, ...]:
    names = list(inputs)
    while names and not names[-1]:
        names.pop()
    return tuple(names)


def _generic(
    operator: Operator,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    attributes: Mapping[str, AttributeValue],
    around: Surroundings,
) -> Written:
    schema = schema_of(operator, around.opset)
    prefix = _prefix(outputs)
    constants: dict[str, np.ndarray] = {}
    written: dict[str, AttributeValue | np.ndarray] = {}
    lifted: dict[str, AttributeValue] = {}
    for column in operator.attributes:
        value = attributes[column.name]
        if schema is None or column.name in schema.attributes:
            if value != column.default or (schema is not None and schema.attributes[column.name].required):
                written[column.name] = value
        elif column.name in {formal.name for formal in schema.inputs}:
            lifted[column.name] = value
        elif value != column.default and not _is_neutral(column.name, value):
            raise UnwritableError(f"{operator.onnx_name} has no {column.name} at opset {around.opset}")
    if schema is None or operator.is_variadic:
        return _one(operator, _trimmed(inputs), outputs, written, constants)
    names: list[str] = []
    rest = list(inputs)
    for formal in schema.inputs:
        if formal.name in lifted:
            value = lifted.pop(formal.name)
            name = f"{prefix}/{formal.name}"
            constants[name] = np.array(value, dtype=np.int64)
            names.append(name)
        elif rest:
            names.append(rest.pop(0))
    for name in rest:
        if name:
            _as_old_attribute(operator, inputs.index(name), name, written, around)
    if lifted:
        raise UnwritableError(f"{operator.onnx_name} has no {next(iter(lifted))} at opset {around.opset}")
    return _one(operator, _trimmed(names), outputs, written, constants)


def _is_neutral(name: str, value: AttributeValue) -> bool:
    """True for dilations of one, which older pools could only mean."""
    return name == "dilations" and isinstance(value, tuple) and all(step == 1 for step in value)


_OLD_ATTRIBUTES: Final[Mapping[tuple[str, int], str]] = {
    ("Clip", 1): "min",
    ("Clip", 2): "max",
    ("Pad", 1): "value",
}


def _as_old_attribute(
    operator: Operator,
    position: int,
    name: str,
    written: dict[str, AttributeValue | np.ndarray],
    around: Surroundings,
) -> None:
    attribute = _OLD_ATTRIBUTES.get((operator.name, position))
    value = around.constant(name)
    if attribute is None or value is None or value.size != 1:
        raise UnwritableError(f"{operator.onnx_name} takes no input {position} at opset {around.opset}")
    written[attribute] = float(value.reshape(-1)[0])


def _one(
    operator: Operator,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    attributes: Mapping[str, AttributeValue | np.ndarray],
    constants: Mapping[str, np.ndarray],
) -> Written:
    node = RawNode(
        op_type=operator.onnx_name,
        domain=operator.domain,
        inputs=inputs,
        outputs=outputs,
        attributes=attributes,
    )
    return Written(nodes=(node,), constants=constants)


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
    """Reshape to a constant where 0 (copy) and -1 (the rest) can say it, else to a computed shape."""
    target = _dims(attributes["shape"])
    source_type = around.type_of(inputs[0])
    source = source_type.shape if source_type is not None else ()
    entries = [
        0 if dim <= 0 and position < len(source) and source[position] == dim else dim
        for position, dim in enumerate(target)
    ]
    needs_literal_zero = any(dim == 0 and entries[i] == 0 and source[i : i + 1] != (0,) for i, dim in enumerate(target))
    num_unknown = sum(dim < 0 for dim in entries)
    if needs_literal_zero:
        if around.opset < 14 or any(dim < 0 for dim in target):  # noqa: PLR2004
            raise UnwritableError(f"Reshape to {target} needs allowzero, which opset {around.opset} has not")
        return _constant_target(operator, inputs[0], outputs, target, {"allowzero": 1})
    if num_unknown > 1:
        return _computed(operator, inputs, outputs, target, around)
    entries = [-1 if dim < 0 else dim for dim in entries]
    if around.opset < 5:  # noqa: PLR2004
        return _one(operator, inputs, outputs, {"shape": tuple(entries)}, {})
    return _constant_target(operator, inputs[0], outputs, entries, {})


def _constant_target(
    operator: Operator,
    source: str,
    outputs: tuple[str, ...],
    entries: Sequence[int],
    attributes: Mapping[str, AttributeValue | np.ndarray],
) -> Written:
    name = f"{_prefix(outputs)}/shape"
    return _one(operator, (source, name), outputs, attributes, {name: np.array(entries, dtype=np.int64)})


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
    """The shape as a concatenation of constants and of dimensions of the model's inputs."""
    prefix = _prefix(outputs)
    nodes: list[RawNode] = []
    constants: dict[str, np.ndarray] = {}
    parts: list[str] = []
    for position, dim in enumerate(entries):
        part = f"{prefix}/dim{position}"
        parts.append(part)
        if dim >= 0:
            constants[part] = np.array([dim], dtype=np.int64)
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
    last = _one(operator, (inputs[0], joined), outputs, {}, {}).nodes
    return Written(nodes=(*nodes, *last), constants=constants)


def _constant_of_shape(
    operator: Operator,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    attributes: Mapping[str, AttributeValue],
    around: Surroundings,
) -> Written:
    del inputs, around
    shape = _dims(attributes["shape"])
    value, dtype = attributes["value"], attributes["dtype"]
    if any(dim < 0 for dim in shape) or not isinstance(dtype, int):
        raise UnwritableError("ConstantOfShape: the shape must be known")
    name = f"{_prefix(outputs)}/shape"
    filler = np.array([value], dtype=onnx_ir.DataType(dtype).numpy())
    return _one(operator, (name,), outputs, {"value": filler}, {name: np.array(shape, dtype=np.int64)})


def _split(
    operator: Operator,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    attributes: Mapping[str, AttributeValue],
    around: Surroundings,
) -> Written:
    """Every piece needs a name, used or not."""
    prefix = _prefix(outputs)
    sizes = _dims(attributes["split"])
    names = tuple(
        (outputs[position] if position < len(outputs) else "") or f"{prefix}/piece{position}"
        for position in range(len(sizes))
    )
    return _generic(operator, inputs, names, attributes, around)


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
        return _one(operator, inputs, outputs, {}, {})
    if around.opset < 15:  # noqa: PLR2004
        raise UnwritableError(f"Shape has no start and end at opset {around.opset}")
    return _one(operator, inputs, outputs, dict(attributes), {})


def _slice(
    operator: Operator,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    attributes: Mapping[str, AttributeValue],
    around: Surroundings,
) -> Written:
    """Before opset 10 the step is always 1 and the bounds are attributes."""
    if around.opset >= 10:  # noqa: PLR2004
        return _generic(operator, inputs, outputs, attributes, around)
    if any(step != 1 for step in _dims(attributes["steps"])):
        raise UnwritableError(f"Slice has no steps at opset {around.opset}")
    bounds = {name: attributes[name] for name in ("starts", "ends", "axes")}
    return _one(operator, inputs, outputs, bounds, {})


def _softmax(
    operator: Operator,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    attributes: Mapping[str, AttributeValue],
    around: Surroundings,
) -> Written:
    """Before opset 13 the axis counted from the front and only the last means the same."""
    if around.opset >= 13:  # noqa: PLR2004
        return _generic(operator, inputs, outputs, attributes, around)
    source = around.type_of(inputs[0])
    if attributes["axis"] != -1 or source is None:
        raise UnwritableError(f"{operator.onnx_name} over another axis than the last at opset {around.opset}")
    return _one(operator, inputs, outputs, {"axis": source.rank - 1}, {})


def _reduce(
    operator: Operator,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    attributes: Mapping[str, AttributeValue],
    around: Surroundings,
) -> Written:
    """Axes from the front below opset 11, where a negative axis meant nothing yet."""
    source = around.type_of(inputs[0])
    if around.opset < 11 and source is not None:  # noqa: PLR2004
        front = tuple(axis % source.rank for axis in _dims(attributes["axes"]))
        attributes = {**attributes, "axes": front}
    return _generic(operator, inputs, outputs, attributes, around)


_Special: TypeAlias = Callable[
    [Operator, tuple[str, ...], tuple[str, ...], "Mapping[str, AttributeValue]", Surroundings],
    Written,
]

_SPECIAL: Final[Mapping[str, _Special]] = {
    "Reshape": _reshape,
    "Expand": _expand,
    "ConstantOfShape": _constant_of_shape,
    "Split": _split,
    "Shape": _shape,
    "Slice": _slice,
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _softmax),
    **dict.fromkeys((name for name in OPERATORS if name.startswith("Reduce")), _reduce),
}
