"""Follows one session from step to step: what it works out for an e-node, it works out once.

The extraction problem is that of :func:`eqsat.prices.problem.build_problem`, but e-classes keep their handles as
numbers. A step costs a walk over the e-graph and the prices of what is new.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from eqsat.egraph.enode import CONST, STRUCTURE, ENode
from eqsat.egraph.mirror import LIST
from eqsat.extraction.problem import ExtractionProblem
from eqsat.prices.clusters import ClusterFinder
from eqsat.prices.micro import Cluster, MicroMaker
from eqsat.prices.problem import FOLDED_US, MAX_FOLDED_BYTES, PricedProblem
from eqsat.runtime.providers import provider_row
from ir.data_types import itemsize
from ir.types import TensorType

if TYPE_CHECKING:
    from eqsat.egraph.session import Session
    from rl.env.prices import PriceSource


@final
@dataclass(slots=True)
class Entry:
    """One e-node, with what does not change about it.

    Attributes:
        number: Counts the e-nodes in the order in which they were first seen.
        enode: The e-node.
        children: Its child e-classes, ascending, each one once.
        is_outer: True where the provider may run it as one kernel with an e-node that it uses.
        cost_us: Price alone; not a number as long as nobody asked for it.
    """

    number: int
    enode: ENode
    children: tuple[int, ...]
    is_outer: bool
    cost_us: float


@final
@dataclass(slots=True)
class _Clusters:
    """The clusters with one e-node outside.

    Attributes:
        clusters: The clusters.
        children: The e-classes that each of them needs.
        cost_us: Price of each; as many as there are clusters as soon as they are priced.
        is_forced: True where one of them will run, whatever is chosen.
    """

    clusters: tuple[Cluster, ...]
    children: tuple[tuple[int, ...], ...]
    cost_us: tuple[float, ...]
    is_forced: bool


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The e-graph at one step, priced.

    Attributes:
        entries: Every e-node, e-class by e-class.
        eclasses: E-class of each of them, by handle.
        starts: Place of the first e-node of each e-class among the entries.
        outers: Places of the e-nodes that are the outer ones of clusters.
        clusters: What the provider may run together.
        problem: What extraction solves: its e-nodes are the entries, then the clusters; its e-classes are handles.
        constants: Handles of the e-classes that are constant.
        canonical: For every handle the one that stands for its e-class.
    """

    entries: Sequence[Entry]
    eclasses: Sequence[int]
    starts: Mapping[int, int]
    outers: Sequence[int]
    clusters: Sequence[Cluster]
    problem: ExtractionProblem
    constants: frozenset[int]
    canonical: Sequence[int]

    def places(self, choice: Mapping[int, int]) -> Iterator[tuple[int, int]]:
        """Yield an e-class and the place of its e-node for all that a choice takes, what is inside clusters too.

        Args:
            choice: E-node of the problem by e-class.
        """
        num_entries = len(self.entries)
        for eclass, index in choice.items():
            if index < num_entries:
                yield eclass, index
                continue
            cluster = self.clusters[index - num_entries]
            for inside, enode in zip((eclass, *cluster.links), cluster.enodes, strict=True):
                place = self.starts[inside]
                while self.entries[place].enode != enode:
                    place += 1
                yield inside, place

    def priced(self, session: Session) -> PricedProblem:
        """Return the problem together with what its numbers stand for.

        Args:
            session: The session, as it was when the snapshot was made.
        """
        behind = (*(Cluster((entry.enode,)) for entry in self.entries), *self.clusters)
        made: dict[str, set[int]] = {}
        for index, cluster in enumerate(behind):
            for enode in cluster.enodes:
                origin = session.mirror.origins.get(enode)
                if origin is not None:
                    made.setdefault(origin.rule, set()).add(index)
        return PricedProblem(
            problem=self.problem,
            clusters=behind,
            handles=tuple(range(len(self.canonical))),
            canonical=tuple(self.canonical),
            groups={name: frozenset(members) for name, members in made.items()},
        )


