"""Many instances as one graph, so that one e-graph judges them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eqsat.rules.instances import Apply, Drawn, Leaf, Name, Symbol
from ir.graph import Node
from ir.inference import TypeInference, TypeInferenceError
from ir.made_graph import made_constant, made_graph
from ir.operators import OPERATORS
from ir.program import dtype_number
from ir.types import Symbols, TensorType

if TYPE_CHECKING:
    import numpy as np

    from eqsat.rules.instances import Term
    from ir.graph import AttributeValue, Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One instance within a graph.

    Attributes:
        drawn: The instance.
        leaves: Its inputs and constants by their names in the graph.
        nodes: Its nodes.
        types: Types of its values.
        roots: Names of the values at which the rule is to match.
    """

    drawn: Drawn
    leaves: Mapping[str, Leaf]
    nodes: tuple[Node, ...]
    types: Mapping[str, TensorType]
    roots: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Instances of one opset side by side.

    Attributes:
        graph: All of them; its outputs are their roots.
        parts: Each of them.
        sizes: Size of each symbol, by its id.
    """

    graph: Graph
    parts: tuple[Part, ...]
    sizes: Mapping[int, int]

    def leaf(self, name: str) -> Leaf:
        """Return an input or a constant by its name in the graph.

        Raises:
            KeyError: There is none of that name.
        """
        for part in self.parts:
            if name in part.leaves:
                return part.leaves[name]
        raise KeyError(name)


def together(instances: Sequence[Drawn], rng: np.random.Generator) -> Parts:
    """Return instances as one graph; those that no graph can hold are left out.

    In every other instance the operands of commutative operators change places.

    Args:
        instances: Instances of one opset.
        rng: Source of that choice.
    """
    opset = instances[0].opset
    symbols = Symbols()
    inference = TypeInference(opset, symbols)
    parts: list[Part] = []
    for drawn in instances:
        builder = _Builder(drawn, f"i{len(parts)}", symbols, inference, rng)
        try:
            parts.append(builder.run())
        except TypeInferenceError:
            continue
    leaves = {name: leaf for part in parts for name, leaf in part.leaves.items()}
    constants = {name: made_constant(name, leaf.array) for name, leaf in leaves.items() if leaf.is_constant}
    graph = made_graph(
        [name for name, leaf in leaves.items() if not leaf.is_constant],
        [root for part in parts for root in part.roots],
        [node for part in parts for node in part.nodes],
        constants,
        {name: type_ for part in parts for name, type_ in part.types.items()},
        opset=opset,
        symbols=symbols,
    )
    sizes = {
        symbols.intern(f"i{index}/{name}"): size
        for index, part in enumerate(parts)
        for name, size in part.drawn.sizes.items()
    }
    return Parts(graph=graph, parts=tuple(parts), sizes=sizes)


class _Builder:
    """Builds one instance; names of its values start with ``prefix``."""

    def __init__(
        self, drawn: Drawn, prefix: str, symbols: Symbols, inference: TypeInference, rng: np.random.Generator
    ) -> None:
        self.drawn = drawn
        self.prefix = prefix
        self.symbols = symbols
        self.inference = inference
        self.is_turned = bool(rng.random() < 0.5)
        self.nodes: list[Node] = []
        self.types: dict[str, TensorType] = {}
        self.known: dict[Term, str] = {}
        self.pieces: dict[Term, list[str]] = {}

    def run(self) -> Part:
        leaves = {f"{self.prefix}/{name}": leaf for name, leaf in self.drawn.leaves.items()}
        for name, leaf in leaves.items():
            dims = tuple(self.symbol(dim) if isinstance(dim, str) else dim for dim in leaf.dims)
            self.types[name] = TensorType(leaf.number, dims)
        roots = tuple(self.value(root) for root in self.drawn.roots)
        return Part(drawn=self.drawn, leaves=leaves, nodes=tuple(self.nodes), types=self.types, roots=roots)

    def symbol(self, name: str) -> int:
        return self.symbols.intern(f"{self.prefix}/{name}")

    def value(self, term: Term) -> str:
        """Return the name of a term's value; equal terms are one node."""
        match term:
            case Name(name):
                return self.value(self.drawn.lets[name]) if name in self.drawn.lets else f"{self.prefix}/{name}"
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
        if row.is_commutative and self.is_turned:
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
        names = [f"{self.prefix}/t{len(self.nodes)}.{index}" for index in range(num_outputs)]
        self.types.update(zip(names, found, strict=False))
        self.nodes.append(Node(operator=row.name, inputs=tuple(inputs), outputs=tuple(names), attributes=attributes))
        return names

    def items(self, term: Term) -> list[str]:
        match term:
            case Apply("Cons", (head, tail)):
                return [self.value(head), *self.items(tail)]
            case Name(name) if name in self.drawn.lets:
                return self.items(self.drawn.lets[name])
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
                return self.symbol(name)
            case int():
                return term
            case _:
                raise TypeError(f"no size: {term}")


def whole(graph: Graph, feeds: Mapping[str, np.ndarray], sizes: Mapping[int, int]) -> Parts:
    """Return any graph as one part.

    Args:
        graph: The graph, from a model for example.
        feeds: Elements of each of its inputs.
        sizes: Size of each symbol, by its id, as far as the inputs do not say it.
    """
    arrays = {name: (array, False) for name, array in feeds.items()}
    arrays |= {name: (constant.numpy(), True) for name, constant in graph.constants.items()}
    leaves = {
        name: Leaf(name=name, number=dtype_number(array), dims=array.shape, is_constant=is_constant, array=array)
        for name, (array, is_constant) in arrays.items()
    }
    drawn = Drawn(is_generic=False, opset=graph.opset, others=(), leaves=leaves, lets={}, roots=(), sizes={})
    part = Part(drawn=drawn, leaves=leaves, nodes=graph.nodes, types=graph.types, roots=graph.outputs)
    return Parts(graph=graph, parts=(part,), sizes=sizes)
