"""From a session and its prices to the problem that extraction solves, and from a solution back to e-nodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from eqsat.egraph.enode import CONST, STRUCTURE, ENode
from eqsat.extraction.greedy import greedy_dag
from eqsat.extraction.problem import ExtractionProblem, NoSelectionError, Selection, forbid
from eqsat.prices.clusters import UNFUSED, ClusterFinder
from eqsat.prices.micro import Cluster
from ir.data_types import itemsize
from ir.types import TensorType

if TYPE_CHECKING:
    from eqsat.egraph.session import Session
    from eqsat.prices.micro import MicroMaker
    from eqsat.prices.pricing import Pricer

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
        canonical: For every handle the one that stands for its e-class.
        groups: For each rule, the e-nodes of the problem that it made.
    """

    problem: ExtractionProblem
    clusters: tuple[Cluster, ...]
    handles: tuple[int, ...]
    canonical: tuple[int, ...]
    groups: Mapping[str, frozenset[int]]

    def rewritten(self, own: Collection[ENode]) -> list[int]:
        """Return the e-nodes of the problem that hold an operator which is not the model's own.

        Args:
            own: E-nodes of the model, see :meth:`~eqsat.egraph.session.Session.model_nodes`.
        """
        return [
            index
            for index, cluster in enumerate(self.clusters)
            if any(enode.is_operator and enode not in own for enode in cluster.enodes)
        ]

    def choice(self, selection: Selection) -> dict[int, ENode]:
        """Return the e-node chosen for each e-class, those inside clusters too; never a cyclic choice.

        A cluster computes the e-class inside it by an e-node of its own. Where that e-class is needed elsewhere too,
        one e-node must do for both: the one that was chosen elsewhere, unless the cluster is there so that nothing is
        fused, which the other one would undo. One may need what the other one makes. Clusters that lead to such a cycle
        are taken apart, and their e-classes chosen anew.

        Raises:
            NoSelectionError: Without these clusters a root has no e-node that may be chosen.
        """
        barred: set[int] = set()
        while True:
            chosen, inner, disputed = self._split(selection)
            unfused = {link: enode for link, enode in inner.items() if enode.operator in UNFUSED}
            for merged in ({**inner, **chosen, **unfused}, {**inner, **chosen}, {**chosen, **inner}):
                if not self._is_cyclic(merged):
                    return merged
            barred |= disputed
            selection = self._without(barred, selection)

    def _split(self, selection: Selection) -> tuple[dict[int, ENode], dict[int, ENode], set[int]]:
        """E-nodes of the selection itself, those inside its clusters, and the clusters at odds with another choice."""
        chosen: dict[int, ENode] = {}
        inner: dict[int, ENode] = {}
        for eclass, index in selection.choice.items():
            cluster = self.clusters[index]
            chosen[self.handles[eclass]] = cluster.enodes[0]
            for link, enode in zip(cluster.links, cluster.enodes[1:], strict=True):
                inner.setdefault(link, enode)
        disputed = {
            index
            for index in selection.enodes
            for link, enode in zip(self.clusters[index].links, self.clusters[index].enodes[1:], strict=True)
            if chosen.get(link, enode) != enode or inner[link] != enode
        }
        return chosen, inner, disputed

    def _is_cyclic(self, choice: Mapping[int, ENode]) -> bool:
        state: dict[int, bool] = {}  # False while an e-class is open, True once all below it is done
        stack = [(self.handles[root], False) for root in self.problem.roots]
        while stack:
            handle, is_closing = stack.pop()
            if is_closing:
                state[handle] = True
            elif handle not in state:
                state[handle] = False
                stack.append((handle, True))
                stack.extend((self.canonical[child], False) for child in choice[handle].children)
            elif not state[handle]:
                return True
        return False

    def _without(self, barred: Collection[int], selection: Selection) -> Selection:
        """The selection with some clusters taken apart, the rest left as it is where that is possible."""
        problem = self.problem
        free = {problem.node_class[index] for index in barred}
        numbers = {handle: eclass for eclass, handle in enumerate(self.handles)}
        free |= {numbers[link] for index in barred for link in self.clusters[index].links}
        kept = {eclass: index for eclass, index in selection.choice.items() if eclass not in free}
        rivals = {index for index, eclass in enumerate(problem.node_class) if kept.get(eclass, index) != index}
        try:
            return greedy_dag(forbid(problem, rivals.union(barred)))
        except NoSelectionError:
            return greedy_dag(forbid(problem, barred))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """An extraction problem that lacks prices.

    Attributes:
        session: The e-graph.
        behind: E-class, by handle, and cluster of each e-node of the problem.
        free: Price of those that do no work at run time, by number.
        stand_ins: E-nodes that will never run alone, and the clusters one of which will.
        handles: Handle of each e-class.
        canonical: For every handle the one that stands for its e-class, as it was when this was made.
    """

    session: Session
    behind: Sequence[tuple[int, Cluster]]
    free: Mapping[int, float]
    stand_ins: Mapping[int, range]
    handles: tuple[int, ...]
    canonical: tuple[int, ...]

    def wanted(self) -> list[Cluster]:
        """Return the clusters that need a price."""
        return [
            cluster
            for index, (_, cluster) in enumerate(self.behind)
            if index not in self.free and index not in self.stand_ins
        ]

    def costs_us(self, prices: Mapping[Cluster, float]) -> list[float]:
        """Return the price of each e-node of the problem.

        Where a fusion is forced, the outer e-node alone costs what the dearest of its clusters costs: it stays as a way
        out, never as a bargain.

        Args:
            prices: Of what is :meth:`wanted`.
        """
        cost_us = [self.free.get(index, prices.get(cluster, 0.0)) for index, (_, cluster) in enumerate(self.behind)]
        for index, fused in self.stand_ins.items():
            cost_us[index] = max(cost_us[each] for each in fused)
        return _finite_for_the_model(self.session, self.behind, cost_us)

    def priced(self, prices: Mapping[Cluster, float]) -> PricedProblem:
        """Return the problem with prices.

        Args:
            prices: Of what is :meth:`wanted`.
        """
        session, canonical = self.session, self.canonical
        order = {handle: number for number, handle in enumerate(self.handles)}
        groups: dict[str, set[int]] = {}
        for index, (_, cluster) in enumerate(self.behind):
            for enode in cluster.enodes:
                origin = session.mirror.origins.get(enode)
                if origin is not None:
                    groups.setdefault(origin.rule, set()).add(index)
        problem = ExtractionProblem(
            node_class=[order[handle] for handle, _ in self.behind],
            children=[
                tuple(sorted({order[canonical[child]] for child in cluster.external_children()}))
                for _, cluster in self.behind
            ],
            cost_us=self.costs_us(prices),
            num_classes=len(order),
            roots=tuple(order[root] for root in _needed(session)),
        )
        return PricedProblem(
            problem=problem,
            clusters=tuple(cluster for _, cluster in self.behind),
            handles=self.handles,
            canonical=canonical,
            groups={name: frozenset(members) for name, members in groups.items()},
        )


