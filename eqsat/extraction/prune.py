"""Exact reductions: what can be left out of an extraction problem without losing the cheapest selection.

Four reductions, in this order:

* an e-node that is forbidden, uses its own e-class, or needs an e-class without any finite selection, goes;
* an e-class that can be had for nothing (weights, and all that is computed from weights alone) is decided here, once:
  it takes its smallest free term, and nobody needs to mention it as a child any more. This is exact, for free terms are
  made of free e-classes only, so that no cycle can lead through them;
* an e-node is dominated by one of the same e-class that is not dearer and uses no other children, and goes;
* what the roots no longer reach goes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import final

from eqsat.extraction.problem import ExtractionProblem, NoSelectionError, Selection, select

_MAX_TERM_SIZE = 2**53


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedProblem:
    """A smaller problem with the same optimal price, and the way back.

    Attributes:
        problem: The smaller problem, with e-classes and e-nodes numbered anew.
        original: The problem that was pruned.
        original_class: Original e-class of every e-class that is left.
        original_enode: Original e-node of every e-node that is left.
        stand_in: For an original e-node that is left or dominated, the e-node of the smaller problem that is at least
            as good in its place.
        free_choice: Original e-node by original e-class, for the e-classes that cost nothing.
    """

    problem: ExtractionProblem
    original: ExtractionProblem
    original_class: tuple[int, ...]
    original_enode: tuple[int, ...]
    stand_in: Mapping[int, int]
    free_choice: Mapping[int, int]

    def lift(self, selection: Selection) -> Selection:
        """Return a selection of the smaller problem as one of the original problem, of the same price."""
        choice = dict(self.free_choice)
        for eclass, enode in selection.choice.items():
            choice[self.original_class[eclass]] = self.original_enode[enode]
        return select(self.original, choice)

    def lower(self, selection: Selection) -> Selection:
        """Return a selection of the original problem as one of the smaller problem that is not dearer.

        Raises:
            ValueError: The selection takes an e-node that no finite, acyclic selection can take.
        """
        choice: dict[int, int] = {}
        for eclass, enode in selection.choice.items():
            if eclass in self.free_choice:
                continue
            stand_in = self.stand_in.get(enode)
            if stand_in is not None:
                choice[self.problem.node_class[stand_in]] = stand_in
        try:
            return select(self.problem, choice)
        except KeyError as error:
            eclass = self.original_class[error.args[0]]
            message = f"the selection has no usable e-node for e-class {eclass}"
            raise ValueError(message) from error


def prune(problem: ExtractionProblem) -> PrunedProblem:
    """Return the problem without what the cheapest selection does not need.

    Raises:
        NoSelectionError: A root has no finite, acyclic selection.
    """
    usable = _usable_enodes(problem)
    has_selection = [False] * problem.num_classes
    for enode, is_usable in enumerate(usable):
        if is_usable:
            has_selection[problem.node_class[enode]] = True
    for root in problem.roots:
        if not has_selection[root]:
            raise NoSelectionError(root)
    free_choice, free_size = _free_terms(problem, usable)
    return _build(problem, usable, free_choice, free_size)


def _usable_enodes(problem: ExtractionProblem) -> list[bool]:
    """Tell of every e-node whether some finite, acyclic selection takes it (as far as forward chaining can tell)."""
    users = problem.users()
    num_missing = [len(children) for children in problem.children]
    usable = [False] * problem.num_enodes
    has_selection = [False] * problem.num_classes
    ready = [enode for enode, missing in enumerate(num_missing) if missing == 0]
    while ready:
        enode = ready.pop()
        eclass = problem.node_class[enode]
        if problem.cost_us[enode] == math.inf or eclass in problem.children[enode]:
            continue
        usable[enode] = True
        if has_selection[eclass]:
            continue
        has_selection[eclass] = True
        for user in users[eclass]:
            num_missing[user] -= 1
            if num_missing[user] == 0:
                ready.append(user)
    return usable


def _free_terms(problem: ExtractionProblem, usable: list[bool]) -> tuple[dict[int, int], dict[int, int]]:
    """Return the smallest free term of every e-class that has one: its e-node, and its number of operators.

    Knuth's generalisation of Dijkstra's algorithm (Information Processing Letters 6, 1977) over the e-nodes of price
    zero. A term's size counts a shared part as often as it is used.
    """
    users = problem.users()
    num_missing = [len(children) for children in problem.children]
    choice: dict[int, int] = {}
    size: dict[int, int] = {}
    heap = [
        (1, enode)
        for enode in range(problem.num_enodes)
        if usable[enode] and problem.cost_us[enode] == 0 and not problem.children[enode]
    ]
    heapify(heap)
    while heap:
        term_size, enode = heappop(heap)
        eclass = problem.node_class[enode]
        if eclass in choice:
            continue
        choice[eclass] = enode
        size[eclass] = term_size
        for user in users[eclass]:
            num_missing[user] -= 1
            if num_missing[user] == 0 and usable[user] and problem.cost_us[user] == 0:
                total = 1 + sum(size[child] for child in problem.children[user])
                heappush(heap, (min(total, _MAX_TERM_SIZE), user))
    return choice, size


def _build(
    problem: ExtractionProblem, usable: list[bool], free_choice: dict[int, int], free_size: dict[int, int]
) -> PrunedProblem:
    members = problem.members()
    roots = tuple(dict.fromkeys(root for root in problem.roots if root not in free_choice))
    number = {root: index for index, root in enumerate(roots)}
    waiting = list(roots)
    kept: list[int] = []
    kept_children: list[tuple[int, ...]] = []
    dominator: dict[int, int] = {}
    for eclass in waiting:  # grows while it is walked
        priced = {
            enode: tuple(child for child in problem.children[enode] if child not in free_choice)
            for enode in members[eclass]
            if usable[enode]
        }
        by_merit = sorted(priced, key=lambda enode: _merit(problem, enode, priced[enode], free_size))
        for enode, better in _dominators(by_merit, priced).items():
            dominator[enode] = better
            if enode != better:
                continue
            kept.append(enode)
            kept_children.append(priced[enode])
            for child in priced[enode]:
                if child not in number:
                    number[child] = len(waiting)
                    waiting.append(child)
    new_enode = {enode: index for index, enode in enumerate(kept)}
    return PrunedProblem(
        problem=ExtractionProblem(
            node_class=[number[problem.node_class[enode]] for enode in kept],
            children=[tuple(sorted(number[child] for child in children)) for children in kept_children],
            cost_us=[problem.cost_us[enode] for enode in kept],
            num_classes=len(waiting),
            roots=tuple(range(len(roots))),
        ),
        original=problem,
        original_class=tuple(waiting),
        original_enode=tuple(kept),
        stand_in={enode: new_enode[better] for enode, better in dominator.items()},
        free_choice=free_choice,
    )


def _merit(
    problem: ExtractionProblem, enode: int, priced_children: tuple[int, ...], free_size: dict[int, int]
) -> tuple[float, int, int, int]:
    """Return a key that puts an e-node before all that it may dominate, and the smaller free terms first."""
    num_free = sum(free_size.get(child, 0) for child in problem.children[enode])
    return problem.cost_us[enode], len(priced_children), num_free, enode


def _dominators(by_merit: list[int], children: Mapping[int, tuple[int, ...]]) -> dict[int, int]:
    """Return, for every e-node of one e-class, the e-node that makes it needless, or itself where there is none.

    Args:
        by_merit: The e-nodes, each one after those that are cheaper, or as cheap with fewer children.
        children: Their child e-classes, ascending.
    """
    dominator: dict[int, int] = {}
    by_first_child: dict[int, list[int]] = {}
    child_sets = {enode: frozenset(children[enode]) for enode in by_merit}
    leaf: int | None = None
    for enode in by_merit:
        if leaf is not None:
            dominator[enode] = leaf
            continue
        own = child_sets[enode]
        rivals = (rival for child in children[enode] for rival in by_first_child.get(child, ()))
        dominator[enode] = next((rival for rival in rivals if child_sets[rival] <= own), enode)
        if dominator[enode] != enode:
            continue
        if children[enode]:
            by_first_child.setdefault(children[enode][0], []).append(enode)
        else:
            leaf = enode
    return dominator
