"""What the values of an e-graph are called in the model that it was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from eqsat.egglog.schema import HANDLES
from eqsat.egraph.enode import ABSENT, CONST, INPUT, OPAQUE, STRUCTURE
from ir.data_types import numpy_dtype
from ir.types import FIRST_SYMBOL, TensorType

if TYPE_CHECKING:
    from eqsat.egraph.enode import ENode
    from eqsat.egraph.heads import Binding
    from eqsat.egraph.session import Session
    from ir.graph import Node


@final
class Names:
    """Names of the values and nodes of a session."""

    def __init__(self, session: Session) -> None:
        """Note the names of the model's own values."""
        self._session = session
        self._canonical = session.mirror.canonical
        self._values: dict[int, str] = {}
        for name, handle in session.encoding.values.items():
            self._values.setdefault(self._canonical[handle], name)
        self._nodes = session.model_nodes()

    def value(self, handle: int) -> str:
        """Return what a value is called: its name in the model, or how a rule made it."""
        name = self._values.get(self._canonical[handle])
        if name is not None:
            return f"`{name}`"
        makers = [enode for enode in self._session.members(handle) if enode.operator != ABSENT]
        return f"a {makers[0].operator} that is not in the model" if makers else "nothing"

    def node(self, handle: int) -> str:
        """Return the model's node that makes a value, by its name, with its operator."""
        for enode in self._session.members(handle):
            found = self.node_of(enode)
            if found:
                return found
        return self.value(handle)

    def node_of(self, enode: ENode) -> str:
        """Return the model's node behind an e-node; empty where there is none."""
        node = self._nodes.get(enode)
        return "" if node is None else f"`{_title(node)}` ({enode.operator})"

    def maker(self, handle: int) -> str:
        """Return how a value comes about, as the end of a sentence."""
        members = self._session.members(handle)
        operators = list(dict.fromkeys(enode.operator for enode in members if enode.operator not in STRUCTURE))
        if operators:
            shown = [
                "an operator that the rules know nothing of" if name == OPAQUE else f"{article(name)} {name}"
                for name in operators
            ]
            return f"made by {' and by '.join(shown)}"
        if any(enode.operator == INPUT for enode in members):
            return "an input of the model"
        if any(enode.operator == CONST for enode in members):
            return "a constant of the model"
        if any(enode.operator == ABSENT for enode in members):
            return "left out"
        return "an output of an operator with several"

    def binding(self, sort: str, value: Binding) -> str:
        """Return what a variable stands for, as people write it."""
        if sort in HANDLES and isinstance(value, int):
            return self.value(value) if sort == "Tensor" else f"a {'list' if sort == 'TList' else 'node'}"
        return self.number(value)

    def number(self, value: Binding) -> str:
        """Return an attribute; symbols by their names."""
        if isinstance(value, tuple):
            return f"[{', '.join(self.number(each) for each in value)}]"
        if isinstance(value, int) and self.is_symbol(value):
            return self._session.graph.symbols.name(value)
        return f"{value:.9g}" if isinstance(value, float) else str(value)

    def is_symbol(self, value: Binding) -> bool:
        """Return whether a number stands for a size that is not known."""
        if not isinstance(value, int) or value > FIRST_SYMBOL:
            return False
        return FIRST_SYMBOL - value < len(self._session.graph.symbols.names())

    def shape(self, handle: int) -> str:
        """Return the shape of a value; empty where it is not known."""
        type_ = self._session.mirror.types[self._canonical[handle]]
        return self.number(type_.shape) if isinstance(type_, TensorType) else ""

    def handle_of(self, name: str) -> int | None:
        """Return the e-class of a value, or of the first output of a node, by its name in the model."""
        values = self._session.encoding.values
        if name in values:
            return self._canonical[values[name]]
        for node in self._session.graph.nodes:
            if node.name == name:
                return next((self._canonical[values[output]] for output in node.outputs if output in values), None)
        return None


def dtype_name(number: Binding) -> str:
    """Return the name of an element type; its number where numpy has no name for it."""
    try:
        return str(numpy_dtype(number)) if isinstance(number, int) else str(number)
    except (TypeError, ValueError):
        return f"type {number}"


def _title(node: Node) -> str:
    return node.name or next((output for output in node.outputs if output), node.operator)


def article(word: str) -> str:
    """Return the article before a word."""
    return "an" if word[:1] in "AEIOU" else "a"
