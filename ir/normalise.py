"""From an ONNX node to its normal form: one way of writing one meaning, whatever the opset.

What cannot be normalised (an operator the table does not know, a shape that is computed, an attribute the row does
not have) becomes an opaque node. That is never an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import onnx
import onnx.defs
import onnx_ir

from ir.graph import AttributeValue, Constant, Node
from ir.operators import BY_ONNX_NAME, MICROSOFT, Kind, Operator
from ir.types import TensorType

if TYPE_CHECKING:
    from collections.abc import Sequence

INT64_MAX: Final = 2**63 - 1
Attributes: TypeAlias = "dict[str, AttributeValue]"


class _Opaque(Exception):  # noqa: N818  # control flow inside this module, never an error
    """The node has no normal form."""


@dataclass(slots=True)
class Context:
    """What the normal form of a node may depend on.

    Attributes:
        types: Types known so far, by value name.
        constants: Constants by value name; old opsets' scalar attributes become new ones here.
        opsets: Opset version by domain.
        backed_symbols: Symbols that can be computed from a graph input's shape when a model is written.
    """

    types: dict[str, TensorType]
    constants: dict[str, Constant]
    opsets: Mapping[str, int]
    backed_symbols: frozenset[int]

    def type(self, name: str) -> TensorType:
        """Return the type of a value that must be known."""
        found = self.types.get(name)
        if found is None:
            raise _Opaque
        return found

    def integers(self, name: str) -> tuple[int, ...]:
        """Return the elements of a constant of integers."""
        constant = self.constants.get(name)
        if constant is None or constant.type.rank > 1:
            raise _Opaque
        array = constant.numpy()
        if array.dtype.kind not in "iu":
            raise _Opaque
        return tuple(int(element) for element in array.reshape(-1))

    def add_constant(self, name: str, array: np.ndarray) -> str:
        """Add a constant and return its name."""
        tensor = onnx_ir.tensor(array, name=name)
        type_ = TensorType(int(tensor.dtype), tuple(array.shape))
        self.constants[name] = Constant(name=name, type=type_, tensor=tensor)
        self.types[name] = type_
        return name


def schema_of(operator: Operator, opset: int) -> onnx.defs.OpSchema | None:
    """Return ONNX's schema of an operator at an opset, None where ONNX has none."""
    if operator.domain:
        return None
    try:
        schema = onnx.defs.get_schema(operator.onnx_name, opset, "")
    except onnx.defs.SchemaError:
        return None
    return None if schema.deprecated else schema


def normalise(node: onnx_ir.Node, context: Context) -> Node:
    """Return the normal form of ``node``, an opaque node where it has none."""
    try:
        return _normal_form(node, context)
    except _Opaque:
        return opaque(node)


def opaque(node: onnx_ir.Node) -> Node:
    """Return ``node`` as one that passes through; values its subgraphs capture count as inputs."""
    inputs = [_name(value) for value in node.inputs]
    return Node(
        operator="",
        inputs=(*inputs, *captured_values(node)),
        outputs=tuple(_name(value) for value in node.outputs),
        name=node.name or "",
        source=node,
    )


def captured_values(node: onnx_ir.Node) -> tuple[str, ...]:
    """Return the names of outer values that the subgraphs of ``node`` use, in order of first use."""
    found: dict[str, None] = {}

    def visit(graph: onnx_ir.Graph) -> None:
        local = {value.name for value in graph.inputs} | set(graph.initializers)
        for inner in graph:
            local.update(value.name for value in inner.outputs)
        outside: dict[str, None] = {}
        for inner in graph:
            for value in inner.inputs:
                if value is not None and value.name:
                    outside[value.name] = None
            for name in captured_values(inner):
                outside[name] = None
        for value in graph.outputs:
            if value is not None and value.name:
                outside[value.name] = None
        for name in outside:
            if name not in local:
                found[name] = None

    for attribute in node.attributes.values():
        if attribute.type == onnx_ir.AttributeType.GRAPH:
            visit(attribute.as_graph())
        elif attribute.type == onnx_ir.AttributeType.GRAPHS:
            for graph in attribute.as_graphs():
                visit(graph)
    return tuple(found)


