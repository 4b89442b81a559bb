"""A model as a graph of normalised nodes, with everything a node needs to be written back as ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import onnx_ir

    from ir.types import Symbols, TensorType

AttributeValue: TypeAlias = "int | float | str | tuple[int, ...]"
"""What an attribute of a known operator may hold; a shape is a tuple whose negative entries are symbols."""

Spelling: TypeAlias = "tuple[int | Constant | None, ...]"
"""For each input of a node as it was read its position among the inputs of the normal form, the constant that is among
the attributes there, or None for one that is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One application of an operator.

    Attributes:
        operator: Name of a row of the operator table (``ir.operators``), or the empty string for a node the
            table does not describe: such a node is opaque, it passes through as it is.
        inputs: Value names; an empty string stands for an optional input that is missing. Index-like inputs
            that are constant (shapes, axes, pads) are not here but among the attributes.
        outputs: Value names, empty where an optional output is not asked for.
        attributes: Every attribute of the table's row, defaults filled in. Empty for opaque nodes.
        name: The node's own name in the model, for messages; may be empty.
        source: The node as it was read; always there for opaque nodes.
        spelling: How ``source`` says it; None where the node cannot be written as it was read. Opaque nodes need none.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    name: str = ""
    source: onnx_ir.Node | None = None
    spelling: Spelling | None = None

    @property
    def is_opaque(self) -> bool:
        """True where the operator table knows nothing of this node."""
        return not self.operator


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A constant tensor, read from disk only when asked for.

    Attributes:
        name: Value name.
        type: Element type and (static) shape.
        tensor: The lazy tensor.
        is_held: True where training may change it, or something outside of the graph refers to it: nothing is made of
            its elements, and it stays.
    """

    name: str
    type: TensorType
    tensor: onnx_ir.TensorProtocol
    is_held: bool = False

    def numpy(self) -> np.ndarray:
        """Return the elements."""
        return self.tensor.numpy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A model in normal form.

    Attributes:
        inputs: Names of the graph's inputs, in order, without those that are initializers' defaults.
        outputs: Names of the graph's outputs, in order.
        nodes: Nodes in topological order; an output of the graph hangs on each.
        constants: Initializers and ``Constant`` nodes by value name.
        types: The types known, by value name; a value that is missing here has an unknown type.
        opsets: Opset version by domain; the default domain is the empty string.
        symbols: The interner behind the negative dimensions of ``types``.
        model: The model as read; kept for all that the graph does not say (metadata, functions, doc strings).
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Constant]
    types: Mapping[str, TensorType]
    opsets: Mapping[str, int]
    symbols: Symbols
    model: onnx_ir.Model

    @property
    def opset(self) -> int:
        """Version of the default domain's operator set."""
        return self.opsets.get("", 1)

    @property
    def held(self) -> Mapping[str, Constant]:
        """The constants that stay as they are."""
        return {name: constant for name, constant in self.constants.items() if constant.is_held}
