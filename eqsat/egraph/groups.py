"""Candidates that are equal up to their place: a transformer repeats one block twelve times.

Two candidates belong together when they are matches of one rule, bind the same attributes, and the e-classes they bind
look the same up to :data:`RADIUS` steps down and one step up. Constants count by their types.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eqsat.egglog.schema import HANDLES
from eqsat.egraph.enode import CONST

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from eqsat.egraph.session import Session
    from eqsat.egraph.view import Candidate

RADIUS: Final = 2
"""Steps that a neighbourhood reaches down; one step tells too little, three begin to split equal blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Equal candidates, in the order in which the session lists them."""

    rule: str
    candidates: tuple[Candidate, ...]


def group(session: Session, candidates: Sequence[Candidate]) -> list[Group]:
    """Return the candidates in groups of equals, in the order of their first members."""
    looks = _neighbourhoods(session)
    found: dict[Hashable, list[Candidate]] = {}
    for candidate in candidates:
        gated = session.rule_of(candidate)
        key = tuple(
            looks[session.mirror.canonical[value]] if sort in HANDLES and isinstance(value, int) else value
            for sort, value in zip(gated.sorts, candidate.bindings, strict=True)
        )
        found.setdefault((candidate.rule, key), []).append(candidate)
    return [Group(rule=session.rule_of(members[0]).rule.name, candidates=tuple(members)) for members in found.values()]


def _neighbourhoods(session: Session) -> dict[int, int]:
    """A number for each e-class; equal where the neighbourhoods are."""
    canonical = session.mirror.canonical
    looks = {handle: hash(session.mirror.types[handle]) for handle, _ in session.eclasses()}
    for _ in range(RADIUS):
        looks = {
            handle: hash(
                (
                    looks[handle],
                    frozenset(
                        (
                            enode.operator,
                            () if enode.operator == CONST else enode.attributes,
                            tuple(looks[canonical[child]] for child in enode.children),
                        )
                        for enode in members
                    ),
                ),
            )
            for handle, members in session.eclasses()
        }
    users: dict[int, set[str]] = {handle: set() for handle in looks}
    for _, members in session.eclasses():
        for enode in members:
            for child in enode.children:
                users[canonical[child]].add(enode.operator)
    return {handle: hash((look, frozenset(users[handle]))) for handle, look in looks.items()}
