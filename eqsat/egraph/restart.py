"""A new start from one graph of an e-graph: what is not part of it is forgotten, which makes room for more rewrites."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from eqsat.egraph.rebuild import Rebuilt, rebuild
from eqsat.egraph.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eqsat.egraph.enode import ENode


def restarted(session: Session, choice: Mapping[int, ENode]) -> Session:
    """Return a new session of a graph of an e-graph, with the same rules; it knows which are behind the graph.

    Args:
        session: The e-graph.
        choice: For every e-class reachable from the roots, one of its e-nodes, without cycles.

    Raises:
        UnsoundRulesError: An ungated rule contradicts the model's types.
    """
    rebuilt = rebuild(session, choice)
    graph = replace(session.graph, nodes=rebuilt.nodes, constants=dict(rebuilt.constants), types=dict(rebuilt.types))
    return Session(
        graph,
        session.rules,
        behind=origins_of(session, rebuilt),
        refused=session.refused,
        simplified=session.simplified,
    )


def origins_of(session: Session, rebuilt: Rebuilt) -> Counter[str]:
    """Return the rules behind a graph, and how many of their applications are in it.

    An application that only made two known values equal counts wherever it is: nobody can tell what would be chosen
    without it. So does what was behind the graph that the session started from.

    Args:
        session: The e-graph.
        rebuilt: The graph.
    """
    made = {(origin.rule, origin.application) for origin in session.mirror.origins.values()}
    unions = session.applied - Counter(rule for rule, _ in made)
    return Counter(session.behind) + Counter(rebuilt.origins) + unions