def _name(value: onnx_ir.Value | None) -> str:
    return "" if value is None or value.name is None else value.name


def _is_used(value: onnx_ir.Value) -> bool:
    return bool(value.uses()) or value.is_graph_output()


def _normal_form(node: onnx_ir.Node, context: Context) -> Node:
    domain = "" if node.domain in {"", "ai.onnx"} else node.domain
    key = (domain, "Reshape" if domain == "" and node.op_type in _RESHAPES else node.op_type)
    operator = BY_ONNX_NAME.get(key)
    if operator is None or node.overload:
        raise _Opaque
    opset = context.opsets.get(domain, 1)
    if domain == "" and not operator.is_provider and opset < operator.since:
        raise _Opaque
    if domain not in {"", MICROSOFT}:
        raise _Opaque
    outputs = tuple(_name(value) if _is_used(value) else "" for value in node.outputs)
    if operator.num_outputs and any(outputs[operator.num_outputs :]):
        raise _Opaque
    special = _SPECIAL.get(operator.name, _generic)
    inputs, attributes = special(node, operator, opset, context)
    if operator.is_variadic:
        padded = tuple(inputs)
        if "" in padded:
            raise _Opaque
    else:
        if len(inputs) > operator.num_inputs or not all(inputs[: operator.num_required]):
            raise _Opaque
        padded = (*inputs, *([""] * (operator.num_inputs - len(inputs))))
    if set(attributes) != {column.name for column in operator.attributes}:
        raise _Opaque
    return Node(
        operator=operator.name,
        inputs=padded,
        outputs=outputs[: operator.num_outputs] if operator.num_outputs else outputs,
        attributes={column.name: attributes[column.name] for column in operator.attributes},
        name=node.name or "",
        source=node,
    )


def _python_value(attribute: onnx_ir.Attr) -> AttributeValue:
    match attribute.type:
        case onnx_ir.AttributeType.INT:
            return attribute.as_int()
        case onnx_ir.AttributeType.FLOAT:
            return attribute.as_float()
        case onnx_ir.AttributeType.STRING:
            return attribute.as_string()
        case onnx_ir.AttributeType.INTS:
            return tuple(attribute.as_ints())
        case _:
            raise _Opaque


def _given_attributes(
    node: onnx_ir.Node,
    operator: Operator,
    opset: int,
    handled: frozenset[str] = frozenset(),
) -> tuple[Attributes, onnx.defs.OpSchema | None]:
    """Attributes the node states, those without an effect left out."""
    schema = schema_of(operator, opset)
    if schema is None and not operator.is_provider:
        raise _Opaque
    columns = {column.name for column in operator.attributes}
    given: Attributes = {}
    for name, attribute in node.attributes.items():
        if attribute.is_ref():
            raise _Opaque
        if name in operator.ignored and name not in columns and name not in handled:
            allowed = operator.ignored[name]
            if allowed is not None and _python_value(attribute) != allowed:
                raise _Opaque
            continue
        if name in columns or name in handled or _is_old_input(name, operator):
            given[name] = _python_value(attribute)
        elif schema is None or not _is_schema_default(schema, name, attribute):
            raise _Opaque
    return given, schema


def _is_schema_default(schema: onnx.defs.OpSchema, name: str, attribute: onnx_ir.Attr) -> bool:
    described = schema.attributes.get(name)
    if described is None or not described.default_value.name:
        return False
    default = onnx.helper.get_attribute_value(described.default_value)
    if isinstance(default, bytes):
        default = default.decode()
    value = _python_value(attribute)
    return bool(value == (tuple(default) if isinstance(default, list) else default))


def _is_old_input(name: str, operator: Operator) -> bool:
    return (operator.name, name) in {("Clip", "min"), ("Clip", "max")}