@final
class Tracker:
    """What is known of the e-nodes of one session.

    Where the session is undone, a tracker that has seen what was undone knows too much: take a :meth:`copy` at the
    checkpoint, and go on with that.
    """

    def __init__(self, session: Session, prices: PriceSource, sizes: Mapping[int, int], provider: str) -> None:
        """Follow a session.

        Args:
            session: The e-graph.
            prices: Prices what is new.
            sizes: Size to price at, for every symbol of the model's inputs.
            provider: Whose fusions count.
        """
        self._session = session
        self._prices = prices
        self._sizes = sizes
        self._provider = provider
        self._outer = frozenset(fusion.outer for fusion in provider_row(provider).fusions)
        self._num_entries = 0
        self._entries: dict[ENode, Entry] = {}
        self._clusters: dict[int, _Clusters] = {}
        self._num_seen: dict[int, int] = {}
        self._canonical: list[int] = []
        self._constants: frozenset[int] = frozenset()
        self._untyped: frozenset[int] = frozenset()

    def copy(self) -> Tracker:
        """Return a tracker that knows the same and does not change with this one."""
        other = Tracker(self._session, self._prices, self._sizes, self._provider)
        other._num_entries = self._num_entries
        other._entries = dict(self._entries)
        other._clusters = dict(self._clusters)
        other._num_seen = dict(self._num_seen)
        other._canonical = self._canonical
        other._constants = self._constants
        other._untyped = self._untyped
        return other

    def snapshot(self) -> Snapshot:
        """Return the e-graph as it is now."""
        session = self._session
        self._forget_what_changed()
        maker = MicroMaker(session, self._sizes)
        by_class = dict(session.eclasses())
        entries: list[Entry] = []
        eclasses: list[int] = []
        starts: dict[int, int] = {}
        known = self._entries
        for handle, members in by_class.items():
            starts[handle] = len(entries)
            for enode in members:
                entry = known.get(enode)
                entries.append(self._new_entry(enode, handle, maker) if entry is None else entry)
                eclasses.append(handle)
        may_have = {index: entry.number for index, entry in enumerate(entries) if entry.is_outer}
        new = self._find_clusters([entries[index] for index in may_have], by_class)
        outers = {index: self._clusters[number] for index, number in may_have.items() if number in self._clusters}
        self._price(entries, outers, new, maker)
        clusters, problem = self._assemble(entries, eclasses, outers)
        return Snapshot(
            entries=entries,
            eclasses=eclasses,
            starts=starts,
            outers=list(outers),
            clusters=clusters,
            problem=problem,
            constants=self._constants,
            canonical=self._canonical,
        )

    def _forget_what_changed(self) -> None:
        """Forget prices where that has changed which they depend on: what is constant, what is equal, and the types."""
        mirror = self._session.mirror
        constants = self._session.constants()
        num_known = len(self._canonical)
        is_refined = any(mirror.types[handle] for handle in self._untyped)
        if is_refined or any(handle < num_known for handle in constants - self._constants):
            self._entries.clear()
        if mirror.canonical[:num_known] != self._canonical:
            self._clusters.clear()
            self._num_seen.clear()
        new_types = enumerate(mirror.types[num_known:], num_known)
        untyped = self._untyped.union(handle for handle, type_ in new_types if not type_)
        self._untyped = frozenset(handle for handle in untyped if not mirror.types[handle]) if is_refined else untyped
        self._constants = constants
        self._canonical = list(mirror.canonical)

    def _new_entry(self, enode: ENode, handle: int, maker: MicroMaker) -> Entry:
        is_folded = self._is_folded(enode, handle, maker)
        is_free = enode.operator in STRUCTURE or enode.operator == CONST
        entry = Entry(
            number=self._num_entries,
            enode=enode,
            children=tuple(sorted(set(enode.children))),
            is_outer=enode.operator in self._outer and not is_folded,
            cost_us=math.nan if not is_folded else 0.0 if is_free else FOLDED_US,
        )
        self._num_entries += 1
        self._entries[enode] = entry
        return entry

    def _is_folded(self, enode: ENode, handle: int, maker: MicroMaker) -> bool:
        """Whether an e-node does no work at run time."""
        if enode.operator in STRUCTURE:
            return True
        mirror = self._session.mirror
        if handle not in self._constants or not enode.is_operator:
            return False
        if not all(child in self._constants or mirror.sorts[child] == LIST for child in enode.children):
            return False
        type_ = mirror.types[handle]
        size = maker.output_elements(handle) * itemsize(type_.dtype) if isinstance(type_, TensorType) else 0
        return size <= MAX_FOLDED_BYTES

    def _find_clusters(self, outers: Sequence[Entry], by_class: Mapping[int, Sequence[ENode]]) -> list[_Clusters]:
        """Look for the clusters of each e-node again whose child e-classes have grown; return what is not priced."""
        finder = ClusterFinder(self._session, self._provider)
        new: list[_Clusters] = []
        for entry in outers:
            num_seen = sum([len(by_class[child]) for child in entry.children])
            if self._num_seen.get(entry.number) == num_seen:
                continue
            self._num_seen[entry.number] = num_seen
            found, is_forced = finder.around(entry.enode)
            if found:
                children = tuple(cluster.external_children() for cluster in found)
                self._clusters[entry.number] = _Clusters(tuple(found), children, (), is_forced)
                new.append(self._clusters[entry.number])
        return new

    def _price(
        self,
        entries: Sequence[Entry],
        outers: Mapping[int, _Clusters],
        new: Sequence[_Clusters],
        maker: MicroMaker,
    ) -> None:
        """Price what has no price yet, except what will never run alone."""
        singles = {
            Cluster((entry.enode,)): entry
            for index, entry in enumerate(entries)
            if math.isnan(entry.cost_us) and not (index in outers and outers[index].is_forced)
        }
        pairs = [cluster for each in new for cluster in each.clusters]
        if not singles and not pairs:
            return
        prices = self._prices.price(self._session, [*singles, *pairs], maker)
        for single, entry in singles.items():
            entry.cost_us = prices[single]
        for each in new:
            each.cost_us = tuple(prices[cluster] for cluster in each.clusters)

    def _assemble(
        self, entries: Sequence[Entry], eclasses: Sequence[int], outers: Mapping[int, _Clusters]
    ) -> tuple[list[Cluster], ExtractionProblem]:
        node_class = list(eclasses)
        children = [entry.children for entry in entries]
        cost_us = [entry.cost_us for entry in entries]
        clusters: list[Cluster] = []
        for index, each in outers.items():
            if each.is_forced:
                cost_us[index] = max(each.cost_us)
            clusters.extend(each.clusters)
            children.extend(each.children)
            cost_us.extend(each.cost_us)
            node_class.extend([eclasses[index]] * len(each.clusters))
        self._keep_the_model(entries, cost_us)
        problem = ExtractionProblem(
            node_class=node_class,
            children=children,
            cost_us=cost_us,
            num_classes=len(self._canonical),
            roots=self._needed(),
        )
        return clusters, problem

    def _keep_the_model(self, entries: Sequence[Entry], cost_us: list[float]) -> None:
        """Give the model's own e-nodes a finite price where they have none: the model itself must stay choosable."""
        if math.inf not in cost_us:
            return
        dear = max((cost for cost in cost_us if cost < math.inf), default=1.0)
        own = self._session.model_nodes()
        for index, entry in enumerate(entries):
            if cost_us[index] == math.inf and entry.enode in own:
                cost_us[index] = dear

    def _needed(self) -> tuple[int, ...]:
        """What every selection must cover: the outputs, and what subgraphs capture by name."""
        encoding = self._session.encoding
        pinned = (self._canonical[encoding.values[name]] for name in sorted(encoding.pinned))
        return tuple(dict.fromkeys((*self._session.roots(), *pinned)))
