"""Searches that start over from the cheapest graph so far where they run out of room.

An e-graph keeps every form it has seen, so that it fills up with forms that turned out not to pay, and a large one is
slow to search and to extract from. A new e-graph of the cheapest graph alone is small again. It has forgotten the other
forms, so that what starts over may end elsewhere than one search with more room; it never ends with a dearer graph
than it had.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, final

from eqsat.errors import UsageError
from eqsat.extraction.cpsat import solve
from eqsat.extraction.problem import forbid
from eqsat.search.interface import Arena, Outcome, SearchBudget, StopReason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eqsat.egraph.enode import ENode

_MIN_GAIN: Final = 1e-3
"""Relative drop of the price from one start to the next that counts as a gain."""

_SOLVE_SHARE: Final = 0.2
"""Share of the time left that the exact extraction before a new start may take."""

_MAX_SOLVE_S: Final = 10.0
_MAX_SOLVE_WORK: Final = 8.0
"""Its limit in the solver's own unit, which is the same on every machine."""

Play = Callable[[Arena, SearchBudget], Outcome]
"""One search, from one start to its end."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Restarts:
    """How often a search starts over, and when.

    Attributes:
        count: New starts, at most; 0 searches once, with the whole room.
        first_growth: Size of the first e-graph at which it starts over, as a multiple of the model's own: large enough
            that most e-graphs which are ever complete are so by then.
        growth: The same for each later one, as a multiple of its size at its start. Where nothing was gained, the
            search goes on with twice the room instead, up to the whole room.
        time_share: Share of the time left that one start may take.
    """

    count: int = 16
    first_growth: float = 4.0
    growth: float = 2.0
    time_share: float = 0.5

    def told(self, text: str) -> Restarts:
        """Return the same with as many new starts as a text says.

        Raises:
            UsageError: It is no number.
        """
        if not text.isdecimal():
            raise UsageError(f"option 'restarts' must be a number from 0, not {text!r}")
        return replace(self, count=int(text))


ONCE: Final = Restarts(count=0)


def play_with_restarts(play: Play, arena: Arena, budget: SearchBudget, restarts: Restarts) -> Outcome:
    """Search, and start over from the cheapest graph wherever the room ends before the e-graph is complete.

    Args:
        play: Searches from one start, or goes on with it.
        arena: The model.
        budget: For everything together; the limit of e-nodes holds for each e-graph.
        restarts: How often, and when.

    Returns:
        How the last search ended, the choices of all, and the session to extract from where that is a new one.

    Raises:
        UnsoundRulesError: An ungated rule contradicts the types.
    """
    if not restarts.count:
        return play(arena, budget)
    first: Arena = arena
    best: Found | None = None
    begun = [_nodes(arena)]
    limit = restarts.first_growth * arena.size().num_enodes
    num_left, num_steps, num_applied = restarts.count, 0, 0
    while True:
        part = _part(arena, budget, restarts.time_share, limit, num_steps)
        outcome = play(arena, part)
        num_steps += outcome.num_steps
        num_applied += outcome.num_applied
        if outcome.stop_reason is StopReason.SATURATED:
            break
        ended = arena.stop_reason(replace(budget, max_enodes=sys.maxsize), num_steps)
        if ended is not None:
            outcome = replace(outcome, stop_reason=ended)
            break
        found = cheapest(arena, budget)
        known_us = _known_us(found, best)
        is_gain = found.cost_us <= (1.0 - _MIN_GAIN) * known_us
        if best is None or found.cost_us <= known_us:
            best = found
        again = best.arena.restarted(best.choice) if is_gain and num_left else None
        if again is not None and again.size().num_enodes < budget.max_enodes and (made := _nodes(again)) not in begun:
            begun.append(made)
            arena, limit = again, restarts.growth * again.size().num_enodes
            num_left -= 1
            arena.on_progress(f"starting over from {best.cost_us:.0f} us, {arena.size().num_enodes} e-nodes")
        elif outcome.stop_reason is StopReason.ENODE_LIMIT and part.max_enodes < budget.max_enodes:
            limit *= 2.0
        else:
            arena = best.arena
            break
    session = None if arena is first else arena.session
    return replace(outcome, num_steps=num_steps, num_applied=num_applied, session=session)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The cheapest graph of an e-graph.

    Attributes:
        arena: The e-graph.
        choice: One e-node for each e-class that is needed.
        cost_us: Its price.
        start_us: What the graph that the e-graph began with costs by the same prices.
    """

    arena: Arena
    choice: Mapping[int, ENode]
    cost_us: float
    start_us: float


def _known_us(found: Found, best: Found | None) -> float:
    """Return what the best graph costs that was known before another was found, by the prices as they are now.

    Prices that are believed change with what is measured. An e-graph that is new began with the best graph.
    """
    if best is None:
        return found.start_us
    if found.arena is best.arena:
        return best.cost_us
    return found.start_us if found.arena.settle else min(found.start_us, best.cost_us)


def _part(arena: Arena, budget: SearchBudget, time_share: float, limit: float, num_steps: int) -> SearchBudget:
    """Return what the next search may use of what is left."""
    now = arena.clock()
    return replace(
        budget,
        deadline=now + time_share * (budget.deadline - now),
        max_enodes=min(budget.max_enodes, int(limit)),
        max_steps=budget.max_steps - num_steps,
    )


def _nodes(arena: Arena) -> Counter[tuple[str, tuple[object, ...], object]]:
    """Return how often each operator, with its attributes and the type of its result, is in a graph that is new.

    The extraction prices what the provider fuses pair by pair, so that it may see a gain that vanishes when the graph
    is made; what comes of that is the graph that there was.
    """
    mirror = arena.session.mirror
    return Counter(
        (enode.operator, enode.attributes, mirror.types[mirror.enodes[enode]])
        for enode in arena.session.model_nodes()
        if enode.is_operator
    )


def cheapest(arena: Arena, budget: SearchBudget) -> Found:
    """Return the cheapest graph that the exact extraction finds in a share of the time left."""
    left_s = budget.deadline - arena.clock()
    time_limit_s = min(_MAX_SOLVE_S, max(_SOLVE_SHARE * left_s, 0.1)) if math.isfinite(left_s) else _MAX_SOLVE_S
    priced = arena.settled()
    others = priced.rewritten(arena.session.model_nodes())
    selection, start = (
        solve(problem, time_limit_s=time_limit_s, work_limit=_MAX_SOLVE_WORK).selection
        for problem in (priced.problem, forbid(priced.problem, others))
    )
    return Found(arena=arena, choice=priced.choice(selection), cost_us=selection.cost_us, start_us=start.cost_us)
