"""The one interface of every search, and what a search sees of a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, final

from eqsat.egraph.groups import Group, group
from eqsat.egraph.restart import restarted
from eqsat.extraction.greedy import greedy_dag
from eqsat.search.room import apply_within

if TYPE_CHECKING:
    import random

    from eqsat.egraph.enode import ENode
    from eqsat.egraph.session import Session, Size
    from eqsat.egraph.view import Candidate
    from eqsat.prices.micro import Cluster, MicroMaker
    from eqsat.prices.problem import PricedProblem


class StopReason(StrEnum):
    """Why a search ended."""

    SATURATED = "saturated"
    ENODE_LIMIT = "enode_limit"
    TIME_LIMIT = "time_limit"
    STEP_LIMIT = "step_limit"
    NO_GAIN = "no_gain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a search ended.

    Attributes:
        stop_reason: Why.
        num_steps: Choices that were made.
        num_applied: Candidates that were applied.
        plan: Which search it was and why, where that was open; else empty.
        session: Where to extract from; None where that is the session that the search was given.
    """

    stop_reason: StopReason
    num_steps: int
    num_applied: int
    plan: str = ""
    session: Session | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchBudget:
    """What a search may use.

    Attributes:
        deadline: Point on the clock.
        max_enodes: Size of the e-graph from which on nothing more is applied.
        max_steps: Choices.
        training_s: Seconds on top of that in which a search which learns may learn about the model, before it searches.
    """

    deadline: float = math.inf
    max_enodes: int = 50_000
    max_steps: int = 1_000
    training_s: float = 0.0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a search needs to price as it goes, or to look at the model in an e-graph of its own.

    Attributes:
        sizes: Size to price at, for every symbol of the model's inputs.
        provider: Whose fusions count.
        price: Returns the price of each of some clusters of a session's e-nodes, in microseconds, from their
            micro-models.
    """

    sizes: Mapping[int, int]
    provider: str
    price: Callable[[Session, Sequence[Cluster], MicroMaker], Mapping[Cluster, float]]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    """One model on offer to a search: the session, and prices where a search asks for them.

    Attributes:
        session: The e-graph.
        build_problem: Prices an e-graph of the model as it is now.
        settle: The same where a graph is to be chosen: measures what the choice depends on. None where nothing is
            measured beyond what ``build_problem`` measures.
        clock: Seconds on a clock that only goes forward.
        rng: The only source of chance.
        on_progress: Is told what the search does.
        on_step: Is told that candidates were applied.
        on_uncounted: Is told seconds that are not the search's, see :meth:`uncounted`, and whether they come on top of
            the run's time.
        surroundings: The rest; None where a search must do without.
    """

    session: Session
    build_problem: Callable[[Session], PricedProblem]
    clock: Callable[[], float]
    rng: random.Random
    settle: Callable[[Session], PricedProblem] | None = None
    on_progress: Callable[[str], None] = field(default=lambda _: None)
    on_step: Callable[[], None] = field(default=lambda: None)
    on_uncounted: Callable[[float, bool], None] = field(default=lambda *_: None)
    surroundings: Surroundings | None = None

    @contextmanager
    def uncounted(self, *, is_on_top: bool = False) -> Iterator[None]:
        """Take what is done inside from nobody's time for searching: the imports of a search, its learning.

        Args:
            is_on_top: True for what the user has given time for besides the run's.
        """
        began = self.clock()
        try:
            yield
        finally:
            self.on_uncounted(self.clock() - began, is_on_top)

    def candidates(self) -> Sequence[Candidate]:
        """Return the candidates on offer."""
        return self.session.candidates()

    def groups(self) -> list[Group]:
        """Return the candidates on offer in groups of equals."""
        return group(self.session, self.session.candidates())

    def apply(self, candidates: Sequence[Candidate], max_enodes: int) -> int:
        """Apply candidates for as long as there is room; return how many were applied.

        Args:
            candidates: What to apply.
            max_enodes: Size of the e-graph from which on nothing more is applied, see
                :func:`~eqsat.search.room.apply_within`.
        """
        num_applied = apply_within(self.session, candidates, max_enodes)
        self.on_step()
        return num_applied

    def priced(self) -> PricedProblem:
        """Return the e-graph as it is now, priced."""
        return self.build_problem(self.session)

    def settled(self) -> PricedProblem:
        """Return the e-graph as it is now, with prices to choose a graph by."""
        return (self.settle or self.build_problem)(self.session)

    def restarted(self, choice: Mapping[int, ENode]) -> Arena:
        """Return an arena with a new e-graph, of one graph of this one; this one stays as it is.

        Args:
            choice: For every e-class reachable from the roots, one of its e-nodes, without cycles.

        Raises:
            UnsoundRulesError: An ungated rule contradicts the model's types.
        """
        return replace(self, session=restarted(self.session, choice))

    def cost_us(self) -> float:
        """Return the price of the cheapest graph that the greedy extraction finds now."""
        return greedy_dag(self.priced().problem).cost_us

    def size(self) -> Size:
        """Return the size of the e-graph."""
        return self.session.size()

    def stop_reason(self, budget: SearchBudget, num_steps: int) -> StopReason | None:
        """Return the limit that is reached, None while there is none."""
        if self.clock() >= budget.deadline:
            return StopReason.TIME_LIMIT
        if self.size().num_enodes >= budget.max_enodes:
            return StopReason.ENODE_LIMIT
        return StopReason.STEP_LIMIT if num_steps >= budget.max_steps else None


class Search(Protocol):
    """Chooses which candidates are applied."""

    def run(self, arena: Arena, budget: SearchBudget) -> Outcome:
        """Explore until nothing is left, nothing helps, or the budget ends."""
        ...


SearchFactory = Callable[[Mapping[str, str]], Search]
"""Makes a search from its options, given as text."""
