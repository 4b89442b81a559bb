"""Graphs taken out of an e-graph at random, not by price."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from eqsat.extraction.greedy import greedy_dag
from eqsat.extraction.problem import ExtractionProblem

if TYPE_CHECKING:
    from eqsat.egraph.enode import ENode
    from eqsat.egraph.session import Session


def by_random_order(session: Session, rng: np.random.Generator) -> dict[int, ENode]:
    """Return an acyclic choice: an e-node whose children are decided is drawn and decides its e-class, then another."""
    canonical = session.mirror.canonical
    users: defaultdict[int, list[tuple[int, ENode]]] = defaultdict(list)
    missing: dict[tuple[int, ENode], int] = {}
    ready: list[tuple[int, ENode]] = []
    for handle, members in session.eclasses():
        for enode in members:
            children = {canonical[child] for child in enode.children}
            missing[handle, enode] = len(children)
            for child in children:
                users[child].append((handle, enode))
            if not children:
                ready.append((handle, enode))
    choice: dict[int, ENode] = {}
    while ready:
        place = int(rng.integers(len(ready)))
        ready[place], ready[-1] = ready[-1], ready[place]
        handle, enode = ready.pop()
        if handle in choice:
            continue
        choice[handle] = enode
        for user in users[handle]:
            missing[user] -= 1
            if not missing[user] and user[0] not in choice:
                ready.append(user)
    return choice


def by_random_prices(session: Session, rng: np.random.Generator, wanted: Collection[str] = ()) -> dict[int, ENode]:
    """Return the cheapest choice at random prices, at which what rules made is cheap.

    Args:
        session: The e-graph.
        rng: Source of the prices.
        wanted: Rules whose e-nodes cost nothing; where there are none, those of all rules are cheap.
    """
    handles = [handle for handle, _ in session.eclasses()]
    number = {handle: index for index, handle in enumerate(handles)}
    canonical = session.mirror.canonical
    enodes = [(number[handle], enode) for handle, members in session.eclasses() for enode in members]
    origins = session.mirror.origins

    def price(enode: ENode) -> float:
        origin = origins.get(enode)
        if origin is None:
            return float(rng.uniform(0.0, 1.0))
        return float(rng.uniform(0.0, 0.1)) * (not wanted or origin.rule not in wanted)

    roots = [*session.encoding.roots, *(session.encoding.values[name] for name in sorted(session.encoding.pinned))]
    problem = ExtractionProblem(
        node_class=[eclass for eclass, _ in enodes],
        children=[tuple(sorted({number[canonical[child]] for child in enode.children})) for _, enode in enodes],
        cost_us=[price(enode) for _, enode in enodes],
        num_classes=len(handles),
        roots=tuple(number[canonical[handle]] for handle in roots),
    )
    selection = greedy_dag(problem)
    return {handles[eclass]: enodes[index][1] for eclass, index in selection.choice.items()}
