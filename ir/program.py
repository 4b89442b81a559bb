"""Python programs that show in what two graphs differ: they need onnx, numpy and (where they say so) onnxruntime."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx.helper

from ir.operators import MICROSOFT, OPERATORS
from ir.writer import Surroundings, UnwritableError, write_node

if TYPE_CHECKING:
    from ir.graph import AttributeValue
    from ir.types import TensorType
    from ir.writer import RawNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One node of a side.

    Attributes:
        operator: Row of the operator table.
        attributes: Every attribute of the row, without symbols.
        inputs: Value names, empty for one that is missing.
        outputs: Value names.
    """

    operator: str
    attributes: Mapping[str, AttributeValue]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A graph of a few nodes.

    Attributes:
        steps: In topological order.
        output: Name of what it computes.
        dtype: ``onnx.TensorProto.DataType`` number of what it computes.
    """

    steps: tuple[Step, ...]
    output: str
    dtype: int


def difference_program(
    title: str,
    left: Side,
    right: Side | None,
    leaves: Mapping[str, np.ndarray],
    types: Mapping[str, TensorType],
    *,
    opset: int,
    uses_runtime: bool,
) -> str:
    """Return a program that prints what two sides compute.

    Args:
        title: One line for its docstring.
        left: One side.
        right: The other; None where it cannot be written down, so that only the left side is printed.
        leaves: Inputs and constants of both sides.
        types: Types of the values, as far as they are known.
        opset: Version of the default domain.
        uses_runtime: True runs them in ONNX Runtime, False in ONNX's reference implementation.
    """
    sides = {"left": _with_node(left)} | ({"right": _with_node(right)} if right is not None else {})
    constants: dict[str, np.ndarray] = {}
    nodes = {name: _nodes(side, types, opset, constants) for name, side in sides.items()}
    used = {each for raws in nodes.values() for raw in raws for each in raw.inputs}
    lines = [f'"""{title}"""', "", *_IMPORTS, *(_RUNTIME_IMPORT if uses_runtime else _REFERENCE_IMPORT), ""]
    lines += ["nan, inf = np.nan, np.inf", "feeds = {"]
    lines += [f"    {name!r}: {_array_text(array)}," for name, array in leaves.items() if name in used]
    lines += ["}", "constants = {", *(f"    {name!r}: {_array_text(array)}," for name, array in constants.items()), "}"]
    for name, raws in nodes.items():
        lines += [f"{name} = [", *(f"    {_node_text(raw)}," for raw in raws), "]"]
    lines += ["", "", *_RUN, f"    opsets = {_opsets_text(sides.values(), opset)}", *_MODEL]
    lines += _ON_RUNTIME if uses_runtime else _ON_REFERENCE
    lines += ["", ""]
    for name, side in sides.items():
        lines += [f"{name}_value = run({name}, {side.output!r}, {side.dtype})"]
        lines += [f'print("{name} side:", {name}_value, sep="\\n")']
    lines += _GAP if right is not None else ()
    return "\n".join(lines) + "\n"


_IMPORTS: Final = ("import numpy as np", "from onnx import helper, numpy_helper")
_RUNTIME_IMPORT: Final = ("import onnxruntime",)
_REFERENCE_IMPORT: Final = ("from onnx.reference import ReferenceEvaluator",)
_RUN: Final = (
    "def run(nodes, output, dtype):",
    "    inputs = [",
    "        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)",
    "        for name, array in feeds.items()",
    "    ]",
    "    outputs = [helper.make_tensor_value_info(output, dtype, None)]",
    "    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]",
    '    graph = helper.make_graph(nodes, "side", inputs, outputs, initializers)',
)
_MODEL: Final = ("    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)",)
_ON_REFERENCE: Final = ("    return np.asarray(ReferenceEvaluator(model).run([output], feeds)[0])",)
_ON_RUNTIME: Final = (
    "    options = onnxruntime.SessionOptions()",
    "    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL",
    '    providers = ["CPUExecutionProvider"]',
    "    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)",
    "    return session.run([output], feeds)[0]",
)
_GAP: Final = (
    "if left_value.shape != right_value.shape or left_value.dtype != right_value.dtype:",
    '    print("types:", left_value.dtype, left_value.shape, "became", right_value.dtype, right_value.shape)',
    "else:",
    "    is_equal = np.isclose(left_value, right_value, rtol=1e-6, atol=1e-6, equal_nan=True)",
    '    print("elements that differ:", int(np.sum(~is_equal)))',
)


def _nodes(side: Side, types: Mapping[str, TensorType], opset: int, constants: dict[str, np.ndarray]) -> list[RawNode]:
    around = Surroundings(opset=opset, type_of=types.get)
    found: list[RawNode] = []
    for step in side.steps:
        try:
            written = write_node(step.operator, step.inputs, step.outputs, step.attributes, around)
        except UnwritableError:
            continue
        found += written.nodes
        constants.update(written.constants)
    return found


def _with_node(side: Side) -> Side:
    """A side that is a leaf as one that has a node."""
    if side.steps:
        return side
    output = f"{side.output}_itself"
    step = Step(operator="Identity", attributes={}, inputs=(side.output,), outputs=(output,))
    return Side(steps=(step,), output=output, dtype=side.dtype)


def _node_text(node: RawNode) -> str:
    parts = [repr(node.op_type), repr(list(node.inputs)), repr(list(node.outputs))]
    if node.domain:
        parts.append(f"domain={node.domain!r}")
    for name, value in node.attributes.items():
        if isinstance(value, np.ndarray):
            parts.append(f"{name}=numpy_helper.from_array({_array_text(value)})")
        else:
            parts.append(f"{name}={list(value) if isinstance(value, tuple) else value!r}")
    return f"helper.make_node({', '.join(parts)})"


def _array_text(array: np.ndarray) -> str:
    elements = ", ".join(repr(element) for element in array.reshape(-1).tolist())
    return f"np.array([{elements}], dtype=np.{array.dtype.name}).reshape({tuple(array.shape)})"


def _opsets_text(sides: Iterable[Side], opset: int) -> str:
    text = f'helper.make_opsetid("", {opset})'
    domains = {OPERATORS[step.operator].domain for side in sides for step in side.steps}
    return f'[{text}, helper.make_opsetid("{MICROSOFT}", 1)]' if MICROSOFT in domains else f"[{text}]"


def dtype_number(array: np.ndarray) -> int:
    """Return the ``onnx.TensorProto.DataType`` number of an array."""
    return int(onnx.helper.np_dtype_to_tensor_dtype(array.dtype))
