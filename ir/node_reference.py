"""Single nodes evaluated by ONNX's own reference implementation."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, final

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from ir.node_model import NodeModels, has_reference, type_of
from ir.reference import EVALUATION_ERRORS

if TYPE_CHECKING:
    from ir.graph import AttributeValue


_RIGHT_SINCE: Final[Mapping[str, int]] = {"BatchNormalization": 14, "LRN": 1_000}
"""Opset from which on the reference implementation computes what the specification says, where that is not the first.

BatchNormalization mixes in the statistics of its input below 14, and LRN loops over the batch instead of the channels.
"""


class NoReferenceError(Exception):
    """The reference implementation has no result for a node: it does not know the operator, or fails on it."""


@final
class NodeReference:
    """Evaluates nodes at one opset, in the precision of what goes in."""

    def __init__(self, opset: int) -> None:
        self._opset = opset
        self._models = NodeModels(opset)
        self._evaluators: dict[int, ReferenceEvaluator] = {}

    def __call__(
        self,
        operator: str,
        attributes: Mapping[str, AttributeValue],
        inputs: Sequence[np.ndarray | None],
        num_outputs: int,
    ) -> tuple[np.ndarray, ...]:
        """Return a node's outputs.

        Args:
            operator: Row of the operator table.
            attributes: Every attribute of the row, without symbols.
            inputs: What goes in, None for one that is missing.
            num_outputs: Outputs asked for.

        Raises:
            TypeInferenceError: No such node can exist on these inputs.
            UnwritableError: The opset has no words for it.
            NoReferenceError: There is no result.
        """
        model = self._models(operator, attributes, inputs, num_outputs)
        if not has_reference(operator, self._opset) or self._opset < _RIGHT_SINCE.get(operator, 0):
            raise NoReferenceError(f"{operator} has no reference implementation at opset {self._opset}")
        feeds = {f"x{position}": array for position, array in enumerate(inputs) if array is not None}
        try:
            if model.number not in self._evaluators:
                self._evaluators[model.number] = ReferenceEvaluator(onnx.load_from_string(model.proto))
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results = self._evaluators[model.number].run(None, feeds)
        except EVALUATION_ERRORS as error:
            raise NoReferenceError(f"{operator}: {error}") from error
        arrays = tuple(np.asarray(result) for result in results)
        for array, dtype in zip(arrays, model.dtypes, strict=True):
            if type_of(array).dtype != dtype:
                raise NoReferenceError(f"{operator}: the reference gives {array.dtype}")
        return arrays
