"""Elementwise operators over the field: polynomials and quotients as they are, other functions by their definitions.

What a definition uses in the end is ``exp``, ``log``, ``sqrt``, ``abs``, ``erf``, maxima and such, as
:class:`~eqsat.authoring.soundness.fieldpoint.Point` gives them. Definitions are those of the ONNX operator
specification. Of order it is known only that ``x > y`` depends on ``x - y``, and what maxima have to do with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import reduce
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from eqsat.authoring.soundness import fieldnumbers as f
from eqsat.authoring.soundness.evaluator import UnevaluableError
from eqsat.authoring.soundness.fieldpoint import Point

if TYPE_CHECKING:
    from eqsat.authoring.soundness.fieldnumbers import Numbers
    from ir.graph import AttributeValue

Attributes: TypeAlias = "Mapping[str, AttributeValue]"
Inputs: TypeAlias = "Sequence[np.ndarray | None]"
"""Numbers of the field for tensors over it, ordinary integers for the others, None for what is missing."""

Kernel: TypeAlias = "Callable[[Point, Attributes, Inputs], Numbers]"

_MAX_EXPONENT: Final = 16

ZERO: Final = np.zeros((), np.uint64)
ONE: Final = np.ones((), np.uint64)


def given(inputs: Inputs, place: int) -> Numbers:
    """Return an input that must be there.

    Raises:
        UnevaluableError: It is missing.
    """
    value = inputs[place] if place < len(inputs) else None
    if value is None:
        raise UnevaluableError("an input is missing")
    return value


def real(attributes: Attributes, name: str) -> float:
    """Return an attribute that is a number."""
    value = attributes[name]
    if not isinstance(value, int | float):
        raise UnevaluableError(f"{name} is no number")
    return float(value)


def relu(point: Point, x: Numbers) -> Numbers:
    """Return the maximum with zero."""
    return point.maximum([x, ZERO])


def clip(point: Point, x: Numbers, low: Numbers | None, high: Numbers | None) -> Numbers:
    """Return ``min(max(x, low), high)``; a bound may be missing."""
    lifted = x if low is None else point.maximum([x, low])
    return lifted if high is None else point.minimum([lifted, high])


def sigmoid(point: Point, x: Numbers) -> Numbers:
    """Return ``1 / (1 + exp(-x))``."""
    return f.inverse(f.add(ONE, point.exponential(f.negative(x))))


def tanh(point: Point, x: Numbers) -> Numbers:
    """Return ``2 / (1 + exp(-2 x)) - 1``."""
    return f.subtract(f.scale(2, sigmoid(point, f.scale(2, x))), ONE)


def softplus(point: Point, x: Numbers) -> Numbers:
    """Return ``log(1 + exp(x))``."""
    return point.logarithm(f.add(ONE, point.exponential(x)))


def gelu(point: Point, x: Numbers) -> Numbers:
    """Return ``x / 2 (1 + erf(x / sqrt 2))`` (Hendrycks and Gimpel 2016)."""
    inner = f.multiply(x, point.constant(0.5**0.5))
    return f.multiply(f.scale(Fraction(1, 2), x), f.add(ONE, point.odd("Erf", inner)))


def tanh_gelu(point: Point, x: Numbers) -> Numbers:
    """Return ``x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`` (Hendrycks and Gimpel 2016)."""
    cubic = f.add(x, f.multiply(point.constant(0.044715), f.power(x, 3)))
    inner = f.multiply(point.constant(0.7978845608028654), cubic)
    return f.multiply(f.scale(Fraction(1, 2), x), f.add(ONE, tanh(point, inner)))


def power(point: Point, x: Numbers, exponent: np.ndarray) -> Numbers:
    """Return ``x`` to a power: small multiples of a quarter by products and roots, others uninterpreted."""
    if exponent.size and bool((exponent == exponent.reshape(-1)[0]).all()):
        quarters = _quarters(int(exponent.reshape(-1)[0]), is_field=exponent.dtype == np.uint64)
        if quarters is not None:
            shape = np.broadcast_shapes(x.shape, exponent.shape)
            return np.array(np.broadcast_to(_quarter_power(point, x, quarters), shape))
    return point.apply("Pow", [x, exponent if exponent.dtype == np.uint64 else f.numbers(exponent)])


def _quarters(value: int, *, is_field: bool) -> int | None:
    """Return four times a small exponent."""
    if not is_field:
        return 4 * value if abs(value) <= _MAX_EXPONENT else None
    quadruple = 4 * value % f.PRIME
    quarters = quadruple - f.PRIME if quadruple > f.PRIME // 2 else quadruple
    return quarters if abs(quarters) <= 4 * _MAX_EXPONENT else None


def _quarter_power(point: Point, x: Numbers, quarters: int) -> Numbers:
    whole, rest = divmod(abs(quarters), 4)
    result = f.power(x, whole)
    if rest & 2:
        result = f.multiply(result, point.root(x))
    if rest & 1:
        result = f.multiply(result, point.root(point.root(x)))
    return f.inverse(result) if quarters < 0 else result


def _elu(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    x = given(inputs, 0)
    negative = f.multiply(point.constant(real(attributes, "alpha")), f.subtract(point.exponential(x), ONE))
    return f.add(relu(point, x), point.minimum([negative, ZERO]))


def _selu(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    return f.multiply(point.constant(real(attributes, "gamma")), _elu(point, attributes, inputs))


def _celu(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    x, alpha = given(inputs, 0), point.constant(real(attributes, "alpha"))
    negative = f.multiply(alpha, f.subtract(point.exponential(f.divide(x, alpha)), ONE))
    return f.add(relu(point, x), point.minimum([negative, ZERO]))


def leaky(point: Point, x: Numbers, slope: Numbers) -> Numbers:
    """Return what is above zero, and a multiple of what is below."""
    above = relu(point, x)
    return f.add(above, f.multiply(slope, f.subtract(x, above)))


def hard_sigmoid(point: Point, x: Numbers, alpha: float, beta: float) -> Numbers:
    """Return ``clip(alpha x + beta, 0, 1)``."""
    line = f.add(f.multiply(point.constant(alpha), x), point.constant(beta))
    return clip(point, line, ZERO, ONE)


def _hard_sigmoid(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    return hard_sigmoid(point, given(inputs, 0), real(attributes, "alpha"), real(attributes, "beta"))


def _leaky_relu(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    return leaky(point, given(inputs, 0), point.constant(real(attributes, "alpha")))


def _swish(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    x = given(inputs, 0)
    return f.multiply(x, sigmoid(point, f.multiply(point.constant(real(attributes, "alpha")), x)))


def _clip(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    del attributes
    low, high = (inputs[place] if place < len(inputs) else None for place in (1, 2))
    return clip(point, given(inputs, 0), low, high)


def _fast_gelu(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    del attributes
    x = given(inputs, 0)
    return tanh_gelu(point, x if len(inputs) < 2 or inputs[1] is None else f.add(x, inputs[1]))


def _gelu(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
    function = tanh_gelu if attributes.get("approximate") == "tanh" else gelu
    return function(point, given(inputs, 0))


def _where(chosen: Numbers, one: Numbers, two: Numbers) -> Numbers:
    return f.add(f.multiply(chosen, one), f.multiply(_not(chosen), two))


def _all(inputs: Inputs) -> list[Numbers]:
    return [given(inputs, place) for place in range(len(inputs))]


def _sum(*inputs: Numbers) -> Numbers:
    return reduce(f.add, inputs)


def _greater(point: Point, x: Numbers, y: Numbers) -> Numbers:
    return point.is_positive(f.subtract(x, y))


def _less(point: Point, x: Numbers, y: Numbers) -> Numbers:
    return _greater(point, y, x)


def _equal(point: Point, x: Numbers, y: Numbers) -> Numbers:
    return point.even("is zero", f.subtract(x, y))


def _not(truth: Numbers) -> Numbers:
    return f.subtract(ONE, truth)


def _or(one: Numbers, two: Numbers) -> Numbers:
    return _not(f.multiply(_not(one), _not(two)))


def _xor(one: Numbers, two: Numbers) -> Numbers:
    return f.subtract(f.add(one, two), f.scale(2, f.multiply(one, two)))


def plain(function: Callable[..., Numbers]) -> Kernel:
    """Return the kernel of a function of the inputs alone."""

    def kernel(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
        del point, attributes
        return function(*_all(inputs))

    return kernel


def pointed(function: Callable[..., Numbers]) -> Kernel:
    """Return the kernel of a function of the point and the inputs."""

    def kernel(point: Point, attributes: Attributes, inputs: Inputs) -> Numbers:
        del attributes
        return function(point, *_all(inputs))

    return kernel


def _negated(function: Callable[[Point, Numbers, Numbers], Numbers]) -> Kernel:
    return pointed(lambda point, x, y: _not(function(point, x, y)))


def _symmetric(function: Callable[[Point, str, Numbers], Numbers], name: str) -> Kernel:
    return pointed(lambda point, x: function(point, name, x))


def _unknown(name: str) -> Kernel:
    """A kernel of which nothing is known, but that it is elementwise."""
    return lambda point, attributes, inputs: point.apply(name, _all(inputs), *sorted(attributes.items()))


_EVEN: Final = ("Cos", "Cosh")
_ODD: Final = ("Erf", "Sin", "Sinh", "Tan", "Asin", "Asinh", "Atan", "Atanh", "Round", "Sign")
_UNKNOWN: Final = ("Acos", "Acosh", "Floor", "IsInf", "IsNaN", "Shrink", "ThresholdedRelu")

KERNELS: Final[Mapping[str, Kernel]] = {
    **{name: _symmetric(Point.even, name) for name in _EVEN},
    **{name: _symmetric(Point.odd, name) for name in _ODD},
    **{name: _unknown(name) for name in _UNKNOWN},
    # polynomials and quotients
    "Add": plain(f.add),
    "Sub": plain(f.subtract),
    "Mul": plain(f.multiply),
    "Div": plain(f.divide),
    "Neg": plain(f.negative),
    "Reciprocal": plain(f.inverse),
    "Sum": plain(_sum),
    "Mean": plain(lambda *inputs: f.scale(Fraction(1, len(inputs)), _sum(*inputs))),
    "Pow": pointed(power),
    # functions with laws of their own
    "Sqrt": pointed(Point.root),
    "Exp": pointed(Point.exponential),
    "Log": pointed(Point.logarithm),
    "Abs": pointed(Point.absolute),
    "Ceil": pointed(lambda point, x: f.negative(point.apply("Floor", [f.negative(x)]))),
    "Max": pointed(lambda point, *inputs: point.maximum(inputs)),
    "Min": pointed(lambda point, *inputs: point.minimum(inputs)),
    # by definition
    "Relu": pointed(relu),
    "LeakyRelu": _leaky_relu,
    "PRelu": pointed(leaky),
    "Clip": _clip,
    "Elu": _elu,
    "Selu": _selu,
    "Celu": _celu,
    "Sigmoid": pointed(sigmoid),
    "Tanh": pointed(tanh),
    "Softplus": pointed(softplus),
    "Softsign": pointed(lambda point, x: f.divide(x, f.add(ONE, point.absolute(x)))),
    "Mish": pointed(lambda point, x: f.multiply(x, tanh(point, softplus(point, x)))),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": pointed(lambda point, x: f.multiply(x, hard_sigmoid(point, x, 1 / 6, 0.5))),
    "Gelu": _gelu,
    "MsGelu": pointed(gelu),
    "MsBiasGelu": pointed(lambda point, x, bias: gelu(point, f.add(x, bias))),
    "MsFastGelu": _fast_gelu,
    **dict.fromkeys(("Swish", "MsQuickGelu"), _swish),
    # truths
    "Greater": pointed(_greater),
    "Less": pointed(_less),
    "LessOrEqual": _negated(_greater),
    "GreaterOrEqual": _negated(_less),
    "Equal": pointed(_equal),
    "Not": plain(_not),
    "And": plain(f.multiply),
    "Or": plain(_or),
    "Xor": plain(_xor),
    "Where": plain(_where),
}
"""How each elementwise operator is evaluated at one point."""
