"""The substitutions that TASO published, as they stand in its file.

TASO (Jia et al. 2019, "Optimizing deep learning computation with automatic generation of graph substitutions", SOSP)
enumerates small graphs over concat, split, matmul, conv2d, relu and elementwise sums and products, and pairs those that
compute the same. The file says which operators there are and how they are connected, but no sizes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from typing_extensions import override


class NotExpressibleError(ValueError):
    """A substitution says something that has no counterpart here, or no sizes fit it."""


class Operation(StrEnum):
    """The operators of the file."""

    MATMUL = "matmul"
    CONCAT = "concat"
    SPLIT = "split"
    ADD = "ew_add"
    MUL = "ew_mul"
    CONV = "conv2d"
    RELU = "relu"


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """One tensor: an output of an application, or, where that is below zero, a free input of the substitution."""

    application: int
    output: int = 0

    @property
    def is_free(self) -> bool:
        """True for what the substitution takes as given."""
        return self.application < 0

    @override
    def __str__(self) -> str:
        return f"x{-self.application}" if self.is_free else f"t{self.application}.{self.output}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One operator of a side.

    Attributes:
        operation: Which one.
        inputs: Where its inputs come from.
        axis: Axis of a concatenation or a split; 0 for the others.
        rank: Rank of its tensors where the file says it, else 0.
        num_outputs: 1 but for a split.
        kernel: Height and width of a convolution's kernel; empty for the others.
        has_relu: Whether a ReLU is applied to the result.
    """

    operation: Operation
    inputs: tuple[Port, ...]
    axis: int = 0
    rank: int = 0
    num_outputs: int = 1
    kernel: tuple[int, ...] = ()
    has_relu: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Substitution:
    """A pair of graphs that are said to compute the same.

    Attributes:
        number: Place in the file, from 0.
        source: The graph to look for; an application stands after those that it uses.
        target: The graph to put in its place.
        outputs: Pairs of equal tensors, the source's first.
        obstacle: Why it has no counterpart here; then the sides are empty. Empty for all others.
    """

    number: int
    source: tuple[Application, ...] = ()
    target: tuple[Application, ...] = ()
    outputs: tuple[tuple[Port, Port], ...] = ()
    obstacle: str = ""


def parse(text: str) -> tuple[Substitution, ...]:
    """Read the decoded file.

    Args:
        text: JSON: a list of ``{source, target, mapped_outputs}``.

    Raises:
        KeyError: A field is missing.
        json.JSONDecodeError: The text is no JSON.
    """
    return tuple(_substitution(number, item) for number, item in enumerate(json.loads(text)))


def _substitution(number: int, item: Mapping[str, Any]) -> Substitution:
    try:
        return Substitution(
            number=number,
            source=tuple(_application(entry) for entry in item["source"]),
            target=tuple(_application(entry) for entry in item["target"]),
            outputs=tuple((Port(*pair["source"]), Port(*pair["target"])) for pair in item["mapped_outputs"]),
        )
    except NotExpressibleError as reason:
        return Substitution(number=number, obstacle=str(reason))


def _application(entry: Mapping[str, Any]) -> Application:
    parameters = entry["params"]
    if entry["op"] not in set(Operation):
        raise NotExpressibleError(f"the operator {entry['op']} is not known")
    operation = Operation(entry["op"])
    kernel: tuple[int, ...] = ()
    if operation is Operation.CONV:
        if (parameters["stride_h"], parameters["stride_w"], parameters["pad"]) != (1, 1, "SAME"):
            raise NotExpressibleError("a convolution with strides, or without padding to the same size")
        kernel = (parameters["kernel_h"], parameters["kernel_w"])
        if not all(size % 2 for size in kernel):
            raise NotExpressibleError("a convolution with an even kernel cannot pad both ends alike")
    activation = parameters.get("acti", "NONE")
    if activation not in {"NONE", "RELU"}:
        raise NotExpressibleError(f"the activation {activation} is not known")
    return Application(
        operation=operation,
        inputs=tuple(Port(*pair) for pair in entry["inputs"]),
        axis=parameters.get("axis", 0),
        rank=parameters.get("numdim", 0),
        num_outputs=parameters.get("num_outputs", 1),
        kernel=kernel,
        has_relu=activation == "RELU",
    )
