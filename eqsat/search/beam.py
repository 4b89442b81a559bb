"""Search that goes uphill for a while, as TASO's backtracking does with alpha > 1.

TASO (Jia et al. 2019, SOSP) keeps a queue of graphs and goes on from each that costs less than ``alpha`` times the
best. An e-graph keeps every graph it has seen, so that there is nothing to go back to: what is left of the idea is
which rewrites are worth having. Each is priced by the cheapest graph that uses it, and those within ``alpha`` are
applied.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from typing_extensions import override

from eqsat.extraction.greedy import greedy_dag
from eqsat.extraction.problem import NoSelectionError, forbid
from eqsat.search.interface import Arena, Outcome, Search, SearchBudget, StopReason
from eqsat.search.options import option

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from eqsat.egraph.enode import ENode
    from eqsat.egraph.groups import Group
    from eqsat.prices.problem import PricedProblem


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Beam(Search):
    """Applies, in each round, the groups of equal candidates whose use costs least.

    Attributes:
        alpha: A rewrite is worth having where the cheapest graph that uses it costs at most this times the best graph.
        width: Groups applied in one round, at most.
    """

    alpha: float = option(1.05, "alpha", at_least=1.0)
    width: int = option(8, "width", at_least=1)

    @override
    def run(self, arena: Arena, budget: SearchBudget) -> Outcome:
        num_steps = num_applied = 0
        cost_us = arena.cost_us()
        while True:
            reason = arena.stop_reason(budget, num_steps)
            chosen = self._chosen(arena, budget, cost_us) if reason is None else []
            if not chosen:
                ended = reason or arena.stop_reason(budget, num_steps) or StopReason.NO_GAIN
                return Outcome(stop_reason=ended, num_steps=num_steps, num_applied=num_applied)
            for each in chosen:
                reason = arena.stop_reason(budget, num_steps)
                if reason is not None:
                    return Outcome(stop_reason=reason, num_steps=num_steps, num_applied=num_applied)
                offered = set(arena.candidates())
                still = [candidate for candidate in each.candidates if candidate in offered]
                num_applied += arena.apply(still, budget.max_enodes)
                num_steps += 1
            cost_us = min(cost_us, arena.cost_us())
            arena.on_progress(f"step {num_steps}: {len(chosen)} groups, {cost_us:.0f} us")

    def _chosen(self, arena: Arena, budget: SearchBudget, cost_us: float) -> list[Group]:
        """Return the groups to apply, the cheapest first; among equals the order in which they are offered decides."""
        priced: list[tuple[float, int, Group]] = []
        for number, each in enumerate(arena.groups()):
            if arena.clock() >= budget.deadline:
                break
            found_us = _used_us(arena, each, budget.max_enodes)
            if found_us <= self.alpha * cost_us:
                priced.append((found_us, number, each))
        return [each for _, _, each in sorted(priced, key=lambda item: item[:2])[: self.width]]


def _used_us(arena: Arena, each: Group, max_enodes: int) -> float:
    """Return the price of the cheapest graph that uses what a group makes; infinite where there is none."""
    session = arena.session
    first = session.mirror.num_applications
    session.checkpoint()
    try:
        if not arena.apply(each.candidates, max_enodes):
            return math.inf
        made = {enode for enode, origin in session.mirror.origins.items() if origin.application >= first}
        priced = arena.priced()
        return greedy_dag(forbid(priced.problem, _rivals(priced, made))).cost_us
    except NoSelectionError:
        return math.inf
    finally:
        session.undo()


def _rivals(priced: PricedProblem, made: AbstractSet[ENode]) -> list[int]:
    """Return what must not be chosen, for the e-nodes that were made to be used wherever one could be."""
    eclasses = priced.problem.node_class
    rewritten = {
        priced.handles[eclass]
        for eclass, cluster in zip(eclasses, priced.clusters, strict=True)
        if cluster.enodes[0] in made
    }
    return [
        index
        for index, cluster in enumerate(priced.clusters)
        for handle, enode in zip((priced.handles[eclasses[index]], *cluster.links), cluster.enodes, strict=True)
        if handle in rewritten and enode not in made
    ]
