"""Whether all the forms that an e-graph holds of one value are the same numbers.

Every e-node is evaluated on its own, on the values of its children's e-classes, and compared with the value of its
own e-class: what a rule made equal must be equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final, TypeAlias

import numpy as np
import onnx
import onnxruntime as ort
from onnx.reference import ReferenceEvaluator

from eqsat.egraph.enode import CONST, INPUT, ENode
from eqsat.egraph.session import Session
from eqsat.rules import FloatClass
from ir.graph import AttributeValue
from ir.micro_model import MicroNode, micro_model
from ir.operators import OPERATORS
from ir.types import TensorType

Value: TypeAlias = "np.ndarray | tuple[np.ndarray, ...] | None"
"""A tensor, the tensors of a list or of an operator with several outputs, or a missing input."""


class Engine(Enum):
    """What evaluates a node."""

    REFERENCE = auto()
    """ONNX's own reference implementation, in any precision."""
    RUNTIME = auto()
    """ONNX Runtime on the CPU."""


TOLERANCES: Mapping[tuple[FloatClass, Engine], float] = {
    (FloatClass.EXACT, Engine.REFERENCE): 0.0,
    (FloatClass.EXACT, Engine.RUNTIME): 2e-6,  # vector kernels finish a row with other instructions
    (FloatClass.ROUNDS, Engine.REFERENCE): 1e-7,
    (FloatClass.ROUNDS, Engine.RUNTIME): 1e-4,
    (FloatClass.REASSOCIATES, Engine.REFERENCE): 1e-7,  # attributes and literals of rules are float32
    (FloatClass.REASSOCIATES, Engine.RUNTIME): 1e-4,
    (FloatClass.FINITE, Engine.REFERENCE): 1e-7,
    (FloatClass.FINITE, Engine.RUNTIME): 1e-4,
    (FloatClass.APPROXIMATES, Engine.REFERENCE): 1e-2,
    (FloatClass.APPROXIMATES, Engine.RUNTIME): 1e-2,
}
"""Largest difference, relative to the largest number of the value."""

HALF: Final = 3e-2
"""The same for values in half precision that need not be the same bits."""


class Disagreement(AssertionError):  # noqa: N818  # reads as what it is
    """Two forms of one value differ."""


class UnevaluableError(Exception):
    """An engine cannot evaluate a node."""


