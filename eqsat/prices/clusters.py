"""Finds the places of an e-graph where the provider's own fusions would run two e-nodes as one kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from eqsat.prices.micro import Cluster
from eqsat.runtime.fusions import Fusion
from eqsat.runtime.providers import provider_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eqsat.egraph.enode import ENode
    from eqsat.egraph.session import Session

UNFUSED: Final = frozenset({"Sum"})
"""Other spellings of an inner operator, which the provider does not fuse."""


@final
class ClusterFinder:
    """The clusters of one session as it is now."""

    def __init__(self, session: Session, provider: str) -> None:
        """Remember what the provider fuses.

        Args:
            session: The e-graph.
            provider: ONNX Runtime provider name.
        """
        self._session = session
        self._constants = session.constants()
        self._by_outer: dict[str, list[Fusion]] = {}
        for fusion in provider_row(provider).fusions:
            self._by_outer.setdefault(fusion.outer, []).append(fusion)

    def around(self, enode: ENode) -> tuple[list[Cluster], bool]:
        """Return the clusters with ``enode`` outside, and whether they replace the e-node alone."""
        found: list[Cluster] = []
        is_forced = False
        for fusion in self._by_outer.get(enode.operator, ()):
            for link in self._links(enode, fusion):
                inner = self._inner(link, frozenset({fusion.inner}))
                found.extend(Cluster((enode, each), (link,)) for each in inner)
                if fusion.is_forced and inner:
                    is_forced = True
                    found.extend(Cluster((enode, each), (link,)) for each in self._inner(link, UNFUSED))
        return found, is_forced

    def _links(self, enode: ENode, fusion: Fusion) -> Iterator[int]:
        """Yield the e-classes whose result the outer e-node would take over."""
        canonical = self._session.mirror.canonical
        for position in range(len(enode.children)) if fusion.position is None else (fusion.position,):
            link = canonical[enode.children[position]]
            others = [canonical[child] for place, child in enumerate(enode.children) if place != position]
            if link in self._constants or link in others:
                continue
            if not fusion.needs_constant or all(other in self._constants for other in others):
                yield link

    def _inner(self, link: int, operators: frozenset[str]) -> list[ENode]:
        """E-nodes of an e-class; one that uses its own e-class cannot be written into a cluster."""
        canonical = self._session.mirror.canonical
        return [
            each
            for each in self._session.members(link)
            if each.operator in operators and all(canonical[child] != link for child in each.children)
        ]
