"""The two evaluators of floating-point numbers: ONNX's reference implementation and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, final

import numpy as np

from eqsat.authoring.soundness.defined import check_defined, check_reference, check_runtime
from eqsat.authoring.soundness.evaluator import ImpossibleError, NodeRun, UnevaluableError
from eqsat.authoring.soundness.tolerance import APPROXIMATE, REFERENCE, RUNTIME, RUNTIME_EXACT, difference
from eqsat.rules import FloatClass
from eqsat.runtime import ChildCrashedError, MeasurementError, ModelRun, RequestTimeoutError
from ir.node_model import NodeModels, TypeInferenceError, UnwritableError
from ir.node_reference import NodeReference, NoReferenceError

if TYPE_CHECKING:
    from eqsat.rules.instances import Leaf
    from eqsat.runtime import Runtime
    from ir.graph import AttributeValue

Result: TypeAlias = "tuple[np.ndarray, ...] | UnevaluableError | ImpossibleError"


@final
class ReferenceNumbers:
    """ONNX's own reference implementation, in the precision of the instance."""

    name = "onnx.reference"

    def __init__(self) -> None:
        self._nodes: dict[int, NodeReference] = {}

    def leaf(self, leaf: Leaf) -> np.ndarray:
        """Return the elements of a leaf."""
        return leaf.array

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
            UnevaluableError: There is no reference implementation, or no result that ONNX defines.
            ImpossibleError: No such node can exist.
        """
        check_defined(operator, attributes, inputs)
        check_reference(operator, inputs)
        if opset not in self._nodes:
            self._nodes[opset] = NodeReference(opset)
        try:
            return self._nodes[opset](operator, attributes, inputs, num_outputs)
        except TypeInferenceError as error:
            raise ImpossibleError(str(error)) from error
        except (NoReferenceError, UnwritableError) as error:
            raise UnevaluableError(str(error)) from error

    def difference(self, expected: np.ndarray, found: np.ndarray, floats: FloatClass) -> str:
        """Return in what two values differ beyond what the float class allows."""
        if floats is FloatClass.EXACT:
            return difference(expected, found, floats, 0.0, has_signed_zeros=True)
        tolerance = APPROXIMATE if floats is FloatClass.APPROXIMATES else REFERENCE.get(str(expected.dtype), 0.0)
        return difference(expected, found, floats, tolerance)


@final
class RuntimeNumbers:
    """ONNX Runtime on the CPU, every node as it stands, in the precision of the instance."""

    name = "ONNX Runtime"

    def __init__(self, runtime: Runtime) -> None:
        """Ask ``runtime``, whose child process may crash without harm."""
        self._runtime = runtime
        self._models: dict[int, NodeModels] = {}

    def leaf(self, leaf: Leaf) -> np.ndarray:
        """Return the elements of a leaf."""
        return leaf.array

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
            UnevaluableError: ONNX Runtime has no kernel for it, or fails.
            ImpossibleError: No such node can exist.
        """
        node = NodeRun(operator=operator, attributes=attributes, inputs=tuple(inputs), num_outputs=num_outputs)
        (result,) = self.run_many([node], opset=opset)
        if isinstance(result, Exception):
            raise result
        return result

    def run_many(self, nodes: Sequence[NodeRun], *, opset: int) -> list[Result]:
        """Return for each of many nodes what :meth:`run` returns or raises, with one message to the child process."""
        models = self._models.setdefault(opset, NodeModels(opset))
        results: list[Result] = []
        runs: list[ModelRun] = []
        for node in nodes:
            try:
                check_defined(node.operator, node.attributes, node.inputs)
                check_runtime(node.operator, node.inputs)
                model = models(node.operator, node.attributes, node.inputs, node.num_outputs)
            except TypeInferenceError as error:
                results.append(ImpossibleError(str(error)))
            except (UnevaluableError, UnwritableError) as error:
                results.append(UnevaluableError(str(error)))
            else:
                feeds = {f"x{position}": array for position, array in enumerate(node.inputs) if array is not None}
                runs.append(ModelRun(model=model.proto, feeds=feeds))
                results.append(())
        answers = iter(self._answers(runs))
        return [result if isinstance(result, Exception) else next(answers) for result in results]

    def _answers(self, runs: Sequence[ModelRun]) -> list[Result]:
        """Ask; where one of many nodes takes the child process with it, ask in halves until it is found."""
        if not runs:
            return []
        try:
            outputs = self._runtime.run_batch(runs)
        except (ChildCrashedError, RequestTimeoutError) as error:
            if len(runs) == 1:
                return [UnevaluableError(str(error))]
            middle = len(runs) // 2
            return [*self._answers(runs[:middle]), *self._answers(runs[middle:])]
        return [
            UnevaluableError(str(output)) if isinstance(output, MeasurementError) else tuple(output.values())
            for output in outputs
        ]

    def difference(self, expected: np.ndarray, found: np.ndarray, floats: FloatClass) -> str:
        """Return in what two values differ beyond what the float class allows."""
        tolerances = RUNTIME_EXACT if floats is FloatClass.EXACT else RUNTIME
        tolerance = APPROXIMATE if floats is FloatClass.APPROXIMATES else tolerances.get(str(expected.dtype), 0.0)
        return difference(expected, found, floats, tolerance, has_signed_zeros=floats is FloatClass.EXACT)
