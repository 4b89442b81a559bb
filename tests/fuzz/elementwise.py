"""Random nodes: operators that work element by element, and the reductions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import numpy as np

from tests.fuzz.growing import (
    ANY,
    BOOL,
    F16,
    F32,
    FLOATS,
    I32,
    I64,
    INTEGERS,
    NUMBERS,
    SIGNED,
    U8,
    U32,
    U64,
    Content,
    Growing,
    RefusedError,
    numpy_type,
)

Row: TypeAlias = Callable[[Growing], object]
"""Adds one node of an operator, or some that belong together."""

_ALPHAS: Final = (0.0, 0.01, 0.5, 1.0, 2.0, -0.3)


def unary(op_type: str, grow: Growing, dtypes: Sequence[int] = FLOATS, **attributes: Sequence[Any]) -> None:
    """Add a node of one input; each attribute is left out or takes one of its values."""
    chosen: dict[str, Any] = {
        name: grow.one_of(values) if grow.chance(0.6) else None for name, values in attributes.items()
    }
    grow.add(op_type, [grow.pick(dtypes)], **chosen)


def binary(op_type: str, grow: Growing, dtypes: Sequence[int] = NUMBERS, **attributes: Sequence[Any]) -> None:
    """Add a node of two inputs that broadcast, in either order."""
    one = grow.pick(dtypes)
    content = Content.POSITIVE if op_type in {"Div", "Mod"} else Content.DATA
    pair = [one, grow.partner(grow.values[one], content=content)]
    if content is Content.DATA and grow.chance(0.5):
        pair.reverse()
    chosen: dict[str, Any] = {
        name: grow.one_of(values) if grow.chance(0.6) else None for name, values in attributes.items()
    }
    grow.add(op_type, pair, **chosen)


def variadic(op_type: str, grow: Growing, dtypes: Sequence[int] = FLOATS) -> None:
    """Add a node of one to four inputs that broadcast."""
    first = grow.pick(dtypes)
    type_ = grow.values[first]
    grow.add(op_type, [first, *(grow.partner(type_) for _ in range(grow.between(0, 3)))])


def _mod(grow: Growing) -> None:
    one = grow.pick((F32, I32, I64))
    is_float = grow.values[one].dtype == F32
    grow.add("Mod", [one, grow.partner(grow.values[one], content=Content.POSITIVE)], fmod=1 if is_float else None)


def _power(grow: Growing) -> None:
    one = grow.pick(FLOATS)
    kind = numpy_type(grow.values[one].dtype)
    exponent = np.asarray(grow.one_of((0.0, 0.5, 1.0, 2.0, 3.0, -1.0, -2.0, 1.5))).astype(kind)
    grow.add("Pow", [one, grow.constant(exponent)])


def _shift(grow: Growing) -> None:
    one = grow.pick((U8, U32, U64))
    grow.add("BitShift", [one, grow.partner(grow.values[one])], direction=grow.one_of(("LEFT", "RIGHT")))


def _parametric(grow: Growing) -> None:
    one = grow.pick(FLOATS, (1, 5))
    type_ = grow.values[one]
    slope = grow.one_of((type_.dims[-1:], (1,), ()))
    grow.add("PRelu", [one, grow.leaf(type_.dtype, tuple(1 if dim is None else dim for dim in slope), constant=0.9)])


def _where(grow: Growing) -> None:
    one = grow.pick((*FLOATS, I64, I32))
    type_ = grow.values[one]
    grow.add("Where", [grow.partner(type_, BOOL), one, grow.partner(type_)])


def _clip(grow: Growing) -> None:
    one = grow.pick((*FLOATS, I32))
    kind = numpy_type(grow.values[one].dtype)
    low, high = sorted(grow.rng.integers(-3, 7, 2).tolist())
    if grow.opset < 11:
        if grow.values[one].dtype == I32:
            raise RefusedError("floats only")
        grow.add("Clip", [one], min=float(low), max=float(high))
        return
    ends = [grow.constant(np.array(end, kind)) if grow.chance(0.8) else "" for end in (low, high)]
    while ends and not ends[-1]:
        ends.pop()
    grow.add("Clip", [one, *ends])


def _cast(grow: Growing) -> None:
    grow.add("Cast", [grow.pick(ANY)], to=grow.dtype((*FLOATS, *INTEGERS, BOOL)))


def _cast_like(grow: Growing) -> None:
    grow.add("CastLike", [grow.pick(ANY), grow.pick(ANY)])


def _dropout(grow: Growing) -> None:
    has_mask = grow.chance(0.3)
    grow.add("Dropout", [grow.pick(FLOATS)], outputs=2 if has_mask else 1, unused=() if grow.chance(0.7) else (1,))


def _affine(grow: Growing) -> None:
    """``x * c + d`` and the like, three in a row: what rules that merge constants look for."""
    value = grow.pick(FLOATS)
    for _ in range(grow.between(2, 4)):
        type_ = grow.values[value]
        constant = grow.leaf(type_.dtype, grow.one_of(((), (1,), type_.sizes[-1:])), constant=1.0)
        op_type = grow.one_of(("Mul", "Mul", "Add", "Div", "Sub"))
        pair = [value, constant] if op_type in {"Div", "Sub"} or grow.chance(0.7) else [constant, value]
        (value,) = grow.add(op_type, pair)


def _there_and_back(grow: Growing) -> None:
    """Two operators that undo each other, or nearly."""
    value = grow.pick(FLOATS)
    pairs = (
        ("Exp", "Log"),
        ("Neg", "Neg"),
        ("Sqrt", "Abs"),
        ("Reciprocal", "Reciprocal"),
        ("Relu", "Relu"),
        ("Abs", "Abs"),
    )
    for op_type in grow.one_of(pairs):
        (value,) = grow.add(op_type, [value])


def reduction(op_type: str, grow: Growing, dtypes: Sequence[int] = FLOATS) -> None:
    """Add a reduction over some axes, all, or none."""
    source = grow.pick(dtypes, (0, 5))
    rank = grow.values[source].rank
    axes = [int(axis) for axis in grow.rng.permutation(rank)[: grow.between(0, rank)]]
    axes = [axis - rank if grow.chance(0.4) else axis for axis in axes]
    attributes: dict[str, Any] = {"keepdims": grow.one_of((0, 1, None))}
    inputs = [source]
    since = 13 if op_type == "ReduceSum" else 18
    if axes and grow.opset < since:
        attributes["axes"] = axes if grow.opset >= 11 else [axis % rank for axis in axes]
    elif axes:
        inputs.append(grow.constant(axes))
    if not axes and grow.opset >= since and grow.chance(0.3):
        attributes["noop_with_empty_axes"] = 1
    grow.add(op_type, inputs, **attributes)


def _extremum(op_type: str, grow: Growing) -> None:
    source = grow.pick((F32, I32), (1, 5))
    rank = grow.values[source].rank
    last = grow.one_of((0, 1)) if grow.opset >= 12 and grow.chance(0.3) else None
    grow.add(op_type, [source], axis=grow.between(0, rank - 1), keepdims=grow.one_of((0, 1)), select_last_index=last)


def _cumulative(grow: Growing) -> None:
    source = grow.pick((F32, I32, I64), (1, 5))
    axis = grow.constant(np.array(grow.between(-1, grow.values[source].rank - 1), np.int64))
    grow.add("CumSum", [source, axis], exclusive=grow.one_of((0, 1, None)), reverse=grow.one_of((0, 1, None)))


def _top(grow: Growing) -> None:
    source = grow.pick((F32, I64), (1, 5), lambda type_: isinstance(type_.dims[-1], int) and type_.dims[-1] > 0)
    size = grow.values[source].dims[-1]
    count = grow.between(1, size if isinstance(size, int) else 1)
    unused = grow.one_of(((), (), (0,), (1,)))
    grow.add("TopK", [source, grow.constant([count])], outputs=2, unused=unused, largest=grow.one_of((0, 1)))


_PLAIN: Final = (
    "Neg Ceil Floor Exp Log Sqrt Reciprocal Sigmoid Tanh Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Erf "
    "Round Softplus Softsign HardSwish Mish Abs Relu Identity"
)

ROWS: Final[Mapping[str, Row]] = {
    **{name: partial(unary, name) for name in _PLAIN.split()},
    "Sign": partial(unary, "Sign", dtypes=NUMBERS),
    "IsNaN": partial(unary, "IsNaN", dtypes=(F32, F16)),
    "IsInf": partial(unary, "IsInf", dtypes=(F32,), detect_negative=(0, 1), detect_positive=(0, 1)),
    "Elu": partial(unary, "Elu", alpha=_ALPHAS),
    "Celu": partial(unary, "Celu", dtypes=(F32,), alpha=(0.5, 2.0)),
    "LeakyRelu": partial(unary, "LeakyRelu", alpha=_ALPHAS),
    "ThresholdedRelu": partial(unary, "ThresholdedRelu", alpha=_ALPHAS),
    "Selu": partial(unary, "Selu", gamma=_ALPHAS),
    "HardSigmoid": partial(unary, "HardSigmoid", alpha=_ALPHAS, beta=_ALPHAS),
    "Shrink": partial(unary, "Shrink", dtypes=(F32, I32), bias=(0.0, 0.5), lambd=(0.5, 1.0)),
    "Gelu": partial(unary, "Gelu", approximate=("none", "tanh")),
    "Swish": partial(unary, "Swish", alpha=(1.0, 1.702)),
    "Not": partial(unary, "Not", dtypes=(BOOL,)),
    "BitwiseNot": partial(unary, "BitwiseNot", dtypes=INTEGERS),
    "Size": partial(unary, "Size", dtypes=ANY),
    "NonZero": partial(unary, "NonZero", dtypes=(F32, I64, BOOL)),
    **{name: partial(binary, name) for name in ("Add", "Sub", "Mul", "Div")},
    **{name: partial(binary, name, dtypes=(BOOL,)) for name in ("And", "Or", "Xor")},
    "Equal": partial(binary, "Equal", dtypes=(F32, I64, I32, BOOL)),
    **{name: partial(binary, name, dtypes=NUMBERS) for name in ("Greater", "Less", "GreaterOrEqual", "LessOrEqual")},
    **{f"Bitwise{name}": partial(binary, f"Bitwise{name}", dtypes=INTEGERS) for name in ("And", "Or", "Xor")},
    **{name: partial(variadic, name) for name in ("Sum", "Mean")},
    **{name: partial(variadic, name, dtypes=(*FLOATS, *SIGNED)) for name in ("Max", "Min")},
    "Mod": _mod,
    "Pow": _power,
    "BitShift": _shift,
    "PRelu": _parametric,
    "Where": _where,
    "Clip": _clip,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Dropout": _dropout,
    **{
        f"Reduce{name}": partial(reduction, f"Reduce{name}", dtypes=(F32, F16, I32, I64))
        for name in ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")
    },
    **{name: partial(_extremum, name) for name in ("ArgMax", "ArgMin")},
    "CumSum": _cumulative,
    "TopK": _top,
    "affine": _affine,
    "there and back": _there_and_back,
}
"""Rows by operator; a name in small letters is a group of nodes."""
