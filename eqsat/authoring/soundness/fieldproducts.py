"""Products over the field: matrices, Einstein sums, convolutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np

from eqsat.authoring.soundness import fieldnumbers as f
from eqsat.authoring.soundness.evaluator import UnevaluableError
from eqsat.authoring.soundness.fieldfunctions import given, plain, real

if TYPE_CHECKING:
    from eqsat.authoring.soundness.fieldfunctions import Attributes, Inputs, Kernel
    from eqsat.authoring.soundness.fieldnumbers import Numbers
    from eqsat.authoring.soundness.fieldpoint import Point

_MAX_PRODUCTS: Final = 2_000_000
"""Products of one node: what needs more takes too long."""


def integers(attributes: Attributes, name: str) -> tuple[int, ...]:
    """Return an attribute that is a list of integers."""
    value = attributes[name]
    if not isinstance(value, tuple):
        raise UnevaluableError(f"{name} is no list of integers")
    return value


def integer(attributes: Attributes, name: str) -> int:
    """Return an attribute that is an integer."""
    value = attributes[name]
    if not isinstance(value, int):
        raise UnevaluableError(f"{name} is no integer")
    return value


def _check_size(num_products: int) -> None:
    if num_products > _MAX_PRODUCTS:
        raise UnevaluableError("too many products for the field")


def matmul(one: Numbers, two: Numbers) -> Numbers:
    """Return the product of matrices as ``MatMul`` says.

    Raises:
        UnevaluableError: It takes too many products.
    """
    columns = two.shape[-1] if two.ndim > 1 else 1
    _check_size(max(one.size * columns, two.size * (one.shape[-2] if one.ndim > 1 else 1)))
    return f.matrix_product(one, two)


def _turned(matrix: Numbers, is_turned: object) -> Numbers:
    return matrix.swapaxes(-1, -2) if is_turned else matrix


def _gemm(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    one, two = _turned(given(inputs, 0), attributes["transA"]), _turned(given(inputs, 1), attributes["transB"])
    result = f.multiply(point.constant(real(attributes, "alpha")), matmul(one, two))
    if len(inputs) > 2 and inputs[2] is not None:
        added = f.multiply(point.constant(real(attributes, "beta")), inputs[2])
        result = f.add(result, np.broadcast_to(added, result.shape))
    return result


def _fused_matmul(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    if attributes["transBatchA"] or attributes["transBatchB"]:
        raise UnevaluableError("transposed batches")
    one, two = _turned(given(inputs, 0), attributes["transA"]), _turned(given(inputs, 1), attributes["transB"])
    return f.multiply(point.constant(real(attributes, "alpha")), matmul(one, two))


def einsum(equation: str, operands: Sequence[Numbers]) -> Numbers:
    """Return a sum of products over indices named by letters.

    Raises:
        UnevaluableError: There is an ellipsis, or it takes too many products.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if "." in equation or len(terms) != len(operands):
        raise UnevaluableError(f"einsum of {equation}")
    if not arrow:
        right = "".join(sorted(letter for letter in set(left) - {","} if left.count(letter) == 1))
    letters = [*right, *sorted(set(left) - {","} - set(right))]
    sizes: dict[str, int] = {}
    spread: list[Numbers] = []
    for term, operand in zip(terms, operands, strict=True):
        sizes |= dict(zip(term, operand.shape, strict=True))
        unique = sorted(set(term), key=letters.index)
        diagonal = np.einsum(f"{term}->{''.join(unique)}", operand)
        shape = [diagonal.shape[unique.index(letter)] if letter in unique else 1 for letter in letters]
        spread.append(diagonal.reshape(shape))
    _check_size(int(np.prod([sizes[letter] for letter in letters], dtype=np.int64)))
    summed = range(len(right), len(letters))
    return f.total(np.array(reduce(f.multiply, spread)), tuple(summed))


