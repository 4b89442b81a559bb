"""What every normal form is made of: the attributes a node states, and the inputs that are attributes in truth."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import onnx
import onnx.defs
import onnx.helper
import onnx_ir

from ir.graph import AttributeValue, Constant
from ir.operators import Kind, Operator, shortest
from ir.types import TensorType

Attributes: TypeAlias = "dict[str, AttributeValue]"


class OpaqueError(Exception):
    """The node has no normal form."""


@dataclass(slots=True)
class Context:
    """What the normal form of a node may depend on.

    Attributes:
        types: Types known so far, by value name.
        constants: Constants by value name; old opsets' scalar attributes become new ones here.
        opsets: Opset version by domain.
        backed_symbols: Symbols that can be computed from a graph input's shape when a model is written.
        names: Every name that is taken.
        functions: Domain and name of the model's own functions: they may hide an operator.
        used: Names of the values that an output of the graph hangs on.
    """

    types: dict[str, TensorType]
    constants: dict[str, Constant]
    opsets: Mapping[str, int]
    backed_symbols: frozenset[int]
    names: set[str]
    functions: frozenset[tuple[str, str]]
    used: frozenset[str]

    def type(self, name: str) -> TensorType:
        """Return the type of a value that must be known.

        Raises:
            OpaqueError: It is not.
        """
        found = self.types.get(name)
        if found is None:
            raise OpaqueError
        return found

    def integers(self, name: str) -> tuple[int, ...]:
        """Return the elements of a constant of integers.

        Raises:
            OpaqueError: It is not constant, or no scalar or vector of integers.
        """
        constant = self.constants.get(name)
        if constant is None or constant.type.rank > 1:
            raise OpaqueError
        array = constant.numpy()
        if array.dtype.kind not in "iu":
            raise OpaqueError
        return tuple(int(element) for element in array.reshape(-1))

    def add_constant(self, stem: str, array: np.ndarray) -> str:
        """Add a constant and return its name, which starts with ``stem``."""
        name, number = stem, 0
        while name in self.names:
            number += 1
            name = f"{stem}_{number}"
        self.names.add(name)
        tensor = onnx_ir.tensor(array, name=name)
        type_ = TensorType(int(tensor.dtype), tuple(array.shape))
        self.constants[name] = Constant(name=name, type=type_, tensor=tensor)
        self.types[name] = type_
        return name


def schema_of(operator: Operator, opset: int) -> onnx.defs.OpSchema | None:
    """Return ONNX's schema of an operator at an opset, None where ONNX has none."""
    return None if operator.domain else schema_named(operator.onnx_name, opset)


@functools.cache
def schema_named(name: str, opset: int) -> onnx.defs.OpSchema | None:
    """Return ONNX's schema of an operator type of the default domain at an opset, None where ONNX has none."""
    try:
        schema = onnx.defs.get_schema(name, opset, "")
    except onnx.defs.SchemaError:
        return None
    return None if schema.deprecated else schema


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """What a schema asks of a node."""

    num_inputs: range
    num_outputs: range
    must_be_given: tuple[bool, ...]
    attribute_types: Mapping[str, int]
    required: frozenset[str]


@functools.cache
def _form(name: str, opset: int) -> _Form | None:
    schema = schema_named(name, opset)
    if schema is None:
        return None
    attributes = schema.attributes
    single = onnx.defs.OpSchema.FormalParameterOption.Single
    return _Form(
        num_inputs=range(schema.min_input, schema.max_input + 1),
        num_outputs=range(schema.min_output, schema.max_output + 1),
        must_be_given=tuple(formal.option == single for formal in schema.inputs),
        attribute_types={name: each.type.value for name, each in attributes.items()},  # type: ignore[attr-defined]
        required=frozenset(name for name, each in attributes.items() if each.required),
    )


def is_well_formed(node: onnx_ir.Node, opset: int) -> bool:
    """Return whether a node of the default domain has the inputs, outputs and attributes that ONNX asks for.

    What ONNX has no schema for passes.
    """
    form = _form(node.op_type, opset)
    if form is None:
        return True
    if len(node.inputs) not in form.num_inputs or len(node.outputs) not in form.num_outputs:
        return False
    if not form.required <= node.attributes.keys():
        return False
    given = (bool(value_name(value)) for value in node.inputs)
    if any(is_needed and not is_given for is_needed, is_given in zip(form.must_be_given, given, strict=False)):
        return False
    return all(
        attribute.is_ref() or attribute.type == form.attribute_types.get(name, attribute.type)
        for name, attribute in node.attributes.items()
    )


def value_name(value: onnx_ir.Value | None) -> str:
    """Return the name of a value, the empty string for one that is missing."""
    return "" if value is None or value.name is None else value.name


def _python_value(attribute: onnx_ir.Attr) -> AttributeValue:
    match attribute.type:
        case onnx_ir.AttributeType.INT:
            return attribute.as_int()
        case onnx_ir.AttributeType.FLOAT:
            return shortest(attribute.as_float())
        case onnx_ir.AttributeType.STRING if isinstance(attribute.value, str):
            return attribute.value
        case onnx_ir.AttributeType.INTS:
            return tuple(attribute.as_ints())
        case _:
            raise OpaqueError


