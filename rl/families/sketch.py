"""Draws a graph node by node, in the normal form of the operator table: a small model in milliseconds, from no file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, final

import numpy as np

from ir.data_types import numpy_dtype
from ir.graph import Node
from ir.inference import TypeInference
from ir.made_graph import made_constant, made_graph
from ir.operators import OPERATORS, shortest
from ir.types import Symbols, TensorType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ir.graph import AttributeValue, Constant, Graph

FLOAT: Final = 1
"""ONNX's number of float32."""

OPSET: Final = 18


@final
class Sketch:
    """A graph in the making; values are names.

    Attributes:
        rng: The only source of chance.
        opset: Version of the default domain.
    """

    def __init__(self, rng: np.random.Generator, opset: int = OPSET) -> None:
        """Start with nothing.

        Args:
            rng: Draws the elements of weights.
            opset: Version of the default domain.
        """
        self.rng = rng
        self.opset = opset
        self._symbols = Symbols()
        self._inference = TypeInference(opset, self._symbols)
        self._inputs: list[str] = []
        self._nodes: list[Node] = []
        self._constants: dict[str, Constant] = {}
        self._types: dict[str, TensorType] = {}
        self._numbers: dict[float, str] = {}

    @property
    def num_values(self) -> int:
        """Values there are so far: about as many e-nodes will the e-graph start with."""
        return len(self._types)

    def shape(self, value: str) -> tuple[int, ...]:
        """Return the shape of a value."""
        return self._types[value].shape

    def input(self, *shape: int) -> str:
        """Return a new float32 input."""
        name = f"x{len(self._inputs)}"
        self._inputs.append(name)
        self._types[name] = TensorType(FLOAT, shape)
        return name

    def constant(self, array: np.ndarray) -> str:
        """Return an array as a value."""
        name = f"c{len(self._constants)}"
        self._constants[name] = made_constant(name, array)
        self._types[name] = self._constants[name].type
        return name

    def weight(self, *shape: int, is_positive: bool = False) -> str:
        """Return a constant with random float32 elements, none of them zero or one.

        Args:
            shape: Its shape; products with it keep the order of magnitude.
            is_positive: Whether all elements are above zero, as variances are.
        """
        drawn = self.rng.random(shape, dtype=np.float32)
        size = np.float32(math.sqrt(max(shape[0], 1)))
        if is_positive:
            return self.constant((drawn + np.float32(0.5)) / size)
        centred = drawn - np.float32(0.5)
        return self.constant((centred + np.copysign(np.float32(0.5), centred)) / size)

    def number(self, number: float) -> str:
        """Return a constant scalar, the same for the same number."""
        if number not in self._numbers:
            self._numbers[number] = self.constant(np.array(number, numpy_dtype(FLOAT)))
        return self._numbers[number]

    def apply(self, operator: str, *inputs: str, **attributes: AttributeValue) -> str:
        """Return the result of a node.

        Args:
            operator: Row of the operator table.
            inputs: Values; an empty string for one that is missing.
            attributes: Attributes as the row has them; those with a default may be left out.

        Raises:
            TypeInferenceError: No such node can exist.
        """
        return self.several(operator, inputs, 1, **attributes)[0]

    def several(
        self, operator: str, inputs: Sequence[str], num_outputs: int, **attributes: AttributeValue
    ) -> tuple[str, ...]:
        """Return all results of a node.

        Args:
            operator: Row of the operator table.
            inputs: As for :meth:`apply`.
            num_outputs: Results there are.
            attributes: As for :meth:`apply`.

        Raises:
            TypeInferenceError: No such node can exist.
        """
        row = OPERATORS[operator]
        filled: dict[str, AttributeValue] = {}
        for column in row.attributes:
            value = attributes.get(column.name, column.default)
            if value is None:
                raise ValueError(f"{operator} needs the attribute {column.name}")
            filled[column.name] = shortest(value) if isinstance(value, float) else value
        padded = list(inputs) if row.is_variadic else [*inputs, *[""] * (row.num_inputs - len(inputs))]
        types = self._inference(operator, filled, [self._types.get(each) for each in padded], num_outputs)
        names = tuple(f"v{len(self._nodes)}.{index}" for index in range(num_outputs))
        self._types.update(zip(names, types, strict=False))
        self._nodes.append(Node(operator=operator, inputs=tuple(padded), outputs=names, attributes=filled))
        return names

    def graph(self, *outputs: str) -> Graph:
        """Return the graph with these outputs."""
        return made_graph(
            self._inputs,
            outputs,
            self._nodes,
            self._constants,
            self._types,
            opset=self.opset,
            symbols=self._symbols,
        )

    # --- what every kind of model is made of ----------------------------------------------------------------

    def reshape(self, value: str, *shape: int) -> str:
        """Return a value in another shape."""
        return self.apply("Reshape", value, shape=shape)

    def transpose(self, value: str, *perm: int) -> str:
        """Return a value with its axes in another order."""
        return self.apply("Transpose", value, perm=perm)

    def linear(self, value: str, num_out: int, *, has_bias: bool = True) -> str:
        """Return a product with a weight, over the last axis, and a bias added to it."""
        product = self.apply("MatMul", value, self.weight(self.shape(value)[-1], num_out))
        return self.apply("Add", product, self.weight(num_out)) if has_bias else product

    def convolution(
        self,
        value: str,
        num_out: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        has_bias: bool = True,
    ) -> str:
        """Return a convolution over all axes behind the second, padded to the same size where the stride is 1."""
        shape = self.shape(value)
        rank = len(shape) - 2
        weight = self.weight(num_out, shape[1] // groups, *(kernel,) * rank)
        return self.apply(
            "Conv",
            value,
            weight,
            *([self.weight(num_out)] if has_bias else []),
            strides=(stride,) * rank,
            pads=((kernel - 1) // 2,) * (2 * rank),
            dilations=(1,) * rank,
            group=groups,
        )

    def pool(self, value: str, operator: str = "MaxPool", *, kernel: int = 3, stride: int = 1) -> str:
        """Return a pooled image."""
        return self.apply(
            operator,
            value,
            kernel_shape=(kernel, kernel),
            strides=(stride, stride),
            pads=((kernel - 1) // 2,) * 4,
            dilations=(1, 1),
        )

    def slice(self, value: str, axis: int, start: int, end: int) -> str:
        """Return a part of a value along one axis."""
        return self.apply("Slice", value, starts=(start,), ends=(end,), axes=(axis,), steps=(1,))

    def split(self, value: str, axis: int, *sizes: int) -> tuple[str, ...]:
        """Return the pieces of a value along one axis."""
        return self.several("Split", [value], len(sizes), axis=axis, split=sizes)
