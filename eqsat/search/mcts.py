"""Monte Carlo tree search over the order in which rules are applied.

After Hartmann, He and Yoneki 2024 ("Optimizing tensor computation graphs with equality saturation and Monte Carlo tree
search"): an action applies one rule to everything it matches, 128 simulations decide about an action, a simulation goes
on at random for at most ten actions beyond the tree, and the extracted price at its end is its result. Kocsis and
Szepesvari's UCT (2006) chooses inside the tree. The search is of one player and knows no chance, so that the action is
taken that led to the best result, not the one most often tried.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, final

from typing_extensions import override

from eqsat.search.interface import Arena, Outcome, Search, SearchBudget, StopReason
from eqsat.search.saturation import ENODES_PER_REWRITE

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

    num_simulations: int = 128
    max_rollout: int = 10
    exploration: float = math.sqrt(2)
    actions: ActionKind = ActionKind.RULE

    @override
    def run(self, arena: Arena, budget: SearchBudget) -> Outcome:
        num_steps = num_applied = 0
        root = TreeNode()
        start_us = cost_us = arena.cost_us()
        while True:
            reason = arena.stop_reason(budget, num_steps)
            if reason is None and not arena.candidates():
                reason = StopReason.SATURATED
            key = self._best_action(arena, budget, root, start_us, cost_us) if reason is None else None
            if key is None:
                ended = reason or arena.stop_reason(budget, num_steps) or StopReason.NO_GAIN
                return Outcome(stop_reason=ended, num_steps=num_steps, num_applied=num_applied)
            candidates = self._offered(arena)[key]
            rule = arena.session.rule_of(candidates[0]).rule.name
            num_applied += self._apply(arena, budget, candidates)
            num_steps += 1
            root = root.children[key]
            cost_us = min(cost_us, arena.cost_us())
            arena.on_progress(f"step {num_steps}: {rule}, {cost_us:.0f} us")

    def _best_action(
        self, arena: Arena, budget: SearchBudget, root: TreeNode, start_us: float, cost_us: float
    ) -> Hashable | None:
        """Return the action on the way to the cheapest graph found; None where none is cheaper than what there is."""
        for _ in range(self.num_simulations):
            if arena.clock() >= budget.deadline:
                break
            self._simulate(arena, budget, root, start_us)
        offered = self._offered(arena)
        tried = [(child.best, child.num_visits, key) for key, child in root.children.items() if key in offered]
        best = max(tried, key=lambda item: item[:2], default=None)
        return best[2] if best is not None and best[0] > _relative_drop(cost_us, start_us) else None

    def _simulate(self, arena: Arena, budget: SearchBudget, root: TreeNode, start_us: float) -> None:
        """Go down the tree, one action beyond it, and on at random; count the result; leave no trace in the e-graph.

        The tree takes in the whole way to a result that is the best so far, so that it can be gone again.
        """
        arena.session.checkpoint()
        keys: list[Hashable] = []
        node: TreeNode | None = root
        depth = 0
        while len(keys) - depth < self.max_rollout and arena.stop_reason(budget, 0) is None:
            offered = self._offered(arena)
            if not offered:
                break
            key = self._select(arena, node, list(offered), root.best) if node else arena.rng.choice(list(offered))
            keys.append(key)
            if node is not None:
                depth += 1
                node = node.children.get(key)
            if not self._apply(arena, budget, offered[key]):
                break
        result = _relative_drop(arena.cost_us(), start_us)
        arena.session.undo()
        if result > root.best:
            depth = len(keys)
        root.add(result)
        node = root
        for key in keys[:depth]:
            node = node.children.setdefault(key, TreeNode())
            node.add(result)

    def _select(self, arena: Arena, node: TreeNode, keys: Sequence[Hashable], scale: float) -> Hashable:
        """Return an action that was never tried here, where there is one, else the one that UCT puts first."""
        untried = [key for key in keys if key not in node.children]
        if untried:
            return arena.rng.choice(untried)
        num_visits = max(node.num_visits, 1)
        return max(keys, key=lambda key: uct(node.children[key], num_visits, scale, self.exploration))

    def _offered(self, arena: Arena) -> dict[Hashable, Sequence[Candidate]]:
        """Return the candidates of each action, by a key that means the same each time the same was applied before."""
        match self.actions:
            case ActionKind.RULE:
                by_rule: dict[Hashable, list[Candidate]] = {}
                for candidate in arena.candidates():
                    by_rule.setdefault(candidate.rule, []).append(candidate)
                return dict(by_rule)
            case ActionKind.GROUP:
                return {each.candidates[0]: each.candidates for each in arena.groups()}

    @staticmethod
    def _apply(arena: Arena, budget: SearchBudget, candidates: Sequence[Candidate]) -> int:
        """Apply the candidates of an action, as many as there is room for."""
        room = budget.max_enodes - arena.size().num_enodes
        return arena.apply(candidates[: max(room // ENODES_PER_REWRITE, 1)])


def _relative_drop(cost_us: float, start_us: float) -> float:
    return (start_us - cost_us) / start_us if start_us > 0 else 0.0
