"""An evaluator whose numbers are those of a finite field at random points.

Tensors of floating-point numbers are tensors over the field of integers modulo 2^61 - 1, at two independent random
points at once; tensors of integers and truths are what they are. Sums, products and quotients are exact, so that two
rational functions that agree at a random point are the same but with a chance of their degree divided by 2^61 (Schwartz
1980, Zippel 1979).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, final

import numpy as np

from eqsat.authoring.soundness import fieldattention, fieldfunctions, fieldproducts, fieldrecurrent, fieldreductions
from eqsat.authoring.soundness.defined import check_defined
from eqsat.authoring.soundness.evaluator import ImpossibleError, UnevaluableError
from eqsat.authoring.soundness.evaluators import ReferenceNumbers
from eqsat.authoring.soundness.fieldmoves import is_move, move
from eqsat.authoring.soundness.fieldnumbers import numbers, subtract
from eqsat.authoring.soundness.fieldpoint import Point
from eqsat.authoring.soundness.fieldvalues import FLOATS, at, is_field, joined, precision, stand_in
from eqsat.rules import FloatClass
from ir.data_types import numpy_dtype
from ir.node_model import NodeModels, TypeInferenceError, UnwritableError

if TYPE_CHECKING:
    from eqsat.authoring.soundness.fieldfunctions import Kernel
    from eqsat.authoring.soundness.fieldnumbers import Numbers
    from eqsat.authoring.soundness.fieldrecurrent import MultiKernel
    from eqsat.rules.instances import Leaf
    from ir.graph import AttributeValue

NUM_POINTS: Final = 2
"""Independent random points at which everything is evaluated."""

_MAX_ELEMENTS: Final = 50_000
"""Elements of a tensor beyond which the evaluation would take too long."""

_SHAPES: Final = frozenset({"Shape", "Size", "EyeLike"})
"""Operators that look at shapes only."""

_TRUTHS: Final = frozenset({"And", "Or", "Xor", "Not", "Where"})
"""Operators that truths go into."""

_INTEGERS: Final[Mapping[str, int]] = {
    "Pow": 1,
    "CumSum": 1,
    "LSTM": 4,
    "GRU": 4,
    "RotaryEmbedding": 3,
    "MsRotaryEmbedding": 1,
}
"""Operators that integers go into, and which of their inputs they are."""

_SINGLE: Final[Mapping[str, Kernel]] = {
    **fieldfunctions.KERNELS,
    **fieldproducts.KERNELS,
    **fieldreductions.KERNELS,
    **fieldattention.KERNELS,
}
"""Operators of one output."""


def _alone(kernel: Kernel) -> MultiKernel:
    return lambda point, attributes, inputs: (kernel(point, attributes, inputs),)


_KERNELS: Final[Mapping[str, MultiKernel]] = {
    **{name: _alone(kernel) for name, kernel in _SINGLE.items()},
    **fieldrecurrent.KERNELS,
}
"""All operators that do more than move elements."""


@final
class FieldEvaluator:
    """Evaluates nodes over the field."""

    name = "finite field"

    def __init__(self, rng: np.random.Generator, num_points: int = NUM_POINTS) -> None:
        """Draw random points.

        Args:
            rng: Source of chance.
            num_points: How many.
        """
        self._points = [Point(rng.bytes(32)) for _ in range(num_points)]
        self._ordinary = ReferenceNumbers()
        self._models: dict[int, NodeModels] = {}
        self.num_compared = 0
        """Tensors over the field that were compared with another and found equal, empty ones left out."""

    def leaf(self, leaf: Leaf) -> np.ndarray:
        """Return random numbers for an input and for a constant of several numbers, and a constant number as it is.

        Raises:
            UnevaluableError: A constant is no real number.
        """
        array = leaf.array
        if array.dtype.name not in FLOATS:
            if array.dtype.kind not in "iub":
                raise UnevaluableError(f"{array.dtype} has no field")
            return array
        if array.size > _MAX_ELEMENTS:
            raise UnevaluableError("a tensor too large for the field")
        if not leaf.is_constant:
            return self._random(f"{leaf.name} {array.dtype} {array.shape}", array)
        if not bool(np.isfinite(array).all()):
            raise UnevaluableError("a constant that is no real number")
        if array.size and bool((array == array.reshape(-1)[0]).all()):
            return self._filled(array.shape, float(array.reshape(-1)[0]), array.dtype.name)
        return self._random(f"{array.tobytes().hex()} {array.dtype} {array.shape}", array)

    def _random(self, key: str, array: np.ndarray) -> np.ndarray:
        return joined([point.elements(key, array.shape) for point in self._points], array.dtype.name)

    def _filled(self, shape: Sequence[int], value: float, dtype: str) -> np.ndarray:
        return joined([np.full(shape, point.constant(value)) for point in self._points], dtype)

    def run(
        self,
        operator: str,
        attributes: Mapping[str, AttributeValue],
        inputs: Sequence[np.ndarray | None],
        *,
        opset: int,
        num_outputs: int,
    ) -> tuple[np.ndarray, ...]:
        """Return the outputs of one node.

        Raises:
            UnevaluableError: It has no value over the field, as where something is divided by zero.
            ImpossibleError: No such node can exist.
        """
        if not any(is_field(value) for value in inputs):
            return self._without_field(operator, attributes, inputs, opset=opset, num_outputs=num_outputs)
        stands = [None if value is None else stand_in(value) for value in inputs]
        if operator in _SHAPES:
            return self._without_field(operator, attributes, stands, opset=opset, num_outputs=num_outputs)
        types = self._types(operator, attributes, stands, opset=opset, num_outputs=num_outputs)
        check_defined(operator, attributes, stands)
        if operator in {"Cast", "CastLike"} and inputs[0] is not None:
            return (self._cast(inputs[0], types[0].name),)
        if is_move(operator, attributes, inputs):
            ordinary = partial(self._ordinary.run, operator, attributes, opset=opset, num_outputs=num_outputs)
            return move(inputs, ordinary)
        if operator not in _KERNELS:
            raise UnevaluableError(f"{operator} has no value over the field")
        if not all(_is_number(operator, place, value) for place, value in enumerate(inputs) if value is not None):
            raise UnevaluableError(f"{operator} of integers or truths has no value over the field")
        if not all(type_.name in {*FLOATS, "bool"} for type_ in types):
            raise UnevaluableError(f"{operator} makes integers of numbers")
        return self._at_points(operator, attributes, inputs, types)

    def _types(
        self,
        operator: str,
        attributes: Mapping[str, AttributeValue],
        stands: Sequence[np.ndarray | None],
        *,
        opset: int,
        num_outputs: int,
    ) -> list[np.dtype]:
        """Return the element types of the outputs."""
        try:
            model = self._models.setdefault(opset, NodeModels(opset))(operator, attributes, stands, num_outputs)
        except TypeInferenceError as error:
            raise ImpossibleError(str(error)) from error
        except UnwritableError as error:
            raise UnevaluableError(str(error)) from error
        return [numpy_dtype(number) for number in model.dtypes]

    def _without_field(
        self,
        operator: str,
        attributes: Mapping[str, AttributeValue],
        inputs: Sequence[np.ndarray | None],
        *,
        opset: int,
        num_outputs: int,
    ) -> tuple[np.ndarray, ...]:
        """Evaluate what no number goes into; numbers that come out of integers become numbers of the field."""
        value, shape = attributes.get("value"), attributes.get("shape")
        if operator == "ConstantOfShape" and isinstance(value, float) and isinstance(shape, tuple):
            (dtype,) = self._types(operator, attributes, inputs, opset=opset, num_outputs=1)
            if dtype.name in FLOATS:
                return (self._filled(shape, value, dtype.name),)
        outputs = self._ordinary.run(operator, attributes, inputs, opset=opset, num_outputs=num_outputs)
        return tuple(self._of_integers(output) for output in outputs)

    def _of_integers(self, value: np.ndarray) -> np.ndarray:
        if value.dtype.name not in FLOATS:
            return value
        if not bool((np.isfinite(value) & (value == np.round(value))).all()):
            raise UnevaluableError("integers that give other numbers")
        whole = numbers(value.astype(np.float64).astype(np.int64))
        return joined([whole] * len(self._points), value.dtype.name)

    def _cast(self, value: np.ndarray, dtype: str) -> np.ndarray:
        """To a wider type a number stays what it is; a narrower one makes of it something that is not known."""
        source = precision(value)
        if source == dtype:
            return value
        if not is_field(value):
            return self._of_integers(value.astype(dtype))
        at_points = [_cast(point, at(value, place), source, dtype) for place, point in enumerate(self._points)]
        return joined(at_points, dtype)

    def _at_points(
        self,
        operator: str,
        attributes: Mapping[str, AttributeValue],
        inputs: Sequence[np.ndarray | None],
        types: Sequence[np.dtype],
    ) -> tuple[np.ndarray, ...]:
        found: list[tuple[Numbers, ...]] = []
        try:
            for place, point in enumerate(self._points):
                found.append(_KERNELS[operator](point, attributes, [_argument(value, place) for value in inputs]))
        except ZeroDivisionError as error:
            raise UnevaluableError(str(error)) from error
        except (ValueError, IndexError) as error:
            raise UnevaluableError(f"{operator} of shapes that do not fit: {error}") from error
        outputs = zip(*found, strict=True)
        return tuple(joined(at_points, type_.name) for at_points, type_ in zip(outputs, types, strict=False))

    def difference(self, expected: np.ndarray, found: np.ndarray, floats: FloatClass) -> str:
        """Return in what two values differ: numbers of the field are equal or not, whatever the float class."""
        del floats
        if is_field(expected) != is_field(found) and {"bool"} == {precision(expected), precision(found)}:
            expected, found = self._truths(expected), self._truths(found)
        if expected.dtype != found.dtype:
            return f"{precision(expected)} became {precision(found)}"
        if expected.shape != found.shape:
            return f"shape {list(expected.shape)} became {list(found.shape)}"
        name = precision(expected)
        one, two = (expected[name], found[name]) if is_field(expected) else (expected, found)
        if not np.array_equal(one, two):
            return "other numbers"
        self.num_compared += is_field(expected) and expected.size > 0
        return ""

    def _truths(self, value: np.ndarray) -> np.ndarray:
        return value if is_field(value) else joined([numbers(value.astype(np.int64))] * len(self._points), "bool")


def _is_number(operator: str, place: int, value: np.ndarray) -> bool:
    """Whether a kernel understands an input: a number, or a truth or an integer where it expects one."""
    if precision(value) == "bool":
        return operator in _TRUTHS
    return precision(value) in FLOATS or (not is_field(value) and place == _INTEGERS.get(operator))


def _argument(value: np.ndarray | None, place: int) -> np.ndarray | None:
    """An input of a kernel: numbers of the field, truths among them, or ordinary integers."""
    if value is None:
        return None
    if is_field(value):
        return at(value, place)
    return value.astype(np.uint64 if value.dtype.kind == "b" else np.int64)


def _cast(point: Point, value: Numbers, source: str, target: str) -> Numbers:
    if target == "bool":
        return subtract(numbers(1), point.even("is zero", value))
    if source == "bool" or (source not in FLOATS and target in FLOATS):
        return value
    if source in FLOATS and target in FLOATS:
        return point.cast(value, 8 * np.dtype(source).itemsize, 8 * np.dtype(target).itemsize)
    return point.apply("Cast", [value], target)