def given_attributes(
    node: onnx_ir.Node,
    operator: Operator,
    opset: int,
    handled: frozenset[str] = frozenset(),
) -> tuple[Attributes, onnx.defs.OpSchema | None]:
    """Return the attributes that a node states, those without an effect left out, and the operator's schema.

    Args:
        node: The node.
        operator: Its row of the operator table.
        opset: Version of its domain.
        handled: Attributes that the caller makes something of, though the row does not have them.

    Raises:
        OpaqueError: An attribute has no place in the normal form.
    """
    schema = schema_of(operator, opset)
    if schema is None and not operator.is_provider:
        raise OpaqueError
    columns = {column.name: column.kind for column in operator.attributes}
    given: Attributes = {}
    for name, attribute in node.attributes.items():
        if attribute.is_ref():
            raise OpaqueError
        if name in operator.ignored and name not in columns and name not in handled:
            allowed = operator.ignored[name]
            if allowed is not None and _python_value(attribute) != allowed:
                raise OpaqueError
            continue
        if name in columns or name in handled or _is_old_input(name, operator):
            given[name] = _python_value(attribute)
            if name in columns and not isinstance(given[name], _PYTHON_TYPES[columns[name]]):
                raise OpaqueError
        elif schema is None or not _is_schema_default(schema, name, attribute):
            raise OpaqueError
    return given, schema


_PYTHON_TYPES: Final[Mapping[Kind, type]] = {
    **dict.fromkeys((Kind.INT, Kind.AXIS, Kind.LAST), int),
    **dict.fromkeys((Kind.INTS, Kind.DIMS, Kind.AXES, Kind.LASTS), tuple),
    Kind.FLOAT: float,
    Kind.STRING: str,
}


def _is_schema_default(schema: onnx.defs.OpSchema, name: str, attribute: onnx_ir.Attr) -> bool:
    described = schema.attributes.get(name)
    if described is None or not described.default_value.name:
        return False
    default = onnx.helper.get_attribute_value(described.default_value)
    if isinstance(default, bytes):
        default = default.decode()
    if isinstance(default, float):
        default = shortest(default)
    value = _python_value(attribute)
    return bool(value == (tuple(default) if isinstance(default, list) else default))


def _is_old_input(name: str, operator: Operator) -> bool:
    return (operator.name, name) in {("Clip", "min"), ("Clip", "max")}


def generic(
    node: onnx_ir.Node,
    operator: Operator,
    opset: int,
    context: Context,
    handled: frozenset[str] = frozenset(),
) -> tuple[list[str], Attributes]:
    """Split what a node says into tensor inputs and attributes, wherever the opset keeps them.

    Args:
        node: The node.
        operator: Its row of the operator table.
        opset: Version of its domain.
        context: What surrounds it.
        handled: As in :func:`given_attributes`.

    Raises:
        OpaqueError: The node cannot be said in the normal form.
    """
    given, schema = given_attributes(node, operator, opset, handled)
    names = [value_name(value) for value in node.inputs]
    inputs: list[str] = []
    lifted: Attributes = {}
    columns = {column.name: column for column in operator.attributes}
    if schema is not None and not operator.is_variadic:
        for position, name in enumerate(names):
            formal = schema.inputs[position].name if position < len(schema.inputs) else ""
            if formal in columns:
                if name:
                    values = context.integers(name)
                    lifted[formal] = values if columns[formal].kind in _MANY else _single(values)
            else:
                inputs.append(name)
    else:
        inputs = names
    for name in [name for name in given if name not in columns and name not in handled]:
        inputs = _old_input(name, given.pop(name), inputs, operator, node, context)
    while inputs and not inputs[-1]:
        inputs.pop()
    attributes: Attributes = {}
    for column in operator.attributes:
        value = given.pop(column.name, lifted.get(column.name, column.default))
        if value is not None:
            attributes[column.name] = normal_axes(value, column.kind, names[0] if names else "", context)
    attributes.update(given)
    return inputs, attributes


_MANY: Final = frozenset({Kind.INTS, Kind.DIMS, Kind.AXES, Kind.LASTS})


def _single(values: tuple[int, ...]) -> int:
    if len(values) != 1:
        raise OpaqueError
    return values[0]


def _old_input(
    name: str,
    value: AttributeValue,
    inputs: list[str],
    operator: Operator,
    node: onnx_ir.Node,
    context: Context,
) -> list[str]:
    """An attribute of an old opset that newer ones, and the table, take as a scalar input."""
    latest = onnx.defs.get_schema(operator.onnx_name, "")
    position = [formal.name for formal in latest.inputs].index(name)
    dtype = onnx_ir.DataType(context.type(value_name(node.inputs[0])).dtype).numpy()
    with np.errstate(over="ignore"):  # float16 has no float32 bounds: they become infinite, which bounds as little
        element = np.array(value, dtype=dtype)
    constant = context.add_constant(f"{value_name(node.outputs[0])}/{name}", element)
    padded = inputs + [""] * (position + 1 - len(inputs))
    padded[position] = constant
    return padded


def normal_axes(value: AttributeValue, kind: Kind, first: str, context: Context) -> AttributeValue:
    """Return axes of the value ``first`` counted as ``kind`` asks for; other kinds of attributes as they are.

    Raises:
        OpaqueError: The rank is not known, or an axis is out of range or named twice.
    """
    if kind not in {Kind.AXIS, Kind.LAST, Kind.AXES, Kind.LASTS}:
        return value
    rank = context.type(first).rank
    axes = value if isinstance(value, tuple) else (value,)
    normal: list[int] = []
    for axis in axes:
        if not isinstance(axis, int) or not -rank <= axis < max(rank, 1):
            raise OpaqueError
        front = axis % rank if rank else 0
        normal.append(front if kind in {Kind.AXIS, Kind.AXES} else front - rank)
    if len(set(normal)) != len(normal):
        raise OpaqueError
    if kind is Kind.LASTS:
        normal.sort()
    return tuple(normal) if isinstance(value, tuple) else normal[0]
