"""From an e-node, alone or with those fused into it, to a micro-model, and the signature its price is kept under."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

import numpy as np

from eqsat.egraph.enode import ABSENT, CONS, CONST, NIL, ENode
from ir.data_types import itemsize, numpy_dtype
from ir.micro_model import MicroModel, MicroNode, micro_model
from ir.operators import OPERATORS
from ir.types import TensorType

if TYPE_CHECKING:
    from eqsat.egraph.session import Session
    from ir.graph import AttributeValue

MAX_KNOWN_ELEMENTS: Final = 1024
"""Constants up to this size keep their elements in a micro-model: kernels look at them (exponents, pads, masks)."""


class UnpriceableError(Exception):
    """There is no micro-model for this: a type is not known, or a dimension has no size."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """E-nodes that the provider runs together; the first uses the second, and so on. A single e-node is one too.

    Attributes:
        enodes: The e-nodes, outermost first.
        links: For each e-node after the first, the e-class it stands for inside the cluster.
    """

    enodes: tuple[ENode, ...]
    links: tuple[int, ...] = ()

    def external_children(self) -> tuple[int, ...]:
        """Return the e-classes that the cluster needs from outside, ascending, each once."""
        inside = set(self.links)
        return tuple(sorted({child for enode in self.enodes for child in enode.children if child not in inside}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Micro:
    """What is measured for a cluster.

    Attributes:
        signature: Equal for clusters that cost the same: operators, attributes, types, small constants.
        nodes: The micro-model's nodes.
        inputs: Types of what goes in.
        constants: Types and, where they matter, elements of what is constant.
    """

    signature: str
    nodes: tuple[MicroNode, ...]
    inputs: Mapping[int, TensorType]
    constants: Mapping[int, tuple[TensorType, np.ndarray | None]]

    @property
    def constant_bytes(self) -> float:
        """Bytes of its constants."""
        types = [type_ for type_, _ in self.constants.values()]
        return sum(math.prod(type_.shape) * itemsize(type_.dtype) for type_ in types)

    def build(self, opset: int) -> MicroModel:
        """Return the micro-model.

        Raises:
            UnwritableError: A node cannot be written at this opset.
            TypeInferenceError: A node cannot exist.
        """
        rng = np.random.default_rng(0)
        arrays = {
            number: _filler(type_, rng) if array is None else array for number, (type_, array) in self.constants.items()
        }
        return micro_model(self.nodes, self.inputs, arrays, opset)


def feeds_for(model: MicroModel) -> dict[str, np.ndarray]:
    """Return inputs for a micro-model: small random floats, zeros as indices, true as a mask."""
    rng = np.random.default_rng(1)
    return {name: _filler(type_, rng) for name, type_ in model.feeds.items()}


def _filler(type_: TensorType, rng: np.random.Generator) -> np.ndarray:
    dtype = numpy_dtype(type_.dtype)
    if dtype.kind == "b":
        return np.ones(type_.shape, dtype)
    if dtype.kind in "iu":
        return np.zeros(type_.shape, dtype)
    return (0.1 * rng.standard_normal(type_.shape, dtype=np.float32)).astype(dtype)


@final
class MicroMaker:
    """Makes the micro-models of one session's e-nodes, at the sizes the user will run."""

    def __init__(self, session: Session, symbol_sizes: Mapping[int, int]) -> None:
        """Remember where the e-nodes come from.

        Args:
            session: The e-graph.
            symbol_sizes: Size to measure at, for every symbol of the model's inputs.
        """
        self._session = session
        self._sizes = symbol_sizes
        self._constants = session.constants()
        self._elements: dict[int, np.ndarray | None] = {}

    def concrete(self, type_: TensorType) -> TensorType:
        """Return a type in which every symbol has its size.

        Raises:
            UnpriceableError: A symbol has no size.
        """
        try:
            return TensorType(type_.dtype, tuple(dim if dim >= 0 else self._sizes[dim] for dim in type_.shape))
        except KeyError as error:
            raise UnpriceableError("a dimension has no size") from error

    def micro(self, cluster: Cluster) -> Micro:
        """Return what to measure for a cluster.

        Raises:
            UnpriceableError: A type or a size is not known.
        """
        numbers: dict[int, int] = {}
        inputs: dict[int, TensorType] = {}
        constants: dict[int, tuple[TensorType, np.ndarray | None]] = {}
        nodes: list[MicroNode] = []
        text: list[object] = []
        inside = dict(zip(cluster.links, cluster.enodes[1:], strict=True))

        def value(handle: int) -> int | None:
            if self._is_absent(handle):
                return None
            if handle in numbers:
                return numbers[handle]
            number = numbers[handle] = len(numbers)
            if handle in inside:
                add(inside[handle], number)
                return number
            type_ = self._type(handle)
            if handle in self._constants:
                constants[number] = (type_, self._known_elements(handle))
            else:
                inputs[number] = type_
            return number

        def add(enode: ENode, output: int) -> None:
            arguments = tuple(value(child) for child in self._operands(enode))
            attributes = {name: self._sized(attribute) for name, attribute in enode.named_attributes().items()}
            count = _num_outputs(enode)
            outputs = (output, *range(_EXTRA_OUTPUTS, _EXTRA_OUTPUTS + count - 1))
            nodes.append(MicroNode(operator=enode.operator, attributes=attributes, inputs=arguments, outputs=outputs))
            text.append([enode.operator, list(attributes.items()), arguments])

        numbers[_OUTPUT] = 0
        add(cluster.enodes[0], 0)
        described = [
            *([number, type_.dtype, type_.shape] for number, type_ in inputs.items()),
            *([number, type_.dtype, type_.shape, _digest(array)] for number, (type_, array) in constants.items()),
        ]
        signature = json.dumps([self._session.graph.opset, text, described], separators=(",", ":"))
        return Micro(signature=signature, nodes=tuple(nodes), inputs=inputs, constants=constants)

    def output_elements(self, handle: int) -> int:
        """Return how many elements an e-class has; 0 where that is not known."""
        type_ = self._session.mirror.types[handle]
        if not isinstance(type_, TensorType):
            return 0
        try:
            return int(np.prod(self.concrete(type_).shape, dtype=np.int64))
        except UnpriceableError:
            return 0

    def _sized(self, attribute: AttributeValue) -> AttributeValue:
        """Attributes with symbols in them (shapes) at their sizes."""
        if isinstance(attribute, tuple):
            return tuple(self._sizes.get(number, number) for number in attribute)
        return attribute

    def _operands(self, enode: ENode) -> list[int]:
        if not OPERATORS[enode.operator].is_variadic:
            return list(enode.children)
        items: list[int] = []
        handle = enode.children[0]
        while True:
            cell = next(each for each in self._session.members(handle) if each.operator in {NIL, CONS})
            if cell.operator == NIL:
                return items
            items.append(cell.children[0])
            handle = cell.children[1]

    def _is_absent(self, handle: int) -> bool:
        return any(each.operator == ABSENT for each in self._session.members(handle))

    def _type(self, handle: int) -> TensorType:
        type_ = self._session.mirror.types[handle]
        if not isinstance(type_, TensorType):
            raise UnpriceableError("a type is not known")
        return self.concrete(type_)

    def _known_elements(self, handle: int) -> np.ndarray | None:
        """Elements of a small constant that is there as such."""
        if handle not in self._elements:
            self._elements[handle] = self._find_elements(handle)
        return self._elements[handle]

    def _find_elements(self, handle: int) -> np.ndarray | None:
        for enode in self._session.members(handle):
            number = enode.attributes[0] if enode.operator == CONST else None
            if isinstance(number, int):
                constant = self._session.encoding.constants[number]
                if np.prod(constant.type.shape, dtype=np.int64) <= MAX_KNOWN_ELEMENTS:
                    return constant.numpy()
            if enode.operator == "ConstantOfShape":
                shape, fill, dtype = enode.attributes
                if isinstance(shape, tuple) and isinstance(dtype, int) and min(shape, default=0) >= 0:
                    return np.full(shape, fill, numpy_dtype(dtype))
        return None


_OUTPUT: Final = -1
_EXTRA_OUTPUTS: Final = 1_000_000


def _num_outputs(enode: ENode) -> int:
    row = OPERATORS[enode.operator]
    if not row.is_multi:
        return 1
    sizes = enode.named_attributes().get("split")
    return len(sizes) if isinstance(sizes, tuple) else row.num_outputs


def _digest(array: np.ndarray | None) -> str:
    """What a kernel may see in a constant: its elements where there are few, nothing where it is a weight."""
    if array is None or array.size > _FEW:
        return "weight"
    return hashlib.sha1(np.ascontiguousarray(array).tobytes(), usedforsecurity=False).hexdigest()[:12]


_FEW: Final = 8
