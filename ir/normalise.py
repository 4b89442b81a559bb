"""From an ONNX node to its normal form: one way of writing one meaning, whatever the opset.

What cannot be normalised (an operator the table does not know, a shape that is computed, an attribute the row does
not have) becomes an opaque node. That is never an error.
"""

from __future__ import annotations

import math

import onnx_ir

from ir.checks import DEFAULT_DOMAINS
from ir.graph import Constant, Node, Spelling
from ir.normal_form import Context, OpaqueError, generic, is_well_formed, schema_of, value_name
from ir.operators import BY_ONNX_NAME, Operator
from ir.special_forms import RESHAPES, SPECIAL
from ir.subgraphs import captured_values

__all__ = ["Context", "normalise", "opaque", "schema_of"]


def normalise(node: onnx_ir.Node, context: Context) -> Node:
    """Return the normal form of ``node``, an opaque node where it has none."""
    try:
        return _normal_form(node, context)
    except OpaqueError:
        return opaque(node)


def opaque(node: onnx_ir.Node) -> Node:
    """Return ``node`` as one that passes through; values its subgraphs capture count as inputs."""
    inputs = [value_name(value) for value in node.inputs]
    return Node(
        operator="",
        inputs=(*inputs, *captured_values(node)),
        outputs=tuple(value_name(value) for value in node.outputs),
        name=node.name or "",
        source=node,
    )


def _normal_form(node: onnx_ir.Node, context: Context) -> Node:
    operator = _row(node, context)
    opset = context.opsets.get(operator.domain, 1)
    if not node.outputs or (not operator.domain and not is_well_formed(node, opset)):
        raise OpaqueError
    given = tuple(value_name(value) for value in node.inputs)
    inputs, attributes = SPECIAL.get(operator.name, generic)(node, operator, opset, context)
    if any(isinstance(value, float) and not math.isfinite(value) for value in attributes.values()):
        raise OpaqueError  # NaN is not equal to itself, so that no e-node could hold it
    if set(attributes) != {column.name for column in operator.attributes}:
        raise OpaqueError
    normal = _inputs(operator, inputs)
    return Node(
        operator=operator.name,
        inputs=normal,
        outputs=_outputs(operator, node, context),
        attributes={column.name: attributes[column.name] for column in operator.attributes},
        name=node.name or "",
        source=node,
        spelling=_spelling(given, normal, context),
    )


def _spelling(given: tuple[str, ...], normal: tuple[str, ...], context: Context) -> Spelling | None:
    """Where each input that was given went; the normal form keeps their order, and leaves some to the attributes."""
    spelling: list[int | Constant | None] = []
    rest = list(enumerate(normal))
    for name in given:
        if rest and rest[0][1] == name:
            spelling.append(rest.pop(0)[0])
        elif not name or name in context.constants:
            spelling.append(context.constants.get(name))
        else:
            return None
    return tuple(spelling)


def _row(node: onnx_ir.Node, context: Context) -> Operator:
    """The row of the operator table that tells the truth about a node."""
    domain = "" if node.domain in DEFAULT_DOMAINS else node.domain
    is_reshape = domain == "" and node.op_type in RESHAPES
    operator = BY_ONNX_NAME.get((domain, "Reshape" if is_reshape else node.op_type))
    if operator is None or node.overload or (node.domain, node.op_type) in context.functions:
        raise OpaqueError
    if domain == "" and not operator.is_provider and context.opsets.get("", 1) < operator.since:
        raise OpaqueError
    return operator


def _inputs(operator: Operator, inputs: list[str]) -> tuple[str, ...]:
    """Inputs as the row has them, an empty string for each that is missing."""
    if operator.is_variadic:
        if "" in inputs:
            raise OpaqueError
        return tuple(inputs)
    if len(inputs) > operator.num_inputs or not all(inputs[: operator.num_required]):
        raise OpaqueError
    if len(inputs) < operator.num_required:
        raise OpaqueError
    return (*inputs, *([""] * (operator.num_inputs - len(inputs))))


def _outputs(operator: Operator, node: onnx_ir.Node, context: Context) -> tuple[str, ...]:
    """Outputs as the row has them, an empty string for each that is not used."""
    names = (value_name(value) for value in node.outputs)
    outputs = tuple(name if name in context.used else "" for name in names)
    if not operator.num_outputs:
        return outputs
    if any(outputs[operator.num_outputs :]):
        raise OpaqueError
    padding = ("",) * (operator.num_outputs - len(outputs))
    return (*outputs[: operator.num_outputs], *padding)
