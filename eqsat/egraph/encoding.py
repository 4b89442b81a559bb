"""From a graph to an e-graph: every value becomes an e-class."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from eqsat.egglog.commands import assert_fact, call, float_lit, int_lit, set_value
from eqsat.egraph.constant_facts import has_equal_halves, has_equal_pairs, range_of, triangle_of
from eqsat.egraph.enode import ABSENT, CONS, CONST, INPUT, NIL, OPAQUE, OUT, ENode
from eqsat.egraph.expressions import class_term
from eqsat.egraph.mirror import TENSOR
from ir.operators import OPERATORS
from ir.types import TensorType

if TYPE_CHECKING:
    from eqsat.egglog.commands import Call, Command
    from eqsat.egraph.constant_facts import Range
    from eqsat.egraph.mirror import Draft, Mirror
    from ir.graph import Constant, Graph, Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """What an e-graph made from a model refers to.

    Attributes:
        constants: The tensor behind each ``(Const k)``.
        opaques: The node behind each ``(Opaque k ...)``.
        values: E-class of every value of the model.
        nodes: The model's own node behind an e-node that was loaded from it.
        roots: E-class of each output of the model, in order.
        pinned: Names that must exist in the written model beside the outputs: captured by subgraphs.
        commands: What loads the model into egglog.
    """

    constants: tuple[Constant, ...]
    opaques: tuple[Node, ...]
    values: dict[str, int]
    nodes: dict[ENode, Node]
    roots: tuple[int, ...]
    pinned: frozenset[str]
    commands: tuple[Command, ...]


def encode(graph: Graph, mirror: Mirror) -> Encoding:
    """Add a graph to an empty mirror and return the commands that add it to egglog."""
    return _Encoder(graph, mirror).run()


class _Encoder:
    def __init__(self, graph: Graph, mirror: Mirror) -> None:
        self.graph = graph
        self.draft: Draft = mirror.draft("")
        self.constants: list[Constant] = []
        self.by_content: dict[tuple[TensorType, bytes], int] = {}
        self.opaques: list[Node] = []
        self.values: dict[str, int] = {}
        self.nodes: dict[ENode, Node] = {}
        self.facts: list[Command] = []
        self.pinned: set[str] = set()

    def run(self) -> Encoding:
        for name in self.graph.inputs:
            self.values[name] = self.draft.add(ENode(INPUT, (), (name,)), self.graph.types.get(name) or UNTYPED)
        for node in self.graph.nodes:
            self._node(node)
        for name in self.graph.outputs:
            self._value(name)
        roots = tuple(self._value(name) for name in self.graph.outputs)
        self._siblings()
        facts = [assert_fact(call("root", class_term(TENSOR, handle))) for handle in roots]
        commands = (*self.draft.commit(), *self.facts, *facts)
        return Encoding(
            constants=tuple(self.constants),
            opaques=tuple(self.opaques),
            values=self.values,
            nodes=self.nodes,
            roots=roots,
            pinned=frozenset(self.pinned),
            commands=commands,
        )

    def _value(self, name: str) -> int:
        if not name:
            return self.draft.add(ENode(ABSENT))
        found = self.values.get(name)
        if found is None:
            constant = self.graph.constants[name]
            found = self._held(constant) if constant.is_held else self._constant(constant)
            self.values[name] = found
        return found

    def _held(self, constant: Constant) -> int:
        """A constant that stays as it is: no rule may know that it is one."""
        type_ = constant.type if self.graph.types.get(constant.name) is not None else UNTYPED
        return self.draft.add(ENode(INPUT, (), (constant.name,)), type_)

    def _constant(self, constant: Constant) -> int:
        """Equal constants are one e-class, whatever their names."""
        array = constant.numpy() if constant.type.dtype != _STRING else None
        key = None
        if array is not None:
            data = np.ascontiguousarray(array)
            key = (constant.type, hashlib.sha1(data.reshape(-1).view(np.uint8).data, usedforsecurity=False).digest())
            known = self.by_content.get(key)
            if known is not None:
                return known
        number = len(self.constants)
        self.constants.append(constant)
        type_ = constant.type if self.graph.types.get(constant.name) is not None else UNTYPED
        handle = self.draft.add(ENode(CONST, (), (number,)), type_)
        if key is not None and array is not None:
            self.by_content[key] = handle
            self._constant_facts(handle, array)
        else:
            self.facts.append(assert_fact(call("constant", class_term(TENSOR, handle))))
        return handle

    def _constant_facts(self, handle: int, array: np.ndarray) -> None:
        term = class_term(TENSOR, handle)
        self.facts.append(assert_fact(call("constant", term)))
        if array.dtype.name == "bfloat16":
            array = array.astype(np.float32)
        kind = array.dtype.kind
        is_number = kind in "fiu"
        if not is_number and kind != "b":
            return
        found = range_of(array) if is_number else None
        if found is not None:
            self._range_facts(term, found)
        if found is not None or kind != "f" or array.size == 0:
            self.facts.append(assert_fact(call("finite", term)))
        if is_number and array.size == 1 and array.ndim <= 1 and _is_exact(array):
            self.facts.append(set_value("scalar", [term], float_lit(float(array.reshape(-1)[0]))))
        if has_equal_halves(array):
            self.facts.append(assert_fact(call("equal-halves", term)))
        if has_equal_pairs(array):
            self.facts.append(assert_fact(call("equal-pairs", term)))
        triangle = triangle_of(array)
        if triangle is not None:
            numbers = [int_lit(triangle.size), float_lit(triangle.low), float_lit(triangle.high)]
            self.facts.append(assert_fact(call("triangular", term, *numbers)))

    def _range_facts(self, term: Call, found: Range) -> None:
        self.facts.append(set_value("magnitude", [term], float_lit(found.largest)))
        if found.least is not None:
            self.facts.append(set_value("least", [term], float_lit(found.least)))
        self.facts.append(set_value("peak", [term], float_lit(found.largest)))
        if not found.has_zero:
            self.facts.append(assert_fact(call("nonzero", term)))
        if not found.has_negative:
            self.facts.append(assert_fact(call("non-negative", term)))

    def _node(self, node: Node) -> None:
        inputs = tuple(self._value(name) for name in node.inputs)
        if node.is_opaque:
            self._opaque(node, inputs)
            return
        if not any(node.outputs):
            return
        row = OPERATORS[node.operator]
        if row.is_variadic:
            tail = self.draft.add(ENode(NIL))
            for child in reversed(inputs):
                tail = self.draft.add(ENode(CONS, (child, tail)), self._list_type(child, tail))
            inputs = (tail,)
        enode = ENode(node.operator, inputs, tuple(node.attributes.values()))
        self.nodes.setdefault(enode, node)
        if row.is_multi:
            types = tuple(self.graph.types.get(name) for name in node.outputs)
            multi = self.draft.add(enode, types)
            self._outputs(node, multi)
        else:
            output = node.outputs[0]
            self.values[output] = self.draft.add(enode, self.graph.types.get(output) or UNTYPED)

    def _list_type(self, child: int, tail: int) -> tuple[TensorType | None, ...]:
        head = self.draft.type_of(child)
        rest = self.draft.type_of(tail)
        return (head if isinstance(head, TensorType) else None, *(rest if isinstance(rest, tuple) else ()))

    def _opaque(self, node: Node, inputs: tuple[int, ...]) -> None:
        number = len(self.opaques)
        self.opaques.append(node)
        if node.source is not None:
            self.pinned.update(node.inputs[len(node.source.inputs) :])
        types = tuple(self.graph.types.get(name) for name in node.outputs)
        multi = self.draft.add(ENode(OPAQUE, inputs, (number,)), types)
        self._outputs(node, multi)

    def _outputs(self, node: Node, multi: int) -> None:
        for index, name in enumerate(node.outputs):
            if name:
                self.values[name] = self.draft.add(
                    ENode(OUT, (multi,), (index,)), self.graph.types.get(name) or UNTYPED
                )

    def _is_constant(self, name: str) -> bool:
        constant = self.graph.constants.get(name)
        return constant is not None and not constant.is_held

    def _siblings(self) -> None:
        """``(sibling x y w i n)``: y is the i-th of the n products of x with a constant matrix."""
        users: dict[int, list[tuple[int, int]]] = {}
        for node in self.graph.nodes:
            if node.operator == "MatMul" and node.outputs[0]:
                left, right = (self.values[name] for name in node.inputs)
                type_ = self.draft.type_of(right)
                if self._is_constant(node.inputs[1]) and isinstance(type_, TensorType) and type_.rank == _MATRIX:
                    pair = (self.values[node.outputs[0]], right)
                    if pair not in users.setdefault(left, []):
                        users[left].append(pair)
        for left, pairs in users.items():
            if len(pairs) > 1:
                for index, (output, right) in enumerate(pairs):
                    terms = [class_term(TENSOR, handle) for handle in (left, output, right)]
                    numbers = [int_lit(index), int_lit(len(pairs))]
                    self.facts.append(assert_fact(call("sibling", *terms, *numbers)))


def _is_exact(array: np.ndarray) -> bool:
    """Whether the one element of an array is a finite number that a float64 holds."""
    element = array.reshape(-1)[0]
    return bool(np.isfinite(element)) and element.item() == float(element)


UNTYPED: Final[tuple[()]] = ()
"""Type of an e-class of which nothing is known: no rule that needs a type matches it."""

_STRING: Final = 8
_MATRIX: Final = 2
