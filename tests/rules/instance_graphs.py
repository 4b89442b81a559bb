"""Drawn instances as graphs, for a session to load."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir

from eqsat.rules.instances import Apply, Drawn, Name, Symbol, Term
from ir.graph import AttributeValue, Constant, Graph, Node
from ir.inference import TypeInference
from ir.operators import OPERATORS
from ir.types import Symbols, TensorType


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A graph and what its symbols and inputs are.

    Attributes:
        graph: The instance; its outputs are the roots.
        feeds: Elements of each input.
        sizes: Size of each symbol, by its id.
    """

    graph: Graph
    feeds: dict[str, np.ndarray]
    sizes: dict[int, int]


def load(drawn: Drawn, rng: np.random.Generator) -> Loaded:
    """Return a drawn instance as a graph; the operands of commutative operators change places at random."""
    return _Builder(drawn, rng).run()


class _Builder:
    def __init__(self, drawn: Drawn, rng: np.random.Generator) -> None:
        self.drawn = drawn
        self.rng = rng
        self.symbols = Symbols()
        self.inference = TypeInference(drawn.opset, self.symbols)
        self.nodes: list[Node] = []
        self.types: dict[str, TensorType] = {}
        self.constants: dict[str, Constant] = {}
        self.known: dict[Term, str] = {}
        self.pieces: dict[Term, list[str]] = {}

    def run(self) -> Loaded:
        feeds = {}
        for leaf in self.drawn.leaves.values():
            dims = tuple(self.symbols.intern(dim) if isinstance(dim, str) else dim for dim in leaf.dims)
            self.types[leaf.name] = TensorType(leaf.number, dims)
            if leaf.is_constant:
                tensor = onnx_ir.tensor(leaf.array, name=leaf.name)
                self.constants[leaf.name] = Constant(name=leaf.name, type=self.types[leaf.name], tensor=tensor)
            else:
                feeds[leaf.name] = leaf.array
        outputs = tuple(self.value(root) for root in self.drawn.roots)
        graph = Graph(
            inputs=tuple(feeds),
            outputs=outputs,
            nodes=tuple(self.nodes),
            constants=self.constants,
            types=self.types,
            opsets={"": self.drawn.opset, "com.microsoft": 1},
            symbols=self.symbols,
            model=onnx_ir.Model(onnx_ir.Graph([], [], nodes=[], opset_imports={"": self.drawn.opset}), ir_version=10),
        )
        sizes = {self.symbols.intern(name): size for name, size in self.drawn.sizes.items()}
        return Loaded(graph=graph, feeds=feeds, sizes=sizes)

    def value(self, term: Term) -> str:
        """Return the name of a term's value; equal terms are one node."""
        match term:
            case Name(name):
                return self.value(self.drawn.lets[name]) if name in self.drawn.lets else name
            case Apply("Absent", ()):
                return ""
            case Apply("Out", (multi, int(index))):
                return self.outputs(multi)[index]
            case Apply():
                if term not in self.known:
                    self.known[term] = self.node(term)[0]
                return self.known[term]
            case _:
                raise TypeError(f"no tensor: {term}")

    def outputs(self, term: Term) -> list[str]:
        """Return the names of the outputs of an operator with several."""
        if isinstance(term, Name):
            return self.outputs(self.drawn.lets[term.name])
        if not isinstance(term, Apply):
            raise TypeError(f"no operator: {term}")
        if term not in self.pieces:
            self.pieces[term] = self.node(term)
        return self.pieces[term]

    def node(self, term: Apply) -> list[str]:
        row = OPERATORS[term.name]
        num_tensors = 1 if row.is_variadic else row.num_inputs
        tensors, rest = term.arguments[:num_tensors], term.arguments[num_tensors:]
        inputs = self.items(tensors[0]) if row.is_variadic else [self.value(tensor) for tensor in tensors]
        if row.is_commutative and self.rng.random() < 0.5:
            inputs.reverse()
        if rest and isinstance(rest[0], Apply) and rest[0].name == f"{row.name}A":
            rest = rest[0].arguments
        attributes = {
            column.name: self.attribute(argument) for column, argument in zip(row.attributes, rest, strict=True)
        }
        types = [self.types[name] if name else None for name in inputs]
        sizes = attributes.get("split")
        num_outputs = len(sizes) if isinstance(sizes, tuple) else max(row.num_outputs, 1)
        found = self.inference(row.name, attributes, types, num_outputs)
        names = [f"t{len(self.nodes)}.{index}" for index in range(num_outputs)]
        self.types.update(zip(names, found, strict=False))
        self.nodes.append(Node(operator=row.name, inputs=tuple(inputs), outputs=tuple(names), attributes=attributes))
        return names

    def items(self, term: Term) -> list[str]:
        match term:
            case Apply("Cons", (head, tail)):
                return [self.value(head), *self.items(tail)]
            case _:
                return []

    def attribute(self, term: Term) -> AttributeValue:
        match term:
            case Apply(_, arguments):
                return tuple(self.size(argument) for argument in arguments)
            case int() | float() | str():
                return term
            case _:
                raise TypeError(f"no attribute: {term}")

    def size(self, term: Term) -> int:
        match term:
            case Symbol(name):
                return self.symbols.intern(name)
            case int():
                return term
            case _:
                raise TypeError(f"no size: {term}")
