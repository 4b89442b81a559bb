"""The candidates that an agent may choose from: none of them without an effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from eqsat.egraph.groups import Group, group
from eqsat.egraph.heads import IllTypedError, UndefinedError, evaluate_head
from eqsat.egraph.mirror import UntypedError
from ir.inference import TypeInferenceError

if TYPE_CHECKING:
    from eqsat.egraph.session import Session
    from eqsat.egraph.view import Candidate


@final
class Offers:
    """The choices that one session offers.

    The session lists no candidate whose outcome is there already. Here those are left out too whose right side, when it
    is built, turns out not to exist or to have another type: applied, they would change nothing.

    Where the session is undone, go on with a :meth:`copy` made before.
    """

    def __init__(self, session: Session, *, is_grouped: bool) -> None:
        """Offer the candidates of a session.

        Args:
            session: The e-graph.
            is_grouped: Whether equal candidates are one choice; else each is its own.
        """
        self._session = session
        self._is_grouped = is_grouped
        self._has_effect: dict[Candidate, bool] = {}

    def copy(self) -> Offers:
        """Return offers that know the same and do not change with these."""
        other = Offers(self._session, is_grouped=self._is_grouped)
        other._has_effect = dict(self._has_effect)
        return other

    def groups(self) -> list[Group]:
        """Return the choices as they are now."""
        known = self._has_effect
        candidates: list[Candidate] = []
        for candidate in self._session.candidates():
            has_effect = known.get(candidate)
            if has_effect is None:
                has_effect = known[candidate] = self._can_be_built(candidate)
            if has_effect:
                candidates.append(candidate)
        if self._is_grouped:
            return group(self._session, candidates)
        rule_of = self._session.rule_of
        return [Group(rule=rule_of(candidate).rule.name, candidates=(candidate,)) for candidate in candidates]

    def _can_be_built(self, candidate: Candidate) -> bool:
        session = self._session
        gated = session.rule_of(candidate)
        bindings = dict(zip(gated.variables, candidate.bindings, strict=True))
        try:
            evaluate_head(gated.head, bindings, session.mirror.draft(gated.rule.name), session.program.signatures)
        except (IllTypedError, UndefinedError, TypeInferenceError, UntypedError):
            return False
        return True
