"""A new start from the current extraction: what is not part of it is forgotten, which makes room for more rewrites."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from eqsat.egraph.rebuild import rebuild

if TYPE_CHECKING:
    from eqsat.egraph.session import Session
    from eqsat.extraction.problem import Selection
    from ir.graph import Graph
    from rl.tracker import Snapshot


def extracted_graph(session: Session, snapshot: Snapshot, selection: Selection) -> Graph:
    """Return the graph of a selection, with the interface and the metadata of the session's model.

    Args:
        session: The e-graph.
        snapshot: Its prices, as it is now.
        selection: One e-node for each e-class that is needed.

    Raises:
        NoSelectionError: No graph can be built without a cycle.
    """
    rebuilt = rebuild(session, snapshot.priced(session).choice(selection))
    return replace(
        session.graph,
        nodes=rebuilt.nodes,
        constants=dict(rebuilt.constants),
        types=dict(rebuilt.types),
    )
