"""The normal forms that need more than the operator table says."""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import onnx_ir

from ir.graph import AttributeValue
from ir.normal_form import Attributes, Context, OpaqueError, generic, given_attributes, normal_axes, value_name
from ir.operators import BY_ONNX_NAME, Kind, Operator

if TYPE_CHECKING:
    from collections.abc import Sequence

INT64_MAX: Final = 2**63 - 1


def _spatial(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    """Convolutions and pools: strides, pads and dilations written out, ``auto_pad`` resolved."""
    extra = frozenset({"auto_pad", "kernel_shape", "output_shape"})
    inputs, attributes = generic(node, operator, opset, context, extra)
    source = context.type(inputs[0])
    rank = source.rank - 2
    auto_pad = attributes.pop("auto_pad", "NOTSET")
    if auto_pad != "NOTSET" and attributes.get("ceil_mode"):
        raise OpaqueError
    is_pool = any(column.name == "kernel_shape" for column in operator.attributes)
    kernel = attributes.get("kernel_shape")
    if not is_pool:
        weight_position = 3 if operator.name == "QLinearConv" else 1
        weight = context.type(inputs[weight_position]).shape
        attributes.pop("kernel_shape", None)
        if kernel is not None and kernel != weight[2:]:
            raise OpaqueError
        kernel = weight[2:]
    if not isinstance(kernel, tuple) or len(kernel) != rank or min(kernel, default=1) < 1 or rank < 1:
        raise OpaqueError
    strides = attributes.setdefault("strides", (1,) * rank)
    dilations = attributes.setdefault("dilations", (1,) * rank)
    if "output_shape" in attributes or any(len(_tuple(each)) != rank for each in (strides, dilations)):
        raise OpaqueError
    if operator.name == "ConvTranspose":
        attributes.setdefault("output_padding", (0,) * rank)
    if auto_pad in {"NOTSET", "VALID"}:
        attributes.setdefault("pads", (0,) * (2 * rank))
        if auto_pad == "VALID" and any(_tuple(attributes["pads"])):
            raise OpaqueError
    elif operator.name == "ConvTranspose" or auto_pad not in {"SAME_UPPER", "SAME_LOWER"}:
        raise OpaqueError
    else:
        begin, end = [], []
        for dim, stride, size, dilation in zip(
            source.shape[2:],
            _tuple(strides),
            kernel,
            _tuple(dilations),
            strict=True,
        ):
            if dim < 0 or stride < 1:
                raise OpaqueError
            total = max((-(-dim // stride) - 1) * stride + (size - 1) * dilation + 1 - dim, 0)
            small, large = total // 2, total - total // 2
            begin.append(small if auto_pad == "SAME_UPPER" else large)
            end.append(large if auto_pad == "SAME_UPPER" else small)
        attributes["pads"] = (*begin, *end)
    return inputs, attributes


def _tuple(value: AttributeValue) -> tuple[int, ...]:
    if not isinstance(value, tuple):
        raise OpaqueError
    return value


RESHAPES: Final = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten"})


def _writable_shape(shape: Sequence[int], context: Context) -> tuple[int, ...]:
    """A shape that can be written as a Reshape's target when its input is gone: one dimension may be left to -1."""
    unknown = [dim for dim in shape if dim < 0]
    if len(unknown) > 1 and sum(dim not in context.backed_symbols for dim in unknown) > 1:
        raise OpaqueError
    if unknown and 0 in shape:  # -1 has no meaning beside a dimension of size 0
        raise OpaqueError
    return tuple(shape)


def _reshape(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    """Reshape, Squeeze, Unsqueeze and Flatten all say: the same elements in this shape."""
    del operator, opset
    shape = context.type(value_name(node.outputs[0])).shape
    context.type(value_name(node.inputs[0]))
    return [value_name(node.inputs[0])], {"shape": _writable_shape(shape, context)}


def _expand(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    """Expand to the shape that comes out, not to the one that was asked for."""
    del operator, opset
    shape = context.type(value_name(node.outputs[0])).shape
    if not all(dim >= 0 or dim in context.backed_symbols for dim in shape):
        raise OpaqueError
    return [value_name(node.inputs[0])], {"shape": shape}


def _transpose(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    inputs, attributes = generic(node, operator, opset, context)
    rank = context.type(inputs[0]).rank
    perm = _tuple(attributes.setdefault("perm", tuple(reversed(range(rank)))))
    if sorted(perm) != list(range(rank)):
        raise OpaqueError
    return inputs, attributes


def _split(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    """Sizes of the pieces, from wherever they are given, or from the pieces' own types."""
    given, _ = given_attributes(node, operator, opset, frozenset({"num_outputs"}))
    source = value_name(node.inputs[0])
    axis = normal_axes(given.get("axis", 0), Kind.AXIS, source, context)
    if not isinstance(axis, int):
        raise OpaqueError
    sizes = tuple(context.type(value_name(output)).shape[axis] for output in node.outputs)
    if any(size < 0 for size in sizes):
        raise OpaqueError
    return [source], {"axis": axis, "split": sizes}


def _slice(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    """Bounds clamped to the dimension where it is known, axes ascending, every axis once."""
    inputs, attributes = _generic_slice(node, operator, opset, context)
    shape = context.type(inputs[0]).shape
    starts, ends = _tuple(attributes["starts"]), _tuple(attributes["ends"])
    axes, steps = _tuple(attributes["axes"]), _tuple(attributes["steps"])
    if not len(starts) == len(ends) == len(axes) == len(steps) or len(set(axes)) != len(axes) or 0 in steps:
        raise OpaqueError
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
    inputs, attributes = generic(node, operator, opset, context)
    count = len(_tuple(attributes["starts"]))
    attributes.setdefault("axes", tuple(range(count)))
    attributes.setdefault("steps", (1,) * count)
    return inputs, attributes


def _reduce(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    """No axes means all axes, unless it means none."""
    if len(node.inputs) > 1 and node.inputs[1] is not None and value_name(node.inputs[1]) not in context.constants:
        raise OpaqueError
    inputs, attributes = generic(node, operator, opset, context, frozenset({"noop_with_empty_axes"}))
    is_noop = attributes.pop("noop_with_empty_axes", 0)
    if not attributes.get("axes"):
        if is_noop:
            raise OpaqueError
        attributes["axes"] = tuple(range(-context.type(inputs[0]).rank, 0))
    return inputs, attributes


def _softmax(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    """Before opset 13 the input was flattened at the axis: the same thing only for the last one."""
    if opset >= 13:
        return generic(node, operator, opset, context)
    given, _ = given_attributes(node, operator, opset)
    source = value_name(node.inputs[0])
    axis = normal_axes(given.get("axis", 1), Kind.LAST, source, context)
    if axis != -1:
        raise OpaqueError
    return [source], {"axis": axis}


def _pad(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    """Pads of every axis, whichever axes are named."""
    given, schema = given_attributes(node, operator, opset, frozenset({"value", "paddings"}))
    names = [value_name(value) for value in node.inputs]
    source = names[0]
    rank = context.type(source).rank
    if schema is not None and "pads" in schema.attributes:
        dtype = onnx_ir.DataType(context.type(source).dtype).numpy()
        fill = np.array(given.get("value", 0.0), dtype)
        constant = context.add_constant(f"{value_name(node.outputs[0])}/value", fill)
        return [source, constant], {"mode": given.get("mode", "constant"), "pads": _tuple(given.get("pads", ()))}
    pads = context.integers(names[1])
    if len(pads) % 2:
        raise OpaqueError
    if len(names) > 3 and names[3]:
        axes = _tuple(normal_axes(context.integers(names[3]), Kind.AXES, source, context))
        full = [0] * (2 * rank)
        for position, axis in enumerate(axes):
            full[axis] = pads[position]
            full[axis + rank] = pads[position + len(axes)]
        pads = tuple(full)
    if len(pads) != 2 * rank:
        raise OpaqueError
    value = [names[2]] if len(names) > 2 and names[2] else []
    return [source, *value], {"mode": given.get("mode", "constant"), "pads": pads}


def _constant_of_shape(
    node: onnx_ir.Node,
    operator: Operator,
    opset: int,
    context: Context,
) -> tuple[list[str], Attributes]:
    del operator, opset
    shape = context.integers(value_name(node.inputs[0]))
    value, dtype = 0.0, int(onnx_ir.DataType.FLOAT)
    if "value" in node.attributes:
        tensor = node.attributes["value"].as_tensor()
        array = tensor.numpy().reshape(-1)
        dtype = int(tensor.dtype)
        if array.size != 1 or array.dtype.kind not in "fiub":
            raise OpaqueError
        value = float(array[0])
        is_negative_zero = value == 0 and math.copysign(1, value) < 0
        if is_negative_zero or not math.isfinite(value) or int(value) != int(array[0]):
            raise OpaqueError
    return [], {"shape": shape, "value": value, "dtype": dtype}


def _eye_like(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    inputs, attributes = generic(node, operator, opset, context)
    attributes.setdefault("dtype", context.type(inputs[0]).dtype)
    return inputs, attributes


def _dropout(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    """Dropout outside of training."""
    inputs, attributes = generic(node, operator, opset, context)
    mode = inputs[2] if len(inputs) > 2 else ""
    if mode and (mode not in context.constants or bool(context.constants[mode].numpy().any())):
        raise OpaqueError
    return inputs, attributes


def _batch_norm(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    """BatchNormalization outside of training, of which further outputs are a sign."""
    if any(value_name(value) for value in node.outputs[1:]):
        raise OpaqueError
    return generic(node, operator, opset, context)


def _shape(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    inputs, attributes = generic(node, operator, opset, context)
    rank = context.type(inputs[0]).rank
    for name in ("start", "end"):
        bound = attributes[name]
        if isinstance(bound, int):
            attributes[name] = min(max(bound + rank if bound < 0 else bound, 0), rank)
    return inputs, attributes


def _einsum(node: onnx_ir.Node, operator: Operator, opset: int, context: Context) -> tuple[list[str], Attributes]:
    """The equation with its result written out, in the letters a, b, c and so on, in the order in which they come."""
    inputs, attributes = generic(node, operator, opset, context)
    equation = str(attributes["equation"]).replace(" ", "")
    if "." in equation:
        return inputs, attributes
    factors, arrow, result = equation.partition("->")
    if not arrow:
        result = "".join(sorted(letter for letter in set(factors) - {","} if factors.count(letter) == 1))
    names = dict.fromkeys(letter for letter in factors if letter != ",")
    letters = str.maketrans(dict(zip(names, string.ascii_lowercase + string.ascii_uppercase, strict=False)))
    attributes["equation"] = f"{factors}->{result}".translate(letters)
    return inputs, attributes


_Special: TypeAlias = Callable[[onnx_ir.Node, Operator, int, Context], tuple[list[str], Attributes]]

SPECIAL: Final[Mapping[str, _Special]] = {
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
    "Dropout": _dropout,
    "BatchNormalization": _batch_norm,
    "ConstantOfShape": _constant_of_shape,
    "EyeLike": _eye_like,
    "Shape": _shape,
    "Einsum": _einsum,
}
