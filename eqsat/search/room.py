"""Room in the e-graph: how a sequence of candidates is applied so that a limit on e-nodes is kept.

What candidates make themselves is known before the e-graph hears of it. What follows without a choice is not:
simplifications add e-nodes of their own, and unions take some away. So candidates are applied in pieces, and what came
of one piece says how much of the room the next may use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eqsat.egraph.session import Session
    from eqsat.egraph.view import Candidate

_FIRST_GROWTH: Final = 1.5
"""E-nodes that come of one that candidates make, as long as nothing was applied."""

_MARGIN: Final = 0.75
"""Share of the room that a piece is to fill, since the next may grow more than the last."""

_SMALL: Final = 0.01
"""Share of the limit below which a piece is to fill all that is left: mistakes are small there, pieces cost time."""


def apply_within(session: Session, candidates: Iterable[Candidate], max_enodes: float) -> int:
    """Apply candidates in their order for as long as the e-graph has room; return how many were applied.

    The limit is exceeded by what the last candidate makes, at most, and by what follows from the last piece where that
    is much more than what followed from the piece before. Where all fits into half of the room, there is one piece.

    Args:
        session: The e-graph.
        candidates: What to apply; one whose outcome an earlier one has brought about already adds nothing.
        max_enodes: Size of the e-graph from which on nothing more is applied.

    Raises:
        UnsoundRulesError: An ungated rule contradicts the types.
    """
    left = iter(candidates)
    num_applied = 0
    growth = _FIRST_GROWTH
    while (room := max_enodes - (before := session.size().num_enodes)) > 0:
        made = piece_of(room, growth, max_enodes)
        applied = session.apply(left, max_enodes=before + made)
        if not applied:
            break
        num_applied += applied
        growth = (session.size().num_enodes - before) / made
    return num_applied


def piece_of(room: float, growth: float, max_enodes: float) -> float:
    """Return how many e-nodes the candidates of the next piece may make: one at least, and the room at most.

    Args:
        room: E-nodes that may still be added.
        growth: E-nodes that came of one that the candidates of the last piece made; not above 0 where unions took as
            many away.
        max_enodes: The limit.
    """
    filled = room if room <= _SMALL * max_enodes else _MARGIN * room
    return max(filled / growth if growth * room > filled else room, 1.0)
