"""Greedy DAG extraction: fast, deterministic, a hint and a fallback for the exact extractor.

The idea is that of extraction-gym's *faster-greedy-dag* (every e-class takes the e-node whose term, shared parts
counted once, is cheapest), in the order of Knuth's generalisation of Dijkstra's algorithm: the e-class with the
cheapest term is decided next and for good. A term is never cheaper than a term inside it, so that an e-class, once
decided, could not be decided better later; every e-node is priced once, and no cycle can arise.

What a greedy choice cannot see: an operator that serves two e-classes pays only where both take it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import final

from eqsat.extraction.problem import ExtractionProblem, NoSelectionError, Selection, select


@final
@dataclass(slots=True)
class _Decided:
    """The e-classes decided so far, numbered in that order; a term is a bit set over these numbers."""

    term: dict[int, int] = field(default_factory=dict)
    total_us: dict[int, float] = field(default_factory=dict)
    own_us: list[float] = field(default_factory=list)

    def add(self, eclass: int, cost_us: float, below: int, total_us: float) -> None:
        self.term[eclass] = below | 1 << len(self.own_us)
        self.total_us[eclass] = total_us
        self.own_us.append(cost_us)

    def union(self, eclasses: tuple[int, ...]) -> tuple[int, float]:
        """Return the bit set of the terms of ``eclasses`` together, and its price in microseconds."""
        if not eclasses:
            return 0, 0.0
        dearest = max(eclasses, key=lambda eclass: self.total_us[eclass])
        terms = self.term[dearest]
        for eclass in eclasses:
            terms |= self.term[eclass]
        extra = terms & ~self.term[dearest]
        return terms, self.total_us[dearest] + self._price_us(extra)

    def _price_us(self, bits: int) -> float:
        own_us = self.own_us
        prices = []
        while bits:
            lowest = bits & -bits
            prices.append(own_us[lowest.bit_length() - 1])
            bits ^= lowest
        return math.fsum(prices)


def greedy_dag(problem: ExtractionProblem) -> Selection:
    """Return a cheap selection; among equal prices the one of fewer e-nodes, then of lower numbers.

    Raises:
        NoSelectionError: A root has no finite, acyclic selection.
    """
    users = problem.users()
    num_missing = [len(children) for children in problem.children]
    decided = _Decided()
    choice: dict[int, int] = {}
    heap: list[tuple[float, int, int, int]] = []

    def offer(enode: int) -> None:
        """Price an e-node whose children are all decided."""
        cost_us = problem.cost_us[enode]
        if cost_us < math.inf:
            below, below_us = decided.union(problem.children[enode])
            heappush(heap, (below_us + cost_us, below.bit_count(), enode, below))

    for enode, missing in enumerate(num_missing):
        if missing == 0:
            offer(enode)
    wanted = set(problem.roots)
    while heap and wanted:
        total_us, _, enode, below = heappop(heap)
        eclass = problem.node_class[enode]
        if eclass in choice:
            continue
        choice[eclass] = enode
        wanted.discard(eclass)
        decided.add(eclass, problem.cost_us[enode], below, total_us)
        for user in users[eclass]:
            num_missing[user] -= 1
            if num_missing[user] == 0 and problem.node_class[user] not in choice:
                offer(user)
    for root in problem.roots:
        if root not in choice:
            raise NoSelectionError(root)
    return select(problem, choice)