class Values:
    """Values of the e-classes of a session."""

    def __init__(
        self, session: Session, feeds: Mapping[str, np.ndarray], sizes: Mapping[int, int], engine: Engine
    ) -> None:
        self._session = session
        self._feeds = feeds
        self._sizes = dict(sizes)
        self._engine = engine
        self._values: dict[int, Value] = {}

    def check(self, floats: FloatClass) -> int:
        """Compare every e-node with its e-class; return how many second forms there were.

        Raises:
            Disagreement: Two forms of one value differ.
            UnevaluableError: The engine cannot evaluate a node.
        """
        todo = [(handle, enode) for handle, members in self._session.eclasses() for enode in members]
        # What was loaded comes first: it defines the value that every other form must have.
        loaded = self._session.encoding.nodes
        todo.sort(key=lambda item: (item[1].operator not in {INPUT, CONST}, item[1] not in loaded))
        num_forms = 0
        while todo:
            left = []
            for handle, enode in todo:
                if all(child in self._values for child in enode.children):
                    num_forms += self._take(handle, self._evaluate(enode), enode, floats)
                else:
                    left.append((handle, enode))
            if len(left) == len(todo):
                raise UnevaluableError(f"nothing gives a value to {left[0]}")
            todo = left
        return num_forms

    def array(self, handle: int) -> np.ndarray:
        """Return the value of an e-class, once everything is checked."""
        value = self._values[handle]
        assert isinstance(value, np.ndarray)
        return value

    def _take(self, handle: int, value: Value, enode: ENode, floats: FloatClass) -> int:
        if handle not in self._values:
            self._values[handle] = value
            type_ = self._session.mirror.types[handle]
            if isinstance(type_, TensorType) and isinstance(value, np.ndarray):
                self._sizes.update((dim, size) for dim, size in zip(type_.shape, value.shape, strict=True) if dim < 0)
            return 0
        expected = self._values[handle]
        if isinstance(expected, np.ndarray) and isinstance(value, np.ndarray):
            message = difference(expected, value, TOLERANCES[floats, self._engine])
            if message:
                raise Disagreement(f"{enode}: {message}\n{expected}\n{value}")
            return 1
        return 0

    def _evaluate(self, enode: ENode) -> Value:
        children = [self._values[child] for child in enode.children]
        if enode.is_operator:
            row = OPERATORS[enode.operator]
            results = self._run(enode, children[0] if row.is_variadic else tuple(children))  # type: ignore[arg-type]
            return results if row.is_multi else results[0]
        return self._structure(enode, children)

    def _structure(self, enode: ENode, children: list[Value]) -> Value:
        match enode.operator, enode.attributes:
            case "Input", (str(name),):
                return self._feeds[name]
            case "Const", (int(number),):
                return np.asarray(self._session.encoding.constants[number].numpy())
            case "Out", (int(index),):
                return children[0][index]  # type: ignore[index]
            case "Cons", ():
                return (children[0], *children[1])  # type: ignore[arg-type, misc]
            case "Nil", ():
                return ()
            case _:
                return None

    def _static(self, attribute: AttributeValue) -> AttributeValue:
        if isinstance(attribute, tuple):
            return tuple(self._sizes.get(number, number) for number in attribute)
        return attribute

    def _run(self, enode: ENode, inputs: tuple[np.ndarray | None, ...]) -> tuple[np.ndarray, ...]:
        attributes = {name: self._static(value) for name, value in enode.named_attributes().items()}
        arrays = {index: array for index, array in enumerate(inputs) if array is not None}
        sizes = attributes.get("split")
        num_outputs = len(sizes) if isinstance(sizes, tuple) else max(OPERATORS[enode.operator].num_outputs, 1)
        node = MicroNode(
            operator=enode.operator,
            attributes=attributes,
            inputs=tuple(index if index in arrays else None for index in range(len(inputs))),
            outputs=tuple(len(inputs) + index for index in range(num_outputs)),
        )
        types = {
            index: TensorType(onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for index, array in arrays.items()
        }
        model = micro_model([node], types, {}, self._session.graph.opset)
        feeds = {f"v{index}": array for index, array in arrays.items()}
        if self._engine is Engine.REFERENCE:
            return _by_reference(model.proto, feeds)
        return _by_runtime(model.proto, feeds)


def _by_reference(proto: bytes, feeds: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    with np.errstate(all="ignore"):
        try:
            results = ReferenceEvaluator(onnx.load_from_string(proto)).run(None, feeds)
        except (NotImplementedError, RuntimeError, AttributeError) as error:
            raise UnevaluableError(str(error)) from error
    return tuple(np.asarray(result) for result in results)


def _by_runtime(proto: bytes, feeds: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(proto, options, providers=["CPUExecutionProvider"])
        results = session.run(None, feeds)
    except (RuntimeError, NotImplementedError, *_RUNTIME_ERRORS) as error:
        raise UnevaluableError(str(error)) from error
    return tuple(np.asarray(result) for result in results)


_RUNTIME_ERRORS = tuple(
    getattr(ort.capi.onnxruntime_pybind11_state, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "NotImplemented", "RuntimeException")
)


def difference(expected: np.ndarray, found: np.ndarray, tolerance: float) -> str:
    """Return what differs beyond the tolerance; empty where nothing does. NaN equals NaN."""
    if expected.dtype != found.dtype:
        return f"{expected.dtype} became {found.dtype}"
    if expected.shape != found.shape:
        return f"shape {expected.shape} became {found.shape}"
    if expected.dtype.kind != "f" or not tolerance:
        return "" if np.array_equal(expected, found, equal_nan=expected.dtype.kind == "f") else "not equal"
    if not np.array_equal(np.isnan(expected), np.isnan(found)):
        return "NaN at other places"
    with np.errstate(all="ignore"):
        gap = np.where(expected == found, 0.0, np.abs(expected.astype(np.float64) - found.astype(np.float64)))
    gap = np.nan_to_num(gap, nan=0.0, posinf=np.inf)
    finite = np.abs(expected[np.isfinite(expected)])
    tolerance = max(tolerance, HALF) if expected.dtype == np.float16 else tolerance
    scale = max(1.0, float(finite.max())) if finite.size and float(finite.max()) < 1e30 else 1.0
    worst = float(gap.max()) if gap.size else 0.0
    return f"differs by {worst:.3g} where {tolerance * scale:.3g} is allowed" if worst > tolerance * scale else ""
