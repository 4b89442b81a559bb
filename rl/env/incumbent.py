"""The extraction of the step before, in the e-graph of this one.

An e-graph never forgets a form, so that the cheapest graph never gets dearer. The greedy extraction may well find a
dearer one in a bigger e-graph; what was found before is then kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eqsat.egraph.enode import ENode
from eqsat.extraction.greedy import greedy_dag
from eqsat.extraction.problem import select
from eqsat.prices.micro import Cluster

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eqsat.extraction.problem import Selection
    from rl.env.tracker import Snapshot


def extract(snapshot: Snapshot, previous: tuple[Snapshot, Selection] | None) -> Selection:
    """Return the greedy extraction, or the one of the step before where that is cheaper.

    Args:
        snapshot: The e-graph as it is now.
        previous: The same session before, and its extraction; None where there is none.

    Raises:
        NoSelectionError: A root has no finite, acyclic selection.
    """
    selection = greedy_dag(snapshot.problem)
    if previous is None:
        return selection
    before, kept = previous
    is_merged = snapshot.canonical[: len(before.canonical)] != before.canonical
    if selection.cost_us <= kept.cost_us and not is_merged:
        return selection
    carried = _carried(snapshot, before, kept)
    return carried if carried is not None and carried.cost_us < selection.cost_us else selection


def _carried(snapshot: Snapshot, before: Snapshot, selection: Selection) -> Selection | None:
    """Return a selection of the e-graph before as one of the e-graph as it is now.

    Returns:
        None where unions have made a cycle of it, or where an e-node of it is not there any more.
    """
    canonical = snapshot.canonical
    pairs = {cluster: index for index, cluster in enumerate(snapshot.clusters, len(snapshot.entries))}
    num_entries = len(before.entries)
    choice: dict[int, int] = {}
    for eclass, index in selection.choice.items():
        standing = canonical[eclass]
        if index < num_entries:
            found = _place(snapshot, standing, _renamed(before.entries[index].enode, canonical))
        else:
            cluster = before.clusters[index - num_entries]
            enodes = tuple(_renamed(enode, canonical) for enode in cluster.enodes)
            found = pairs.get(Cluster(enodes, tuple(canonical[link] for link in cluster.links)))
        if found is None:
            return None
        if standing not in choice or snapshot.problem.cost_us[found] < snapshot.problem.cost_us[choice[standing]]:
            choice[standing] = found
    try:
        return select(snapshot.problem, choice)
    except (KeyError, ValueError):
        return None


def _renamed(enode: ENode, canonical: Sequence[int]) -> ENode:
    return ENode(enode.operator, tuple(canonical[child] for child in enode.children), enode.attributes)


def _place(snapshot: Snapshot, eclass: int, enode: ENode) -> int | None:
    """Return where an e-node of an e-class stands among the entries; None where it is not there."""
    place = snapshot.starts[eclass]
    while place < len(snapshot.entries) and snapshot.eclasses[place] == eclass:
        if snapshot.entries[place].enode == enode:
            return place
        place += 1
    return None
