"""From the normal form back to ONNX: nodes as a given opset wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx.defs

from ir.normal_form import schema_of
from ir.onnx_form import RawNode, Surroundings, UnwritableError, Written, generic, prefix_of
from ir.operators import OPERATORS
from ir.special_writers import SPECIAL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ir.graph import AttributeValue, Node
    from ir.operators import Operator

__all__ = ["RawNode", "Surroundings", "UnwritableError", "Written", "is_writable", "write_node"]


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
    special = SPECIAL.get(operator_name, generic)
    named = _outputs(operator, outputs, attributes, around, prefix_of(inputs, outputs))
    return special(operator, tuple(inputs), named, attributes, around)


def is_writable(node: Node, around: Surroundings) -> bool:
    """Return whether a node in normal form can be written; true of one whose outputs nobody uses."""
    if not any(node.outputs):
        return True
    try:
        write_node(node.operator, node.inputs, node.outputs, node.attributes, around)
    except UnwritableError:
        return False
    return True


def _outputs(
    operator: Operator,
    outputs: Sequence[str],
    attributes: Mapping[str, AttributeValue],
    around: Surroundings,
    prefix: str,
) -> tuple[str, ...]:
    """A name for every output that a node must have, used or not; none for optional ones at the end."""
    names = list(outputs)
    pieces = attributes.get("split")
    if isinstance(pieces, tuple):
        names.extend([""] * (len(pieces) - len(names)))
        return tuple(name or f"{prefix}/piece{position}" for position, name in enumerate(names))
    schema = schema_of(operator, around.opset)
    if schema is not None and operator.is_multi:
        for position, formal in enumerate(schema.outputs[: len(names)]):
            if not names[position] and formal.option == onnx.defs.OpSchema.FormalParameterOption.Single:
                names[position] = f"{prefix}/{formal.name}"
    while not names[-1]:
        names.pop()
    return tuple(names)