def _generic(
    node: onnx_ir.Node,
    operator: Operator,
    opset: int,
    context: Context,
    handled: frozenset[str] = frozenset(),
) -> tuple[list[str], Attributes]:
    """Split what the node says into tensor inputs and attributes, wherever the opset keeps them."""
    given, schema = _given_attributes(node, operator, opset, handled)
    names = [_name(value) for value in node.inputs]
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
            attributes[column.name] = _normal_axes(value, column.kind, names[0] if names else "", context)
    attributes.update(given)
    return inputs, attributes


_MANY: Final = frozenset({Kind.INTS, Kind.DIMS, Kind.AXES, Kind.LASTS})


def _single(values: tuple[int, ...]) -> int:
    if len(values) != 1:
        raise _Opaque
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
    dtype = onnx_ir.DataType(context.type(_name(node.inputs[0])).dtype).numpy()
    constant = context.add_constant(f"{_name(node.outputs[0])}/{name}", np.array(value, dtype=dtype))
    padded = inputs + [""] * (position + 1 - len(inputs))
    padded[position] = constant
    return padded


def _normal_axes(value: AttributeValue, kind: Kind, first: str, context: Context) -> AttributeValue:
    if kind not in {Kind.AXIS, Kind.LAST, Kind.AXES, Kind.LASTS}:
        return value
    rank = context.type(first).rank
    axes = value if isinstance(value, tuple) else (value,)
    normal: list[int] = []
    for axis in axes:
        if not isinstance(axis, int) or not -rank <= axis < max(rank, 1):
            raise _Opaque
        front = axis % rank if rank else 0
        normal.append(front if kind in {Kind.AXIS, Kind.AXES} else front - rank)
    if kind is Kind.LASTS:
        normal.sort()
    return tuple(normal) if isinstance(value, tuple) else normal[0]


# --- operators that need more than the table says -------------------------------------------------------------