def lay_out(session: Session, maker: MicroMaker, provider: str, *, has_clusters: bool = True) -> Layout:
    """Return a session as an extraction problem that lacks prices.

    Args:
        session: The e-graph.
        maker: Knows the sizes.
        provider: Whose fusions count.
        has_clusters: False looks at every e-node alone.
    """
    constants = session.constants()
    finder = ClusterFinder(session, provider) if has_clusters else None
    behind: list[tuple[int, Cluster]] = []
    free: dict[int, float] = {}
    stand_ins: dict[int, range] = {}
    eclasses = list(session.eclasses())
    for handle, members in eclasses:
        for enode in members:
            single = Cluster((enode,))
            if _is_folded(session, maker, handle, enode, constants):
                free[len(behind)] = 0.0 if enode.operator in STRUCTURE or enode.operator == CONST else FOLDED_US
                behind.append((handle, single))
                continue
            fused, is_forced = finder.around(enode) if finder is not None else ([], False)
            if is_forced:
                stand_ins[len(behind)] = range(len(behind) + 1, len(behind) + 1 + len(fused))
            behind.append((handle, single))
            behind.extend((handle, cluster) for cluster in fused)
    return Layout(
        session=session,
        behind=behind,
        free=free,
        stand_ins=stand_ins,
        handles=tuple(handle for handle, _ in eclasses),
        canonical=tuple(session.mirror.canonical),
    )


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
    layout = lay_out(session, maker, provider, has_clusters=has_clusters)
    return layout.priced(pricer.price(layout.wanted(), maker, deadline=deadline, on_progress=on_progress))


def _needed(session: Session) -> tuple[int, ...]:
    """What every selection must cover: the outputs, and what subgraphs capture by name."""
    pinned = [session.encoding.values[name] for name in sorted(session.encoding.pinned)]
    return tuple(dict.fromkeys((*session.roots(), *(session.mirror.canonical[handle] for handle in pinned))))


def _finite_for_the_model(
    session: Session, clusters: Sequence[tuple[int, Cluster]], cost_us: list[float]
) -> list[float]:
    """The model's own e-nodes must stay choosable even where they could not be priced."""
    finite = [cost for cost in cost_us if cost < math.inf]
    dear = max(finite, default=1.0)
    own = session.model_nodes()
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
