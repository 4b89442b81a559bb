"""Nodes as ONNX has them, and the way from the normal form to them that serves most operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx.defs

from ir.normal_form import schema_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ir.graph import AttributeValue
    from ir.operators import Operator
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


def symbol_sources(inputs: Iterable[str], types: Mapping[str, TensorType]) -> dict[int, tuple[str, int]]:
    """Return for each symbol an input of the model, and the axis, that has it."""
    sources: dict[int, tuple[str, int]] = {}
    for name in inputs:
        type_ = types.get(name)
        for axis, dim in enumerate(type_.shape if type_ is not None else ()):
            if dim < 0:
                sources.setdefault(dim, (name, axis))
    return sources


_Option: Final = onnx.defs.OpSchema.FormalParameterOption

_VECTORS: Final = frozenset({("TopK", "K")})
"""Inputs that hold one number in a vector; every other single number is a scalar."""

_NEUTRAL_STEPS: Final = frozenset({"dilations"})
"""Attributes of which 1 on every axis is what older opsets could only mean."""

_OLD_ATTRIBUTES: Final[Mapping[tuple[str, int], str]] = {
    ("Clip", 1): "min",
    ("Clip", 2): "max",
    ("Pad", 1): "value",
}
"""Inputs of the normal form that older opsets have as attributes."""


def prefix_of(inputs: Sequence[str], outputs: Sequence[str]) -> str:
    """Return what the names of further values start with: the first output's name, and no input's or output's."""
    prefix = next(name for name in outputs if name)
    while any(name.startswith(f"{prefix}/") for name in (*inputs, *outputs)):
        prefix += "_"
    return prefix


def generic(
    operator: Operator,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    attributes: Mapping[str, AttributeValue],
    around: Surroundings,
) -> Written:
    """Return one node, each attribute of the normal form where the opset at hand wants it.

    Raises:
        UnwritableError: The opset at hand cannot say it.
    """
    schema = schema_of(operator, around.opset)
    if schema is None:
        if not operator.is_provider:
            raise UnwritableError(f"{operator.onnx_name} does not exist at opset {around.opset}")
        columns = [column for column in operator.attributes if attributes[column.name] != column.default]
        given = {column.name: attributes[column.name] for column in columns}
        return one_node(operator, inputs, outputs, given)
    written, lifted = _placed(operator, attributes, schema)
    if operator.is_variadic:
        return one_node(operator, inputs, outputs, written)
    constants: dict[str, np.ndarray] = {}
    names: list[str] = []
    rest = list(enumerate(inputs))
    for formal in schema.inputs:
        if formal.name in lifted:
            name = f"{prefix_of(inputs, outputs)}/{formal.name}"
            constants[name] = _elements(operator, formal.name, lifted[formal.name])
            names.append(name)
        else:
            names.append(rest.pop(0)[1] if rest else "")
        if not names[-1] and formal.option == _Option.Single:
            raise UnwritableError(f"{operator.onnx_name} needs its input {formal.name} at opset {around.opset}")
    for position, name in rest:
        if name:
            attribute, value = _as_old_attribute(operator, position, name, around)
            written[attribute] = value
    return one_node(operator, tuple(names), outputs, written, constants)


def _placed(
    operator: Operator,
    attributes: Mapping[str, AttributeValue],
    schema: onnx.defs.OpSchema,
) -> tuple[dict[str, AttributeValue | np.ndarray], dict[str, AttributeValue]]:
    """The attributes that stay such, and those that this opset has as inputs."""
    written: dict[str, AttributeValue | np.ndarray] = {}
    lifted: dict[str, AttributeValue] = {}
    formals = {formal.name for formal in schema.inputs}
    for column in operator.attributes:
        value = attributes[column.name]
        described = schema.attributes.get(column.name)
        if described is not None:
            if value != column.default or described.required:
                written[column.name] = value
        elif column.name in formals:
            lifted[column.name] = value
        elif value != column.default and not _is_neutral(column.name, value):
            raise UnwritableError(f"{operator.onnx_name} has no {column.name} at opset {schema.since_version}")
    return written, lifted


def _is_neutral(name: str, value: AttributeValue) -> bool:
    return name in _NEUTRAL_STEPS and isinstance(value, tuple) and all(step == 1 for step in value)


def _elements(operator: Operator, name: str, value: AttributeValue) -> np.ndarray:
    elements = np.array(value, dtype=np.int64)
    return np.atleast_1d(elements) if (operator.name, name) in _VECTORS else elements


def _as_old_attribute(operator: Operator, position: int, name: str, around: Surroundings) -> tuple[str, float]:
    attribute = _OLD_ATTRIBUTES.get((operator.name, position))
    value = around.constant(name)
    if attribute is None or value is None or value.size != 1:
        raise UnwritableError(f"{operator.onnx_name} takes no input {position} at opset {around.opset}")
    return attribute, float(value.reshape(-1)[0])


def one_node(
    operator: Operator,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    attributes: Mapping[str, AttributeValue | np.ndarray],
    constants: Mapping[str, np.ndarray] | None = None,
) -> Written:
    """Return one node; inputs that are missing at its end are not mentioned."""
    names = list(inputs)
    while names and not names[-1]:
        names.pop()
    node = RawNode(
        op_type=operator.onnx_name,
        domain=operator.domain,
        inputs=tuple(names),
        outputs=outputs,
        attributes=attributes,
    )
    return Written(nodes=(node,), constants=constants or {})