def _einsum(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    del point
    equation = attributes["equation"]
    if not isinstance(equation, str):
        raise UnevaluableError("no equation")
    return einsum(equation, [given(inputs, place) for place in range(len(inputs))])


def windows(
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
) -> tuple[int, ...]:
    """Return how often a window fits along each spatial axis."""
    count = len(sizes)
    return tuple(
        (sizes[axis] + pads[axis] + pads[axis + count] - dilations[axis] * (kernel[axis] - 1) - 1) // strides[axis] + 1
        for axis in range(count)
    )


def window_places(
    offset: Sequence[int], counts: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[slice, ...]:
    """Return which places of a padded image stand at one offset of all windows."""
    return tuple(
        slice(place * dilation, place * dilation + stride * (count - 1) + 1, stride)
        for place, count, stride, dilation in zip(offset, counts, strides, dilations, strict=True)
    )


def padded(image: Numbers, pads: Sequence[int], fill: int = 0) -> Numbers:
    """Return an image with its spatial axes padded.

    Raises:
        UnevaluableError: A pad is negative.
    """
    if any(pad < 0 for pad in pads):
        raise UnevaluableError("a window with negative pads")
    count = len(pads) // 2
    widths = [(0, 0), (0, 0), *((pads[axis], pads[axis + count]) for axis in range(count))]
    return np.pad(image, widths, constant_values=fill)


def _conv(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    del point
    image, weights = given(inputs, 0), given(inputs, 1)
    strides, dilations, pads = (integers(attributes, name) for name in ("strides", "dilations", "pads"))
    group = integer(attributes, "group")
    kernel = weights.shape[2:]
    counts = windows(image.shape[2:], kernel, strides, pads, dilations)
    if min(counts, default=1) <= 0 or weights.shape[0] % group or image.shape[1] != weights.shape[1] * group:
        raise UnevaluableError("a convolution of nothing")
    num_batches, num_outputs = image.shape[0], weights.shape[0]
    _check_size(num_batches * weights.size * int(np.prod(counts)))
    wide = padded(image, pads).reshape(num_batches, group, weights.shape[1], *(_wide(image, pads)))
    filters = weights.reshape(group, num_outputs // group, weights.shape[1], -1)
    result = np.zeros((num_batches, group, num_outputs // group, *counts), np.uint64)
    for tap, offset in enumerate(product(*map(range, kernel))):
        seen = wide[(slice(None), slice(None), None, slice(None), *window_places(offset, counts, strides, dilations))]
        taps = filters[..., tap].reshape(1, *filters.shape[:3], *(1 for _ in counts))
        result = f.add(result, f.total(f.multiply(seen, taps), [3]))
    result = result.reshape(num_batches, num_outputs, *counts)
    return result if len(inputs) < 3 or inputs[2] is None else f.add(result, _channels(inputs[2], result.ndim))


def _wide(image: Numbers, pads: Sequence[int]) -> tuple[int, ...]:
    count = image.ndim - 2
    return tuple(image.shape[2 + axis] + pads[axis] + pads[axis + count] for axis in range(count))


def _channels(bias: Numbers, rank: int) -> Numbers:
    return bias.reshape(1, -1, *(1 for _ in range(rank - 2)))


def _conv_transpose(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    del point
    image, weights = given(inputs, 0), given(inputs, 1)
    strides, dilations, pads, more = (
        integers(attributes, name) for name in ("strides", "dilations", "pads", "output_padding")
    )
    group = integer(attributes, "group")
    if image.shape[1] != weights.shape[0] or weights.shape[0] % group or any(pad < 0 for pad in pads):
        raise UnevaluableError("a transposed convolution of nothing")
    counts, kernel, num_axes = image.shape[2:], weights.shape[2:], image.ndim - 2
    full = [
        strides[axis] * (counts[axis] - 1) + dilations[axis] * (kernel[axis] - 1) + 1 + (more[axis] if more else 0)
        for axis in range(num_axes)
    ]
    num_batches, num_inputs = image.shape[0], image.shape[1] // group
    _check_size(num_batches * weights.size * int(np.prod(counts)))
    grouped = image.reshape(num_batches, group, num_inputs, 1, *counts)
    filters = weights.reshape(group, num_inputs, weights.shape[1], -1)
    result = np.zeros((num_batches, group, weights.shape[1], *full), np.uint64)
    for tap, offset in enumerate(product(*map(range, kernel))):
        taps = filters[..., tap].reshape(1, *filters.shape[:3], *(1 for _ in counts))
        added = f.total(f.multiply(grouped, taps), [2])
        where = (slice(None), slice(None), slice(None), *window_places(offset, counts, strides, dilations))
        result[where] = f.add(result[where], added)
    cut = tuple(slice(pads[axis], full[axis] - pads[axis + num_axes]) for axis in range(num_axes))
    result = result.reshape(num_batches, group * weights.shape[1], *full)[(slice(None), slice(None), *cut)]
    return result if len(inputs) < 3 or inputs[2] is None else f.add(result, _channels(inputs[2], result.ndim))


KERNELS: Final[Mapping[str, Kernel]] = {
    "MatMul": plain(matmul),
    "Gemm": _gemm,
    "MsFusedMatMul": _fused_matmul,
    "Einsum": _einsum,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
}
"""How each product is evaluated at one point."""
