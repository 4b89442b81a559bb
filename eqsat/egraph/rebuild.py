"""From a selection of e-nodes back to a graph of nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from eqsat.egraph.enode import ABSENT, CONS, CONST, INPUT, NIL, OPAQUE, OUT, ENode
from ir.graph import Constant, Node
from ir.operators import OPERATORS
from ir.subgraphs import value_names
from ir.types import TensorType

if TYPE_CHECKING:
    from eqsat.egraph.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """A graph made from a selection.

    Attributes:
        nodes: In topological order.
        constants: Initializers by name.
        types: Types by value name, as far as they are known.
        constant_values: Names of values that do not depend on the model's inputs.
        origins: Rules that made e-nodes of the selection, and how many of their applications are in it.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, Constant]
    types: Mapping[str, TensorType]
    constant_values: frozenset[str]
    origins: Mapping[str, int]


def rebuild(session: Session, choice: Mapping[int, ENode]) -> Rebuilt:
    """Return the graph in which every e-class is computed by its chosen e-node.

    Args:
        session: Where the e-nodes come from.
        choice: For every e-class reachable from the roots, one of its e-nodes, without cycles.
    """
    return _Rebuilder(session, choice).run()


class _Rebuilder:
    def __init__(self, session: Session, choice: Mapping[int, ENode]) -> None:
        self.session = session
        self.graph = session.graph
        self.encoding = session.encoding
        self.canonical = session.mirror.canonical
        self.choice = choice
        self.names: dict[int, str] = {}
        self.given = (*self.graph.inputs, *self.graph.held)
        self.taken: set[str] = set(self.graph.outputs) | self.encoding.pinned | set(self.given)
        self.reserved = value_names(self.graph.model.graph) | self.encoding.values.keys()
        self.nodes: list[Node] = []
        self.constants: dict[str, Constant] = dict(self.graph.held)
        self.types: dict[str, TensorType] = {
            name: self.graph.types[name] for name in self.given if name in self.graph.types
        }
        self.is_constant: dict[int, bool] = {}
        self.constant_values: set[str] = set()
        self.origins: dict[str, set[int]] = {}
        self.made: dict[int, int] = {}
        self.old_names = self._old_names()
        self.own_nodes = session.model_nodes()

    def _old_names(self) -> dict[int, str]:
        """The model's own name for an e-class."""
        names: dict[int, str] = {}
        for name, handle in self.encoding.values.items():
            names.setdefault(self.canonical[handle], name)
        return names

    def run(self) -> Rebuilt:
        wanted = [(name, self.canonical[self.encoding.values[name]]) for name in self.graph.outputs]
        pinned = sorted(self.encoding.pinned.difference(self.given))
        wanted += [(name, self.canonical[self.encoding.values[name]]) for name in pinned]
        claimed: dict[int, str] = {}
        names: dict[int, list[str]] = {}
        for name, handle in dict(wanted).items():
            names.setdefault(handle, []).append(name)
            if self._may_claim(name, self.choice[handle]):
                claimed.setdefault(handle, name)
        for handle in self._order(handle for _, handle in wanted):
            self._emit(handle, claimed.get(handle, ""))
            for name in names.get(handle, ()):
                if self.names[handle] != name:
                    self._identity(name, handle)
        self._name_unused_outputs()
        return Rebuilt(
            nodes=tuple(self.nodes),
            constants=self.constants,
            types=self.types,
            constant_values=frozenset(self.constant_values),
            origins={rule: len(applications) for rule, applications in self.origins.items()},
        )

    def _may_claim(self, name: str, enode: ENode) -> bool:
        """Whether an e-node's value may have a name that must exist: inputs have theirs, and an output is computed."""
        match enode.operator:
            case operator if operator == INPUT:
                return False
            case operator if operator == CONST:
                return name not in self.graph.outputs
            case _:
                return True

    def _order(self, roots: Iterable[int]) -> list[int]:
        """E-classes that are used, children first."""
        order: list[int] = []
        state: dict[int, bool] = {}
        stack: list[tuple[int, bool]] = [(root, False) for root in roots][::-1]
        while stack:
            handle, is_done = stack.pop()
            if is_done:
                if not state[handle]:
                    state[handle] = True
                    order.append(handle)
                continue
            if handle in state:
                continue
            state[handle] = False
            stack.append((handle, True))
            children = [self.canonical[child] for child in self.choice[handle].children]
            stack.extend((child, False) for child in reversed(children) if child not in state)
        return order

    def _emit(self, handle: int, claimed: str) -> None:
        enode = self.choice[handle]
        children = [self.canonical[child] for child in enode.children]
        self.is_constant[handle] = enode.operator not in {INPUT, OPAQUE} and all(
            self.is_constant[child] for child in children
        )
        match enode.operator:
            case operator if operator == ABSENT:
                self.names[handle] = ""
            case operator if operator == INPUT:
                self.names[handle] = str(enode.attributes[0])
            case operator if operator == CONST:
                self._constant(handle, enode, claimed)
            case operator if operator in {NIL, CONS}:
                pass
            case operator if operator == OUT:
                self._output(handle, enode, children[0], claimed)
            case operator if operator == OPAQUE or OPERATORS[operator].is_multi:
                self._count(enode)
            case operator:
                self._count(enode)
                name = self._name(handle, claimed, operator)
                self.nodes.append(self._node(enode, self._inputs(operator, children), (name,)))
                self._declare(handle, name)

    def _count(self, enode: ENode) -> None:
        origin = self.session.mirror.origins.get(enode)
        if origin is not None:
            self.origins.setdefault(origin.rule, set()).add(origin.application)

    def _constant(self, handle: int, enode: ENode, claimed: str) -> None:
        number = enode.attributes[0]
        if isinstance(number, int):
            constant = self.encoding.constants[number]
            name = claimed or constant.name
            if name in self.taken and not claimed:
                name = self._fresh(f"{name}/value")
            self.taken.add(name)
            self.constants[name] = replace(constant, name=name)
            self.names[handle] = name
            self.types[name] = constant.type
            self.constant_values.add(name)

    def _output(self, handle: int, enode: ENode, multi: int, claimed: str) -> None:
        """Take one output of an operator with several; the node itself is written with its first output."""
        index = enode.attributes[0]
        source = self.choice[multi]
        if not isinstance(index, int):
            raise TypeError("the index of an output must be an integer")
        if multi not in self.made:
            children = [self.canonical[child] for child in source.children]
            outputs = ("",) * self._num_outputs(multi, source)
            self.made[multi] = len(self.nodes)
            self.nodes.append(self._node(source, self._inputs(source.operator, children), outputs))
        name = self._name(handle, claimed, source.operator)
        place = self.made[multi]
        outputs = self.nodes[place].outputs
        self.nodes[place] = replace(self.nodes[place], outputs=(*outputs[:index], name, *outputs[index + 1 :]))
        self._declare(handle, name)

    def _num_outputs(self, multi: int, enode: ENode) -> int:
        if enode.operator == OPAQUE:
            return len(self.encoding.opaques[int(enode.attributes[0])].outputs)  # type: ignore[arg-type]
        type_ = self.session.mirror.types[multi]
        return len(type_) if isinstance(type_, tuple) else OPERATORS[enode.operator].num_outputs

    def _name_unused_outputs(self) -> None:
        """An opaque node keeps the outputs it had: how many there are may be part of what it means."""
        for place in self.made.values():
            node = self.nodes[place]
            if node.source is not None and node.is_opaque:
                old = [value.name or "" for value in node.source.outputs]
                outputs = tuple(
                    name or (self._unused_name(stem) if stem else "")
                    for name, stem in zip(node.outputs, old, strict=True)
                )
                self.nodes[place] = replace(node, outputs=outputs)

    def _unused_name(self, stem: str) -> str:
        if stem in self.taken:
            return self._fresh(stem)
        self.taken.add(stem)
        return stem

    def _inputs(self, operator: str, children: list[int]) -> tuple[str, ...]:
        if operator in OPERATORS and OPERATORS[operator].is_variadic:
            return tuple(self.names[item] for item in self._items(children[0]))
        return tuple(self.names[child] for child in children)

    def _items(self, handle: int) -> list[int]:
        items: list[int] = []
        while self.choice[handle].operator == CONS:
            head, tail = self.choice[handle].children
            items.append(self.canonical[head])
            handle = self.canonical[tail]
        return items

    def _node(self, enode: ENode, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Node:
        if enode.operator == OPAQUE:
            opaque = self.encoding.opaques[int(enode.attributes[0])]  # type: ignore[arg-type]
            explicit = len(opaque.source.inputs) if opaque.source is not None else len(inputs)
            return replace(opaque, inputs=(*inputs[:explicit], *opaque.inputs[explicit:]), outputs=outputs)
        known = self.own_nodes.get(enode)
        return Node(
            operator=enode.operator,
            inputs=inputs,
            outputs=outputs,
            attributes=enode.named_attributes(),
            name=known.name if known is not None else "",
            source=known.source if known is not None else None,
            spelling=known.spelling if known is not None else None,
        )

    def _name(self, handle: int, claimed: str, operator: str) -> str:
        if claimed:
            return claimed
        old = self.old_names.get(handle)
        if old is not None and old not in self.taken:
            self.taken.add(old)
            return old
        return self._fresh(f"{operator.lower()}_{handle}")

    def _fresh(self, stem: str) -> str:
        name, number = stem, 0
        while name in self.taken or name in self.reserved:
            number += 1
            name = f"{stem}_{number}"
        self.taken.add(name)
        return name

    def _declare(self, handle: int, name: str) -> None:
        self.names[handle] = name
        type_ = self.session.mirror.types[handle]
        if isinstance(type_, TensorType):
            self.types[name] = type_
        if self.is_constant[handle]:
            self.constant_values.add(name)

    def _identity(self, name: str, handle: int) -> None:
        """A second name for a value: an output that is an input, a constant, or another output too."""
        self.nodes.append(Node(operator="Identity", inputs=(self.names[handle],), outputs=(name,)))
        type_ = self.session.mirror.types[handle]
        if isinstance(type_, TensorType):
            self.types[name] = type_
