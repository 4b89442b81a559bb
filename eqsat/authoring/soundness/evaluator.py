"""What evaluates a node: floating-point numbers of ONNX's reference, of ONNX Runtime, or numbers of a finite field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np

    from eqsat.rules import FloatClass
    from eqsat.rules.instances import Leaf
    from ir.graph import AttributeValue


class UnevaluableError(Exception):
    """An evaluator knows no result for a node: an operator, an element type or a value that it has nothing for."""


class ImpossibleError(Exception):
    """A node cannot exist on these inputs, whoever evaluates it: their shapes or element types do not fit."""


class Evaluator(Protocol):
    """Evaluates single nodes.

    Attributes:
        name: What it is called in messages.
    """

    name: str

    def leaf(self, leaf: Leaf) -> np.ndarray:
        """Return the value of an input or constant; leaves of equal elements that are constant get equal values.

        Raises:
            UnevaluableError: It has none.
        """

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

        Args:
            operator: Row of the operator table.
            attributes: Every attribute of the row; sizes are numbers, never symbols.
            inputs: Values, None for one that is missing.
            opset: Version of the default domain.
            num_outputs: Outputs asked for.

        Raises:
            UnevaluableError: The evaluator cannot tell.
            ImpossibleError: No such node can exist.
        """

    def difference(self, expected: np.ndarray, found: np.ndarray, floats: FloatClass) -> str:
        """Return in what two values differ beyond what the float class allows; empty where they are equal enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRun:
    """One node with what goes in: the arguments of :meth:`Evaluator.run`."""

    operator: str
    attributes: Mapping[str, AttributeValue]
    inputs: tuple[np.ndarray | None, ...]
    num_outputs: int


@runtime_checkable
class BatchEvaluator(Protocol):
    """An evaluator that is faster when asked for many nodes at once."""

    def run_many(
        self, nodes: Sequence[NodeRun], *, opset: int
    ) -> list[tuple[np.ndarray, ...] | UnevaluableError | ImpossibleError]:
        """Return for each node what :meth:`Evaluator.run` returns or raises."""
