"""Reductions, pools and normalisations over the field, by their definitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from eqsat.authoring.soundness import fieldnumbers as f
from eqsat.authoring.soundness.evaluator import UnevaluableError
from eqsat.authoring.soundness.fieldfunctions import given, plain, pointed, power, real
from eqsat.authoring.soundness.fieldpoint import Point
from eqsat.authoring.soundness.fieldproducts import integer, integers, padded, window_places, windows

if TYPE_CHECKING:
    from eqsat.authoring.soundness.fieldfunctions import Attributes, Inputs, Kernel
    from eqsat.authoring.soundness.fieldnumbers import Numbers


def extreme(
    function: Callable[[Sequence[Numbers]], Numbers], x: Numbers, axes: Sequence[int], *, keepdims: bool = False
) -> Numbers:
    """Return maxima or minima along axes.

    Raises:
        UnevaluableError: There is nothing along them.
    """
    places = sorted(axis % x.ndim for axis in axes) if x.ndim else []
    count = int(np.prod([x.shape[place] for place in places], dtype=np.int64))
    if not count:
        raise UnevaluableError("an extreme of nothing")
    kept = [size for place, size in enumerate(x.shape) if place not in places]
    rows = np.moveaxis(x, places, range(x.ndim - len(places), x.ndim)).reshape(*kept, count)
    result = function([rows[..., place] for place in range(count)])
    return result.reshape([1 if p in places else size for p, size in enumerate(x.shape)]) if keepdims else result


class Reduction(Protocol):
    """Reduces numbers along axes."""

    def __call__(self, one: Numbers, axes: Sequence[int], *, keepdims: bool = False) -> Numbers:
        """Return what comes out; a reduced axis stays as one of size one where ``keepdims`` says so."""


def _reduction(
    reduce: Reduction = f.total,
    *,
    before: Callable[[Point, Numbers], Numbers] | None = None,
    after: Callable[[Point, Numbers], Numbers] | None = None,
) -> Kernel:
    """A reduction of a function of each element, and a function of what comes out."""

    def kernel(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
        x = given(inputs, 0) if before is None else before(point, given(inputs, 0))
        result = reduce(x, integers(attributes, "axes"), keepdims=bool(attributes["keepdims"]))
        return result if after is None else after(point, result)

    return kernel


def _square(point: Point, x: Numbers) -> Numbers:
    del point
    return f.multiply(x, x)


def _maximum(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    axes, keepdims = integers(attributes, "axes"), bool(attributes["keepdims"])
    return extreme(point.maximum, given(inputs, 0), axes, keepdims=keepdims)


def _minimum(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    axes, keepdims = integers(attributes, "axes"), bool(attributes["keepdims"])
    return extreme(point.minimum, given(inputs, 0), axes, keepdims=keepdims)


# --- softmax and normalisations ----------------------------------------------------------------------------------


def softmax(point: Point, x: Numbers, axis: int) -> Numbers:
    """Return ``exp(x) / sum(exp(x))``."""
    powers = point.exponential(x)
    return f.divide(powers, f.total(powers, [axis], keepdims=True))


def _softmax(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    return softmax(point, given(inputs, 0), integer(attributes, "axis"))


def _log_softmax(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    return point.logarithm(_softmax(point, attributes, inputs))


def _over_root(point: Point, x: Numbers, variance: Numbers, epsilon: float) -> Numbers:
    return f.divide(x, point.root(f.add(variance, point.constant(epsilon))))


def centred(point: Point, x: Numbers, axes: Sequence[int], epsilon: float) -> Numbers:
    """Return ``(x - mean) / sqrt(variance + epsilon)``."""
    difference = f.subtract(x, f.mean(x, axes, keepdims=True))
    variance = f.mean(f.multiply(difference, difference), axes, keepdims=True)
    return _over_root(point, difference, variance, epsilon)


def uncentred(point: Point, x: Numbers, axes: Sequence[int], epsilon: float) -> Numbers:
    """Return ``x / sqrt(mean of squares + epsilon)`` (Zhang and Sennrich 2019)."""
    return _over_root(point, x, f.mean(f.multiply(x, x), axes, keepdims=True), epsilon)


def _scaled(x: Numbers, inputs: Inputs, scale: int, bias: int) -> Numbers:
    result = f.multiply(x, given(inputs, scale))
    shift = inputs[bias] if 0 <= bias < len(inputs) else None
    return result if shift is None else f.add(result, shift)


def _layer_norm(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    axes = range(integer(attributes, "axis"), 0)
    return _scaled(centred(point, given(inputs, 0), axes, real(attributes, "epsilon")), inputs, 1, 2)


def _rms_norm(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    axes = range(integer(attributes, "axis"), 0)
    return _scaled(uncentred(point, given(inputs, 0), axes, real(attributes, "epsilon")), inputs, 1, -1)


def _skip(inputs: Inputs, bias: int) -> Numbers:
    summed = f.add(given(inputs, 0), given(inputs, 1))
    return summed if len(inputs) <= bias or inputs[bias] is None else f.add(summed, given(inputs, bias))


def _skip_layer_norm(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    return _scaled(centred(point, _skip(inputs, 4), [-1], real(attributes, "epsilon")), inputs, 2, 3)


def _skip_rms_norm(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    return _scaled(uncentred(point, _skip(inputs, 3), [-1], real(attributes, "epsilon")), inputs, 2, -1)


def _by_channel(value: Numbers, rank: int) -> Numbers:
    return value.reshape(-1, *(1 for _ in range(rank - 2)))


def _batch_norm(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    x = given(inputs, 0)
    scale, bias, mean, variance = (_by_channel(given(inputs, place), x.ndim) for place in range(1, 5))
    normal = _over_root(point, f.subtract(x, mean), variance, real(attributes, "epsilon"))
    return f.add(f.multiply(normal, scale), bias)


def _instance_norm(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    x = given(inputs, 0)
    normal = centred(point, x, range(2, x.ndim), real(attributes, "epsilon"))
    return _scaled(normal, [None, *(_by_channel(given(inputs, place), x.ndim) for place in (1, 2))], 1, 2)


def _group_norm(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    x, groups = given(inputs, 0), integer(attributes, "num_groups")
    if x.shape[1] % groups:
        raise UnevaluableError("channels that are no groups")
    rows = x.reshape(x.shape[0], groups, -1)
    normal = centred(point, rows, [-1], real(attributes, "epsilon")).reshape(x.shape)
    return _scaled(normal, [None, *(_by_channel(given(inputs, place), x.ndim) for place in (1, 2))], 1, 2)


def _lp_norm(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    x, axis = given(inputs, 0), integer(attributes, "axis")
    if integer(attributes, "p") == 1:
        return f.divide(x, f.total(point.absolute(x), [axis], keepdims=True))
    return f.divide(x, point.root(f.total(f.multiply(x, x), [axis], keepdims=True)))


def _response_norm(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    """``x / (bias + alpha / size sum of squares of channels around)^beta``."""
    x, size = given(inputs, 0), integer(attributes, "size")
    squares = f.multiply(x, x)
    summed = np.zeros_like(squares)
    num_channels = x.shape[1]
    for channel in range(num_channels):
        low, high = max(channel - (size - 1) // 2, 0), min(channel + size // 2 + 1, num_channels)
        summed[:, channel] = f.total(squares[:, low:high], [1])
    weight = f.scale(Fraction(1, size), point.constant(real(attributes, "alpha")))
    base = f.add(point.constant(real(attributes, "bias")), f.multiply(weight, summed))
    return f.divide(x, power(point, base, point.constant(real(attributes, "beta"))))


# --- pools -------------------------------------------------------------------------------------------------------


def _pool_windows(attributes: Attributes, x: Numbers) -> tuple[list[Numbers], list[Numbers]]:
    """Return the elements at each offset of all windows, and whether each of them is no padding."""
    if attributes["ceil_mode"]:
        raise UnevaluableError("a pool with windows beyond its input")
    kernel, strides, pads, dilations = (
        integers(attributes, name) for name in ("kernel_shape", "strides", "pads", "dilations")
    )
    counts = windows(x.shape[2:], kernel, strides, pads, dilations)
    if min(counts, default=1) <= 0:
        raise UnevaluableError("a pool of nothing")
    wide, inside = padded(x, pads), padded(np.ones_like(x), pads)
    places = [
        (slice(None), slice(None), *window_places(offset, counts, strides, dilations))
        for offset in product(*map(range, kernel))
    ]
    return [wide[place] for place in places], [inside[place] for place in places]


def _average_pool(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    del point
    x = given(inputs, 0)
    seen, inside = _pool_windows(attributes, x)
    summed = f.total(np.stack(seen), [0])
    if attributes["count_include_pad"]:
        return f.scale(Fraction(1, len(seen)), summed)
    return f.divide(summed, f.total(np.stack(inside), [0]))


def _max_pool(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    x = given(inputs, 0)
    seen, inside = _pool_windows(attributes, x)
    first = np.zeros_like(seen[0])
    for elements, is_inside in zip(reversed(seen), reversed(inside), strict=True):
        first = np.where(is_inside == 1, elements, first)
    if not bool(np.stack(inside).any(axis=0).all()):
        raise UnevaluableError("a maximum of nothing")
    # An element of the padding is no element: one from inside, which counts once however often it stands there.
    return point.maximum([np.where(some == 1, each, first) for each, some in zip(seen, inside, strict=True)])


def _global_average(x: Numbers) -> Numbers:
    return f.mean(x, range(2, x.ndim), keepdims=True)


def _global_maximum(point: Point, x: Numbers) -> Numbers:
    return extreme(point.maximum, x, range(2, x.ndim), keepdims=True)


def _cumulative_sum(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    del point
    x = given(inputs, 0)
    axis = int(given(inputs, 1).reshape(-1)[0].astype(np.int64))
    rows = np.moveaxis(x, axis, 0)
    rows = rows[::-1] if attributes["reverse"] else rows
    is_exclusive = bool(attributes["exclusive"])
    sums = [f.total(rows[: place + (not is_exclusive)], [0]) for place in range(len(rows))]
    result = np.stack(sums) if sums else rows
    return np.moveaxis(result[::-1] if attributes["reverse"] else result, 0, axis)


KERNELS: Final[Mapping[str, Kernel]] = {
    "ReduceSum": _reduction(),
    "ReduceMean": _reduction(f.mean),
    "ReduceProd": _reduction(f.product),
    "ReduceSumSquare": _reduction(before=_square),
    "ReduceL2": _reduction(before=_square, after=Point.root),
    "ReduceL1": _reduction(before=Point.absolute),
    "ReduceLogSum": _reduction(after=Point.logarithm),
    "ReduceLogSumExp": _reduction(before=Point.exponential, after=Point.logarithm),
    "ReduceMax": _maximum,
    "ReduceMin": _minimum,
    "CumSum": _cumulative_sum,
    "Softmax": _softmax,
    "LogSoftmax": _log_softmax,
    "LayerNormalization": _layer_norm,
    **dict.fromkeys(("RMSNormalization", "SimplifiedLayerNormalization"), _rms_norm),
    "MsSkipLayerNormalization": _skip_layer_norm,
    "MsSkipSimplifiedLayerNormalization": _skip_rms_norm,
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "GroupNormalization": _group_norm,
    "LpNormalization": _lp_norm,
    "LRN": _response_norm,
    "AveragePool": _average_pool,
    "MaxPool": _max_pool,
    "GlobalAveragePool": plain(_global_average),
    "GlobalMaxPool": pointed(_global_maximum),
}
"""How each reduction, pool and normalisation is evaluated at one point."""
