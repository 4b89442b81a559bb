"""Several good selections that differ in decisions, for measuring against each other.

A decision is a group of e-nodes, say all that one rule has made. A group that the cheapest selection uses is forbidden,
and the problem solved again: what if this rule's operators are slower in the whole model than they are alone? A group
that it does not use is made cheaper, so that it is used where that is possible: what if they are faster?
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import final

from eqsat.extraction.cpsat import solve
from eqsat.extraction.greedy import greedy_dag
from eqsat.extraction.problem import ExtractionProblem, NoSelectionError, Selection, discount, forbid, select

DISCOUNTS = (0.25, 0.0)
"""What is left of the price of an unused group, tried in turn until the group is used: prices measured on one operator
alone are seldom wrong by more than a factor of four in a whole model; at nothing, a group is used if it can be."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A selection that differs from the cheapest one in one decision.

    Attributes:
        name: What was done: ``without <group>`` or ``with <group>``.
        forbidden: Groups that were forbidden.
        favoured: Groups that were made cheaper, and what was left of their prices.
        selection: The selection, priced at the true prices.
    """

    name: str
    forbidden: frozenset[str]
    favoured: Mapping[str, float]
    selection: Selection

    @property
    def cost_us(self) -> float:
        """The selection's price at the true prices, in microseconds."""
        return self.selection.cost_us


def variants(
    problem: ExtractionProblem,
    base: Selection,
    groups: Mapping[str, frozenset[int]],
    *,
    k: int,
    time_limit_s: float,
    total_time_limit_s: float = math.inf,
    seed: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> list[Variant]:
    """Return the cheapest selections that differ from the base, and from each other, in a decision.

    Args:
        problem: The priced e-graph.
        base: The cheapest selection of this problem, or the best known; it is not among the variants.
        groups: E-nodes by the name of the decision that they stand for. An e-node may be in several groups.
        k: Number of variants to return at most.
        time_limit_s: Wall-clock seconds for each selection.
        total_time_limit_s: Wall-clock seconds for all of them; what comes after is left out. Used groups go first, in
            order of the price of their chosen e-nodes.
        seed: Seed of the solver.
        clock: Seconds, growing.

    Returns:
        At most ``k`` variants, the cheapest first, none of them the same selection as the base or another one.
    """
    began = clock()
    seen = {base.enodes}
    found: list[Variant] = []
    for decision in _decisions(problem, base, groups):
        for forbidden, favoured in decision.changes():
            left_s = min(time_limit_s, total_time_limit_s - (clock() - began))
            if left_s <= 0:
                break
            try:
                selection = decide(
                    problem,
                    base,
                    groups,
                    forbidden=forbidden,
                    favoured=favoured,
                    time_limit_s=left_s,
                    seed=seed,
                    clock=clock,
                )
            except NoSelectionError:
                break
            if decision.is_met_by(selection):
                if selection.enodes not in seen:
                    variant = Variant(name=decision.title, forbidden=forbidden, favoured=favoured, selection=selection)
                    found.append(variant)
                seen.add(selection.enodes)
                break
    return sorted(found, key=lambda variant: (variant.cost_us, variant.name))[:k]


def decide(
    problem: ExtractionProblem,
    base: Selection,
    groups: Mapping[str, frozenset[int]],
    *,
    forbidden: Collection[str],
    favoured: Mapping[str, float],
    time_limit_s: float,
    seed: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Selection:
    """Return the cheapest selection under several decisions, priced at the true prices.

    Args:
        problem: The priced e-graph.
        base: A selection to start from.
        groups: E-nodes by the name of the decision that they stand for.
        forbidden: Groups that may not be used.
        favoured: Groups that are made cheaper, and what is left of their prices.
        time_limit_s: Wall-clock seconds.
        seed: Seed of the solver.
        clock: Seconds, growing.

    Raises:
        NoSelectionError: Nothing is left to choose.
    """
    altered = problem
    for name in sorted(favoured):
        altered = discount(altered, groups[name], favoured[name])
    altered = forbid(altered, frozenset().union(*(groups[name] for name in forbidden)))
    hint = _repair(altered, base)
    result = solve(altered, time_limit_s=time_limit_s, hint=hint, seed=seed, clock=clock)
    return select(problem, result.selection.choice)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Decision:
    """A group, and whether the base selection uses it: the variant is to do the opposite."""

    name: str
    enodes: frozenset[int]
    is_used: bool

    @property
    def title(self) -> str:
        """What the variant does."""
        return f"{'without' if self.is_used else 'with'} {self.name}"

    def changes(self) -> Iterator[tuple[frozenset[str], Mapping[str, float]]]:
        """Yield what to forbid and to favour, in turn, until it gives a selection that decides the other way."""
        if self.is_used:
            yield frozenset({self.name}), {}
        else:
            for factor in DISCOUNTS:
                yield frozenset(), {self.name: factor}

    def is_met_by(self, selection: Selection) -> bool:
        """Tell whether a selection decides the other way than the base selection."""
        return self.enodes.isdisjoint(selection.enodes) == self.is_used


def _decisions(problem: ExtractionProblem, base: Selection, groups: Mapping[str, frozenset[int]]) -> list[_Decision]:
    """Return one decision for every group: the used ones first, in order of the price at stake."""

    def stake_us(decision: _Decision) -> float:
        return math.fsum(sorted(problem.cost_us[enode] for enode in decision.enodes & base.enodes))

    decisions = [
        _Decision(name=name, enodes=enodes, is_used=not enodes.isdisjoint(base.enodes))
        for name, enodes in groups.items()
    ]
    return sorted(decisions, key=lambda decision: (not decision.is_used, -stake_us(decision), decision.name))


def _repair(problem: ExtractionProblem, selection: Selection) -> Selection | None:
    """Return a selection that keeps as much of a given one as other prices allow; ``None`` where the greedy way fails.

    Every e-node that is still allowed keeps its e-class, and the greedy choice fills in the rest.
    """
    kept = {eclass: enode for eclass, enode in selection.choice.items() if problem.cost_us[enode] < math.inf}
    if len(kept) == len(selection.choice):
        return select(problem, kept)
    rivals = [enode for enode, eclass in enumerate(problem.node_class) if eclass in kept and kept[eclass] != enode]
    try:
        return greedy_dag(forbid(problem, rivals))
    except NoSelectionError:
        return None
