"""What an e-graph holds, as plain Python rows that a pattern can be laid on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from eqsat.egraph.enode import ENode
    from eqsat.egraph.heads import Binding
    from eqsat.egraph.session import Session
    from eqsat.rules.signatures import Signatures


@final
class Tables:
    """The e-nodes and facts of a session as they are now.

    Attributes:
        session: Where they come from.
        signatures: Everything declared.
    """

    def __init__(self, session: Session) -> None:
        """Read the e-nodes; facts are read when they are first asked for."""
        self.session = session
        self.signatures: Signatures = session.program.signatures
        self._canonical = session.mirror.canonical
        self._enodes: dict[str, list[tuple[int, ENode]]] = {}
        self._readers: dict[tuple[str, int], list[tuple[int, ENode]]] = {}
        for handle, members in session.eclasses():
            for enode in members:
                self._enodes.setdefault(enode.operator, []).append((handle, enode))
                for child in {self._canonical[each] for each in enode.children}:
                    self._readers.setdefault((enode.operator, child), []).append((handle, enode))
        self._facts: dict[str, list[tuple[Binding, ...]]] = {}
        self._by_key: dict[str, dict[tuple[Binding, ...], Binding]] = {}

    def enodes(self, operator: str) -> Sequence[tuple[int, ENode]]:
        """Return every e-node of an operator with its e-class."""
        return self._enodes.get(operator, ())

    def members(self, handle: int) -> Sequence[ENode]:
        """Return the e-nodes of an e-class."""
        return self.session.members(handle)

    def readers(self, operator: str, child: int) -> Sequence[tuple[int, ENode]]:
        """Return the e-nodes of an operator that read an e-class, with theirs."""
        return self._readers.get((operator, child), ())

    def children(self, enode: ENode) -> tuple[int, ...]:
        """Return the e-classes that an e-node reads, as they are called now."""
        return tuple(self._canonical[child] for child in enode.children)

    def rows(self, name: str) -> Sequence[tuple[Binding, ...]]:
        """Return the rows of a relation, or of a function with the value last."""
        if name not in self._facts:
            self._facts[name] = list(dict.fromkeys(self.session.facts(name)))
        return self._facts[name]

    def value(self, function: str, arguments: tuple[Binding, ...]) -> Binding | None:
        """Return the value of a function; None where it is not known."""
        if function not in self._by_key:
            self._by_key[function] = {row[:-1]: row[-1] for row in self.rows(function)}
        return self._by_key[function].get(arguments)
