"""Monte Carlo tree search over the order in which rules are applied.

After Hartmann, He and Yoneki 2024 ("Optimizing tensor computation graphs with equality saturation and Monte Carlo tree
search"): an action applies one rule to everything it matches, 128 simulations decide about an action, a simulation goes
on at random for at most ten actions beyond the tree, and the extracted price at its end is its result. Kocsis and
Szepesvari's UCT (2006) chooses inside the tree. The search is of one player and knows no chance, so that the action is
taken that led to the best result, not the one most often tried; and where the time ends, what is taken is the whole way
to the best result that is known, not its first action alone.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, final

from typing_extensions import override

from eqsat.search.interface import Arena, Outcome, Search, SearchBudget, StopReason
from eqsat.search.options import option

if TYPE_CHECKING:
    from eqsat.egraph.view import Candidate


class ActionKind(StrEnum):
    """What one action applies."""

    RULE = "rule"
    """All candidates of one rule."""
    GROUP = "group"
    """One group of equal candidates."""


@dataclass(slots=True)
class TreeNode:
    """A sequence of actions that was tried.

    Attributes:
        num_visits: Simulations that went through it.
        total: Sum of their results.
        best: Best of their results.
        children: The next actions that were tried.
    """

    num_visits: int = 0
    total: float = 0.0
    best: float = 0.0
    children: dict[Hashable, TreeNode] = field(default_factory=dict)

    def add(self, result: float) -> None:
        """Count the result of one simulation."""
        self.num_visits += 1
        self.total += result
        self.best = max(self.best, result)


def uct(child: TreeNode, num_parent_visits: int, scale: float, exploration: float) -> float:
    """Return how much an action is worth trying again (Kocsis and Szepesvari 2006).

    Args:
        child: The action, tried at least once.
        num_parent_visits: Simulations that could have chosen it.
        scale: The best result so far: it brings results between 0 and 1.
        exploration: Weight of what was tried less often.
    """
    mean = child.total / child.num_visits / scale if scale > 0 else 0.0
    return mean + exploration * math.sqrt(math.log(num_parent_visits) / child.num_visits)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Mcts(Search):
    """Tree search.

    Attributes:
        num_simulations: Simulations for each action that is taken.
        max_rollout: Random actions beyond the tree in one simulation, at most.
        exploration: Weight of what was tried less often.
        actions: What one action applies.
    """

    num_simulations: int = option(128, "simulations", at_least=1)
    max_rollout: int = option(10, "rollout", at_least=1)
    exploration: float = option(math.sqrt(2), "exploration", at_least=0.0)
    actions: ActionKind = option(ActionKind.RULE, "actions")

    @override
    def run(self, arena: Arena, budget: SearchBudget) -> Outcome:
        return _Run(self, arena, budget).run()


@final
class _Run:
    """One search: the tree as far as it is known, and what was taken of it."""

    def __init__(self, how: Mcts, arena: Arena, budget: SearchBudget) -> None:
        self._how = how
        self._arena = arena
        self._budget = budget
        self._root = TreeNode()
        self._num_steps = 0
        self._num_applied = 0
        self._longest_s = 0.0
        self._start_us = self._cost_us = arena.cost_us()

    def run(self) -> Outcome:
        """Decide about an action at a time; where the time ends, go the rest of the best way that is known."""
        while (reason := self._stop_reason()) is None:
            self._simulate_all()
            if (key := self._best_action()) is None:
                reason = self._stop_reason() or StopReason.NO_GAIN
                break
            self._take(key)
        while reason is StopReason.TIME_LIMIT and (key := self._best_action()) is not None:
            self._take(key)
        return Outcome(stop_reason=reason, num_steps=self._num_steps, num_applied=self._num_applied)

    def _stop_reason(self) -> StopReason | None:
        """Return why nothing more is simulated. Time is kept for one way through the tree."""
        if (reason := self._arena.stop_reason(self._budget, self._num_steps)) is not None:
            return reason
        if not self._arena.candidates():
            return StopReason.SATURATED
        return StopReason.TIME_LIMIT if self._is_late() else None

    def _is_late(self) -> bool:
        return self._arena.clock() + self._longest_s >= self._budget.deadline

    def _take(self, key: Hashable) -> None:
        arena, candidates = self._arena, self._offered()[key]
        rule = arena.session.rule_of(candidates[0]).rule.name
        self._num_applied += self._apply(candidates)
        self._num_steps += 1
        self._root = self._root.children[key]
        self._cost_us = min(self._cost_us, arena.cost_us())
        arena.on_progress(f"step {self._num_steps}: {rule}, {self._cost_us:.0f} us")

    def _best_action(self) -> Hashable | None:
        """Return the action on the way to the cheapest graph found; None where none is cheaper than what there is."""
        if self._num_steps >= self._budget.max_steps:
            return None
        offered = self._offered()
        tried = [(child.best, child.num_visits, key) for key, child in self._root.children.items() if key in offered]
        best = max(tried, key=lambda item: item[:2], default=None)
        return best[2] if best is not None and best[0] > self._drop(self._cost_us) else None

    def _simulate_all(self) -> None:
        for _ in range(self._how.num_simulations):
            if self._is_late():
                break
            began = self._arena.clock()
            self._simulate()
            self._longest_s = max(self._longest_s, self._arena.clock() - began)

    def _simulate(self) -> None:
        """Go down the tree, one action beyond it, and on at random; count the result; leave no trace in the e-graph.

        The tree takes in the whole way to a result that is the best so far, so that it can be gone again.
        """
        arena, root = self._arena, self._root
        arena.session.checkpoint()
        keys: list[Hashable] = []
        node: TreeNode | None = root
        depth = 0
        while len(keys) - depth < self._how.max_rollout and arena.stop_reason(self._budget, 0) is None:
            offered = self._offered()
            if not offered:
                break
            key = self._select(node, list(offered)) if node else arena.rng.choice(list(offered))
            keys.append(key)
            if node is not None:
                depth += 1
                node = node.children.get(key)
            if not self._apply(offered[key]):
                break
        result = self._drop(arena.cost_us())
        arena.session.undo()
        if result > root.best:
            depth = len(keys)
        root.add(result)
        node = root
        for key in keys[:depth]:
            node = node.children.setdefault(key, TreeNode())
            node.add(result)

    def _select(self, node: TreeNode, keys: Sequence[Hashable]) -> Hashable:
        """Return an action that was never tried here, where there is one, else the one that UCT puts first."""
        untried = [key for key in keys if key not in node.children]
        if untried:
            return self._arena.rng.choice(untried)
        num_visits, scale = max(node.num_visits, 1), self._root.best
        return max(keys, key=lambda key: uct(node.children[key], num_visits, scale, self._how.exploration))

    def _offered(self) -> dict[Hashable, Sequence[Candidate]]:
        """Return the candidates of each action, by a key that means the same each time the same was applied before."""
        match self._how.actions:
            case ActionKind.RULE:
                by_rule: dict[Hashable, list[Candidate]] = {}
                for candidate in self._arena.candidates():
                    by_rule.setdefault(candidate.rule, []).append(candidate)
                return dict(by_rule)
            case ActionKind.GROUP:
                return {each.candidates[0]: each.candidates for each in self._arena.groups()}

    def _apply(self, candidates: Sequence[Candidate]) -> int:
        """Apply the candidates of an action, as many as there is room for."""
        return self._arena.apply(candidates, self._budget.max_enodes)

    def _drop(self, cost_us: float) -> float:
        return (self._start_us - cost_us) / self._start_us if self._start_us > 0 else 0.0
