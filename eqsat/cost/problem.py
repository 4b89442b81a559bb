"""From a session and its prices to the problem that extraction solves, and from a solution back to e-nodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eqsat.cost.fusions import FUSIONS, Fusion
from eqsat.cost.micro import Cluster
from eqsat.egraph.enode import CONST, STRUCTURE, ENode
from eqsat.extraction.problem import ExtractionProblem, Selection
from ir.data_types import itemsize
from ir.types import TensorType

if TYPE_CHECKING:
    from eqsat.cost.micro import MicroMaker
    from eqsat.cost.pricing import Pricer
    from eqsat.egraph.session import Session

FOLDED_US: Final = 0.001
"""Price of a constant that must be computed once, when the model is written: enough to prefer one that is there."""

MAX_FOLDED_BYTES: Final = 256 * 1024**2
"""A constant larger than this is not taken to be foldable: it costs what computing it at run time costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedProblem:
    """An extraction problem and what its numbers stand for.

    Attributes:
        problem: E-classes and e-nodes by number; a cluster is one e-node of it.
        clusters: The e-node, or the fused pair, behind each e-node of the problem.
        handles: Handle of each e-class.
        groups: For each rule, the e-nodes of the problem that it made.
    """

    problem: ExtractionProblem
    clusters: tuple[Cluster, ...]
    handles: tuple[int, ...]
    groups: Mapping[str, frozenset[int]]

    def choice(self, selection: Selection) -> dict[int, ENode]:
        """Return the e-node chosen for each e-class, those inside clusters too."""
        chosen: dict[int, ENode] = {}
        inner: dict[int, ENode] = {}
        for eclass, index in selection.choice.items():
            cluster = self.clusters[index]
            chosen[self.handles[eclass]] = cluster.enodes[0]
            for link, enode in zip(cluster.links, cluster.enodes[1:], strict=True):
                inner.setdefault(link, enode)
        return {**inner, **chosen}


def build_problem(
    session: Session,
    pricer: Pricer,
    maker: MicroMaker,
    provider: str,
    *,
    deadline: float = math.inf,
    has_clusters: bool = True,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> PricedProblem:
    """Price every e-node of a session.

    Args:
        session: The e-graph.
        pricer: Prices clusters.
        maker: Knows the sizes.
        provider: Whose fusions count.
        deadline: Point on the pricer's clock after which sizes stand in for measurements.
        has_clusters: False prices every e-node alone.
        on_progress: Is told how far the measuring is.
    """
    constants = session.constants()
    order = {handle: number for number, (handle, _) in enumerate(session.eclasses())}
    clusters: list[tuple[int, Cluster]] = []
    free: dict[int, float] = {}
    for handle, members in session.eclasses():
        fusions = _Fusions(session, provider) if has_clusters else None
        for enode in members:
            single = Cluster((enode,))
            if _is_folded(session, maker, handle, enode, constants):
                free[len(clusters)] = 0.0 if enode.operator in STRUCTURE or enode.operator == CONST else FOLDED_US
                clusters.append((handle, single))
                continue
            fused, is_forced = fusions.around(enode) if fusions is not None else ([], False)
            if not is_forced:
                clusters.append((handle, single))
            clusters.extend((handle, cluster) for cluster in fused)
    wanted = [cluster for index, (_, cluster) in enumerate(clusters) if index not in free]
    prices = pricer.price(wanted, deadline=deadline, on_progress=on_progress)
    cost_us = [free.get(index, prices.get(cluster, 0.0)) for index, (_, cluster) in enumerate(clusters)]
    groups: dict[str, set[int]] = {}
    for index, (_, cluster) in enumerate(clusters):
        for enode in cluster.enodes:
            origin = session.mirror.origins.get(enode)
            if origin is not None and index not in free:
                groups.setdefault(origin.rule, set()).add(index)
    canonical = session.mirror.canonical
    problem = ExtractionProblem(
        node_class=[order[handle] for handle, _ in clusters],
        children=[
            tuple(sorted({order[canonical[child]] for child in cluster.external_children()})) for _, cluster in clusters
        ],
        cost_us=_finite_for_the_model(session, clusters, cost_us),
        num_classes=len(order),
        roots=tuple(order[root] for root in _needed(session)),
    )
    return PricedProblem(
        problem=problem,
        clusters=tuple(cluster for _, cluster in clusters),
        handles=tuple(order),
        groups={name: frozenset(members) for name, members in groups.items()},
    )


def _needed(session: Session) -> tuple[int, ...]:
    """What every selection must cover: the outputs, and what subgraphs capture by name."""
    pinned = [session.encoding.values[name] for name in sorted(session.encoding.pinned)]
    return tuple(dict.fromkeys((*session.roots(), *(session.mirror.canonical[handle] for handle in pinned))))


def _finite_for_the_model(session: Session, clusters: list[tuple[int, Cluster]], cost_us: list[float]) -> list[float]:
    """The model's own e-nodes must stay choosable even where they could not be priced."""
    finite = [cost for cost in cost_us if cost < math.inf]
    dear = max(finite, default=1.0)
    own = session.encoding.nodes
    return [
        dear if cost == math.inf and len(cluster.enodes) == 1 and cluster.enodes[0] in own else cost
        for cost, (_, cluster) in zip(cost_us, clusters, strict=True)
    ]


def _is_folded(session: Session, maker: MicroMaker, handle: int, enode: ENode, constants: frozenset[int]) -> bool:
    if enode.operator in STRUCTURE:
        return True
    if handle not in constants or not enode.is_operator:
        return False
    canonical = session.mirror.canonical
    if not all(canonical[child] in constants or _is_list(session, child) for child in enode.children):
        return False
    type_ = session.mirror.types[handle]
    size = maker.output_elements(handle) * itemsize(type_.dtype) if isinstance(type_, TensorType) else 0
    return size <= MAX_FOLDED_BYTES


def _is_list(session: Session, handle: int) -> bool:
    """Whether a child is a list; the e-class above is constant only if the list is."""
    return session.mirror.sorts[handle] == "TList"


class _Fusions:
    """Pairs around one e-node that the provider runs as one kernel."""

    def __init__(self, session: Session, provider: str) -> None:
        self.session = session
        self.by_outer: dict[str, list[Fusion]] = {}
        for fusion in FUSIONS.get(provider, ()):
            self.by_outer.setdefault(fusion.outer, []).append(fusion)
        self.constants = session.constants()

    def around(self, enode: ENode) -> tuple[list[Cluster], bool]:
        """Return the clusters with ``enode`` outside, and whether they replace the e-node alone."""
        found: list[Cluster] = []
        is_forced = False
        canonical = self.session.mirror.canonical
        for fusion in self.by_outer.get(enode.operator, ()):
            positions = range(len(enode.children)) if fusion.position is None else (fusion.position,)
            for position in positions:
                link = canonical[enode.children[position]]
                others = [canonical[child] for place, child in enumerate(enode.children) if place != position]
                if link in self.constants or link in others:
                    continue
                if fusion.needs_constant and not all(other in self.constants for other in others):
                    continue
                inner = [each for each in self.session.members(link) if each.operator == fusion.inner]
                found.extend(Cluster((enode, each), (link,)) for each in inner)
                if fusion.is_forced and inner:
                    is_forced = True
                    rest = [each for each in self.session.members(link) if each.operator in _UNFUSED]
                    found.extend(Cluster((enode, each), (link,)) for each in rest)
        return found, is_forced


_UNFUSED: Final = frozenset({"Sum"})
"""Other spellings of an inner operator, which the provider does not fuse."""