def _spatial(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    """Convolutions and pools: strides, pads and dilations written out, ``auto_pad`` resolved."""
    extra = frozenset({"auto_pad", "kernel_shape", "output_shape"})
    inputs, attributes = _generic(node, operator, opset, context, extra)
    source = context.type(inputs[0])
    rank = source.rank - 2
    auto_pad = attributes.pop("auto_pad", "NOTSET")
    is_pool = any(column.name == "kernel_shape" for column in operator.attributes)
    kernel = attributes.get("kernel_shape")
    if not is_pool:
        weight_position = 3 if operator.name == "QLinearConv" else 1
        weight = context.type(inputs[weight_position]).shape
        attributes.pop("kernel_shape", None)
        if kernel is not None and kernel != weight[2:]:
            raise _Opaque
        kernel = weight[2:]
    if not isinstance(kernel, tuple) or len(kernel) != rank or min(kernel, default=1) < 1 or rank < 1:
        raise _Opaque
    strides = attributes.setdefault("strides", (1,) * rank)
    dilations = attributes.setdefault("dilations", (1,) * rank)
    if "output_shape" in attributes:
        raise _Opaque
    if operator.name == "ConvTranspose":
        attributes.setdefault("output_padding", (0,) * rank)
    if auto_pad in {"NOTSET", "VALID"}:
        attributes.setdefault("pads", (0,) * (2 * rank))
        if auto_pad == "VALID" and any(_tuple(attributes["pads"])):
            raise _Opaque
    elif operator.name == "ConvTranspose" or auto_pad not in {"SAME_UPPER", "SAME_LOWER"}:
        raise _Opaque
    else:
        begin, end = [], []
        for dim, stride, size, dilation in zip(
            source.shape[2:],
            _tuple(strides),
            kernel,
            _tuple(dilations),
            strict=True,
        ):
            if dim < 0:
                raise _Opaque
            total = max((-(-dim // stride) - 1) * stride + (size - 1) * dilation + 1 - dim, 0)
            small, large = total // 2, total - total // 2
            begin.append(small if auto_pad == "SAME_UPPER" else large)
            end.append(large if auto_pad == "SAME_UPPER" else small)
        attributes["pads"] = (*begin, *end)
    return inputs, attributes


def _tuple(value: AttributeValue) -> tuple[int, ...]:
    if not isinstance(value, tuple):
        raise _Opaque
    return value


_RESHAPES: Final = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten"})


def _writable_shape(shape: Sequence[int], context: Context) -> tuple[int, ...]:
    """A shape that can be written as a Reshape's or Expand's target when its input is gone."""
    unknown = [dim for dim in shape if dim < 0]
    if len(unknown) > 1 and not all(dim in context.backed_symbols for dim in unknown):
        raise _Opaque
    return tuple(shape)


def _reshape(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    """Reshape, Squeeze, Unsqueeze and Flatten all say: the same elements in this shape."""
    del operator, opset
    shape = context.type(_name(node.outputs[0])).shape
    context.type(_name(node.inputs[0]))
    return [_name(node.inputs[0])], {"shape": _writable_shape(shape, context)}


def _expand(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    """Expand to the shape that comes out, not to the one that was asked for."""
    del operator, opset
    shape = context.type(_name(node.outputs[0])).shape
    if not all(dim >= 0 or dim in context.backed_symbols for dim in shape):
        raise _Opaque
    return [_name(node.inputs[0])], {"shape": shape}


def _transpose(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    inputs, attributes = _generic(node, operator, opset, context)
    rank = context.type(inputs[0]).rank
    perm = _tuple(attributes.setdefault("perm", tuple(reversed(range(rank)))))
    if sorted(perm) != list(range(rank)):
        raise _Opaque
    return inputs, attributes


def _split(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    """Sizes of the pieces, from wherever they are given, or from the pieces' own types."""
    given, _ = _given_attributes(node, operator, opset, frozenset({"num_outputs"}))
    source = _name(node.inputs[0])
    axis = _normal_axes(given.get("axis", 0), Kind.AXIS, source, context)
    if not isinstance(axis, int):
        raise _Opaque
    sizes = tuple(context.type(_name(output)).shape[axis] for output in node.outputs)
    if any(size < 0 for size in sizes):
        raise _Opaque
    return [source], {"axis": axis, "split": sizes}


def _slice(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    """Bounds clamped to the dimension where it is known, axes ascending, every axis once."""
    inputs, attributes = _generic_slice(node, operator, opset, context)
    shape = context.type(inputs[0]).shape
    starts, ends = _tuple(attributes["starts"]), _tuple(attributes["ends"])
    axes, steps = _tuple(attributes["axes"]), _tuple(attributes["steps"])
    if not len(starts) == len(ends) == len(axes) == len(steps) or len(set(axes)) != len(axes) or 0 in steps:
        raise _Opaque
    rows = []
    for axis, start, end, step in sorted(zip(axes, starts, ends, steps, strict=True)):
        low, high = start, end
        if shape[axis] >= 0 and step > 0:
            low, high = (
                min(max(bound + shape[axis] if bound < 0 else bound, 0), shape[axis]) for bound in (start, end)
            )
        elif step > 0 and end > 2**31 - 2:
            high = INT64_MAX
        rows.append((axis, low, high, step))
    columns = list(zip(*rows, strict=True)) if rows else [(), (), (), ()]
    return inputs, {"starts": columns[1], "ends": columns[2], "axes": columns[0], "steps": columns[3]}


def _generic_slice(
    node: onnx_ir.Node,
    operator: Operator,
    opset: int,
    context: Context,
) -> tuple[list[str], Attributes]:
    inputs, attributes = _generic(node, operator, opset, context)
    count = len(_tuple(attributes["starts"]))
    attributes.setdefault("axes", tuple(range(count)))
    attributes.setdefault("steps", (1,) * count)
    return inputs, attributes


def _reduce(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    """No axes means all axes, unless it means none."""
    if len(node.inputs) > 1 and node.inputs[1] is not None and _name(node.inputs[1]) not in context.constants:
        raise _Opaque
    inputs, attributes = _generic(node, operator, opset, context, frozenset({"noop_with_empty_axes"}))
    is_noop = attributes.pop("noop_with_empty_axes", 0)
    if not attributes.get("axes"):
        if is_noop:
            raise _Opaque
        attributes["axes"] = tuple(range(-context.type(inputs[0]).rank, 0))
    return inputs, attributes


def _softmax(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    """Before opset 13 the input was flattened at the axis: the same thing only for the last one."""
    if opset >= 13:  # noqa: PLR2004
        return _generic(node, operator, opset, context)
    given, _ = _given_attributes(node, operator, opset)
    source = _name(node.inputs[0])
    axis = _normal_axes(given.get("axis", 1), Kind.LAST, source, context)
    if axis != -1:
        raise _Opaque
    return [source], {"axis": axis}


def _pad(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    """Pads of every axis, whichever axes are named."""
    given, schema = _given_attributes(node, operator, opset, frozenset({"value", "paddings"}))
    names = [_name(value) for value in node.inputs]
    source = names[0]
    rank = context.type(source).rank
    if schema is not None and "pads" in schema.attributes:
        dtype = onnx_ir.DataType(context.type(source).dtype).numpy()
        constant = context.add_constant(f"{_name(node.outputs[0])}/value", np.array(given.get("value", 0.0), dtype))
        return [source, constant], {"mode": given.get("mode", "constant"), "pads": _tuple(given.get("pads", ()))}
    pads = context.integers(names[1])
    if len(names) > 3 and names[3]:  # noqa: PLR2004
        axes = _tuple(_normal_axes(context.integers(names[3]), Kind.AXES, source, context))
        full = [0] * (2 * rank)
        for position, axis in enumerate(axes):
            full[axis] = pads[position]
            full[axis + rank] = pads[position + len(axes)]
        pads = tuple(full)
    if len(pads) != 2 * rank:
        raise _Opaque
    value = [names[2]] if len(names) > 2 and names[2] else []  # noqa: PLR2004
    return [source, *value], {"mode": given.get("mode", "constant"), "pads": pads}


def _constant_of_shape(
    node: onnx_ir.Node,
    operator: Operator,
    opset: int,
    context: Context,
) -> tuple[list[str], Attributes]:
    del operator, opset
    shape = context.integers(_name(node.inputs[0]))
    value, dtype = 0.0, int(onnx_ir.DataType.FLOAT)
    if "value" in node.attributes:
        tensor = node.attributes["value"].as_tensor()
        array = tensor.numpy().reshape(-1)
        dtype = int(tensor.dtype)
        if array.size != 1 or array.dtype.kind not in "fiub" or float(array[0]) != array[0]:
            raise _Opaque
        value = float(array[0])
    return [], {"shape": shape, "value": value, "dtype": dtype}


def _eye_like(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    inputs, attributes = _generic(node, operator, opset, context)
    attributes.setdefault("dtype", context.type(inputs[0]).dtype)
    return inputs, attributes


def _shape(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    inputs, attributes = _generic(node, operator, opset, context)
    rank = context.type(inputs[0]).rank
    for name in ("start", "end"):
        bound = attributes[name]
        if isinstance(bound, int):
            attributes[name] = min(max(bound + rank if bound < 0 else bound, 0), rank)
    return inputs, attributes


_Special: TypeAlias = Callable[[onnx_ir.Node, Operator, int, Context], tuple[list[str], Attributes]]

_SPECIAL: Final[Mapping[str, _Special]] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool", "QLinearConv"), _spatial),
    **dict.fromkeys(
        (name for (domain, name) in BY_ONNX_NAME if name.startswith("Reduce") and not domain),
        _reduce,
    ),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _softmax),
    "Reshape": _reshape,
    "Expand": _expand,
    "Transpose": _transpose,
    "Split": _split,
    "Slice": _slice,
    "Pad": _pad,
    "ConstantOfShape": _constant_of_shape,
    "EyeLike": _eye_like,
    "Shape": _shape,
}
