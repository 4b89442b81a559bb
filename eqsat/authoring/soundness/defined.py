"""Nodes that have no result although their types fit: ONNX does not say what comes out, or forbids it in words only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from eqsat.authoring.soundness.evaluator import UnevaluableError

if TYPE_CHECKING:
    from ir.graph import AttributeValue

_Inputs: TypeAlias = "Sequence[np.ndarray | None]"
_Attributes: TypeAlias = "Mapping[str, AttributeValue]"


def check_defined(operator: str, attributes: _Attributes, inputs: _Inputs) -> None:
    """Check that ONNX says what comes out of a node.

    Raises:
        UnevaluableError: It does not.
    """
    check = _CHECKS.get(operator)
    if check is not None and inputs and inputs[0] is not None:
        check(attributes, inputs)


def check_runtime(operator: str, inputs: _Inputs) -> None:
    """Check that ONNX Runtime gives what ONNX says.

    Raises:
        UnevaluableError: It is known not to: it keeps the shape of an empty tensor that it reduces, and a convolution
            of no channels never ends.
    """
    weights = inputs[1] if operator in _CONVOLUTIONS and len(inputs) > 1 else None
    if weights is not None and not weights.size:
        raise UnevaluableError(f"{operator} of no channels in ONNX Runtime")
    if operator.startswith("Reduce") and inputs[0] is not None and not inputs[0].size:
        raise UnevaluableError(f"{operator} of an empty tensor in ONNX Runtime")


_CONVOLUTIONS: Final = frozenset({"Conv", "ConvTranspose"})


def check_reference(operator: str, inputs: _Inputs) -> None:
    """Check that ONNX's reference implementation gives what ONNX says.

    Raises:
        UnevaluableError: It is known not to: its pools take NaN for padding, its recurrent operators read no lengths,
            and integers become floating-point numbers within some operators.
    """
    if operator in _FLOATING and any(each is not None and _is_large_integer(each) for each in inputs):
        raise UnevaluableError(f"{operator} of large integers in the reference implementation")
    if operator in _POOLS and inputs[0] is not None and bool(np.isnan(inputs[0]).any()):
        raise UnevaluableError(f"{operator} of NaN in the reference implementation")
    lengths = inputs[4] if operator in _RECURRENT and len(inputs) > 4 else None
    if lengths is not None and inputs[0] is not None and bool((lengths != inputs[0].shape[0]).any()):
        raise UnevaluableError(f"{operator} of several lengths in the reference implementation")


def _division(attributes: _Attributes, inputs: _Inputs) -> None:
    del attributes
    dividend, divisor = inputs[:2]
    if dividend is None or divisor is None or dividend.dtype.kind not in "iu":
        return
    if bool((divisor == 0).any()):
        raise UnevaluableError("a division of integers by zero")
    lowest = np.iinfo(dividend.dtype).min
    if lowest < 0 and bool((dividend == lowest).any() and (divisor == -1).any()):
        raise UnevaluableError("a division of integers beyond their range")


def _power(attributes: _Attributes, inputs: _Inputs) -> None:
    del attributes
    base, exponent = inputs[:2]
    if base is not None and exponent is not None and base.dtype.kind in "iu" and bool((exponent < 0).any()):
        raise UnevaluableError("an integer to a power below zero")


def _cast(attributes: _Attributes, inputs: _Inputs) -> None:
    target, source = attributes.get("to"), inputs[0]
    if source is None or source.dtype.kind != "f" or not isinstance(target, int) or target not in _INTEGER_RANGES:
        return
    low, high = _INTEGER_RANGES[target]
    wide = source.astype(np.float64)
    if not bool(((wide > low) & (wide < high)).all()):
        raise UnevaluableError("a cast of a number beyond the range of integers")


def _attention(attributes: _Attributes, inputs: _Inputs) -> None:
    del attributes
    query, key, value = inputs[:3]
    if query is None or key is None or value is None or not query.ndim == key.ndim == value.ndim == 4:
        return
    if not query.shape[0] == key.shape[0] == value.shape[0] or key.shape[1:3] != value.shape[1:3]:
        raise UnevaluableError("attention of batches that differ")
    if not key.shape[1] or query.shape[1] % key.shape[1]:
        raise UnevaluableError("attention of heads that are no groups")


def _normalisation(attributes: _Attributes, inputs: _Inputs) -> None:
    del attributes
    source = inputs[0]
    for scale in inputs[1:]:
        if source is not None and scale is not None and not _broadcasts_to(scale.shape, source.shape):
            raise UnevaluableError("a normalisation with a scale that is wider than what it scales")


def _broadcasts_to(shape: Sequence[int], target: Sequence[int]) -> bool:
    pairs = zip(reversed(shape), reversed(target), strict=False)
    return len(shape) <= len(target) and all(size in {1, wanted} for size, wanted in pairs)


def _recurrence(attributes: _Attributes, inputs: _Inputs) -> None:
    del attributes
    source, weights, recurrence = inputs[:3]
    if source is None or weights is None or recurrence is None:
        return
    if any(each.ndim != 3 for each in (source, weights, recurrence)):
        raise UnevaluableError("a recurrent operator with an input of another rank")
    state = (weights.shape[0], source.shape[1], recurrence.shape[2])
    if any(each is not None and each.shape != state for each in inputs[5:7]):
        raise UnevaluableError("a recurrent operator with a state of another shape")
    lengths = inputs[4] if len(inputs) > 4 else None
    if lengths is not None and not bool(((lengths >= 1) & (lengths <= source.shape[0])).all()):
        raise UnevaluableError("a recurrent operator with lengths beyond its sequence")


def _mean(attributes: _Attributes, inputs: _Inputs) -> None:
    del attributes
    if any(each is not None and _is_large_integer(each) for each in inputs):
        raise UnevaluableError("a mean of large integers, which becomes a floating-point number on the way")


def _clip(attributes: _Attributes, inputs: _Inputs) -> None:
    del attributes
    if any(bound is not None and bound.size != 1 for bound in inputs[1:]):
        raise UnevaluableError("a clip with bounds that are no scalars")


def _one_hot(attributes: _Attributes, inputs: _Inputs) -> None:
    del attributes
    depth = inputs[1]
    if depth is not None and depth.size and not 0 < float(depth.reshape(-1)[0]) <= _MAX_EXTENT:
        raise UnevaluableError("a depth that no tensor of a test has")


def _range(attributes: _Attributes, inputs: _Inputs) -> None:
    del attributes
    if any(each is None or each.size != 1 for each in inputs[:3]):
        return
    start, limit, delta = (float(each.reshape(-1)[0]) for each in inputs[:3] if each is not None)
    if not delta or not np.isfinite([start, limit, delta]).all() or abs((limit - start) / delta) > _MAX_EXTENT:
        raise UnevaluableError("a range of more places than any tensor of a test has")


_MAX_EXTENT: Final = 4096

_INTEGER_RANGES: Final[Mapping[int, tuple[float, float]]] = {
    2: (-1.0, 256.0),
    3: (-129.0, 128.0),
    4: (-1.0, 65536.0),
    5: (-32769.0, 32768.0),
    6: (-(2.0**31) - 1, 2.0**31),
    7: (-(2.0**63), 2.0**63),
    12: (-1.0, 2.0**32),
    13: (-1.0, 2.0**64),
}
"""Between which numbers a float must lie to become an integer of this type."""

_FLOATING: Final = frozenset({"Gemm"})
"""Operators that the reference implementation computes in floating point, integers too."""

_LARGE_INTEGER: Final = 2**20
"""Products and sums of smaller integers are exact in double precision."""


def _is_large_integer(array: np.ndarray) -> bool:
    return array.dtype.kind in "iu" and bool(((array > _LARGE_INTEGER) | (array < -_LARGE_INTEGER)).any())


_POOLS: Final = frozenset({"AveragePool", "MaxPool", "LpPool"})
_RECURRENT: Final = frozenset({"LSTM", "GRU", "RNN"})


def _window(attributes: _Attributes, inputs: _Inputs) -> None:
    """A window must fit into what it slides over, the padding included."""
    source, weights = inputs[0], inputs[1] if len(inputs) > 1 else None
    kernel = _numbers(attributes, "kernel_shape", weights.shape[2:] if weights is not None else ())
    if source is None or source.ndim != len(kernel) + 2:
        return
    pads = _numbers(attributes, "pads", (0,) * (2 * len(kernel)))
    dilations = _numbers(attributes, "dilations", (1,) * len(kernel))
    for axis, size in enumerate(kernel):
        room = source.shape[axis + 2] + pads[axis] + pads[axis + len(kernel)]
        if dilations[axis] * (size - 1) + 1 > room:
            raise UnevaluableError("a window larger than what it slides over")


def _numbers(attributes: _Attributes, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    value = attributes.get(name)
    return value if isinstance(value, tuple) else default


def _maximum(attributes: _Attributes, inputs: _Inputs) -> None:
    if inputs[0] is not None and inputs[0].dtype.kind == "f" and bool(np.isnan(inputs[0]).any()):
        raise UnevaluableError("a largest element among NaN")
    if "kernel_shape" in attributes:
        _window(attributes, inputs)


_CHECKS: Final[Mapping[str, Callable[[_Attributes, _Inputs], None]]] = {
    **dict.fromkeys(("Div", "Mod"), _division),
    **dict.fromkeys(("MaxPool", "GlobalMaxPool"), _maximum),
    **dict.fromkeys(("Conv", "AveragePool", "LpPool"), _window),
    "Pow": _power,
    "Cast": _cast,
    "Attention": _attention,
    "Clip": _clip,
    **dict.fromkeys(("Mean", "ReduceMean"), _mean),
    "OneHot": _one_hot,
    "Range": _range,
    **dict.fromkeys(("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"), _normalisation),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrence),
}
