"""One session with everything that follows it: prices, features, candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from eqsat.egraph.session import Session
from rl.env.features import Observer
from rl.env.incumbent import extract
from rl.env.offers import Offers
from rl.env.tracker import Snapshot, Tracker

if TYPE_CHECKING:
    from eqsat.egraph.groups import Group
    from eqsat.extraction.problem import Selection
    from eqsat.prices.problem import PricedProblem
    from ir.graph import Graph
    from rl.env.observation import Observation
    from rl.env.tasks import Task


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A session as it is at one step.

    Attributes:
        snapshot: The e-graph, priced.
        selection: The current extraction: a cheap one, quickly found.
        groups: The candidates on offer.
        observation: What an agent sees; its candidates are ``groups``, in that order.
    """

    snapshot: Snapshot
    selection: Selection
    groups: Sequence[Group]
    observation: Observation


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A session, and what is known about it.

    Attributes:
        task: Where rules and prices come from.
        session: The e-graph.
        tracker: Its prices.
        observer: Its features.
        offers: Its candidates.
    """

    task: Task
    session: Session
    tracker: Tracker
    observer: Observer
    offers: Offers

    @staticmethod
    def of(task: Task, graph: Graph, *, is_grouped: bool) -> Scene:
        """Return the scene of a graph.

        Args:
            task: Where rules and prices come from.
            graph: The task's own graph, or one extracted from it.
            is_grouped: Whether equal candidates are one choice.

        Raises:
            UnsoundRulesError: An ungated rule contradicts the model's types.
        """
        return Scene.around(task, Session(graph, task.rules), is_grouped=is_grouped)

    @staticmethod
    def around(task: Task, session: Session, *, is_grouped: bool) -> Scene:
        """Return the scene of a session, as it is now and as it becomes.

        Args:
            task: Where prices come from; its rules are the session's.
            session: The e-graph.
            is_grouped: Whether equal candidates are one choice.
        """
        return Scene(
            task=task,
            session=session,
            tracker=Tracker(session, task.prices, task.sizes, task.provider),
            observer=Observer(session, task.sizes),
            offers=Offers(session, is_grouped=is_grouped),
        )

    def copy(self) -> Scene:
        """Return a scene of the same session that knows the same and does not change with this one."""
        return Scene(
            task=self.task,
            session=self.session,
            tracker=self.tracker.copy(),
            observer=self.observer.copy(),
            offers=self.offers.copy(),
        )

    def look(self, previous: Look | None = None) -> Look:
        """Return the session as it is now.

        Args:
            previous: The session before the last candidates were applied; its extraction is kept where it is cheaper.

        Raises:
            NoSelectionError: The session has no finite extraction.
        """
        snapshot = self.tracker.snapshot()
        before = (previous.snapshot, previous.selection) if previous is not None else None
        selection = extract(snapshot, before)
        groups = self.offers.groups()
        observation = self.observer.observe(snapshot, selection, groups)
        return Look(snapshot=snapshot, selection=selection, groups=groups, observation=observation)


def priced_problem(task: Task, session: Session) -> PricedProblem:
    """Return the e-graph as it is now, priced as an environment prices it; for searches that undo what they try.

    Args:
        task: Where the prices come from.
        session: A session of the task's model.
    """
    return Tracker(session, task.prices, task.sizes, task.provider).snapshot().priced(session)
