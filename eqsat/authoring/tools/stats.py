"""What each rule does on a model: matches, applications, time, growth, and what its forms are worth."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eqsat.extraction.cpsat import solve
from eqsat.extraction.diverse import decide
from eqsat.extraction.problem import NoSelectionError

if TYPE_CHECKING:
    from eqsat.egraph.session import Session
    from eqsat.egraph.view import Candidate
    from eqsat.prices.problem import PricedProblem

MAX_PER_ROUND: Final = 2_000
"""Candidates of one rule that are applied in one round."""

SOLVE_S: Final = 10.0
WITHOUT_S: Final = 3.0
"""Seconds for extracting the cheapest graph, and for each of those without one rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleUse:
    """What one rule did.

    Attributes:
        name: Name of the rule.
        num_matches: Candidates that it offered.
        num_applied: Candidates of it that were applied.
        seconds: Time that applying them took, with all that follows without a choice.
        num_enodes: E-nodes by which the e-graph grew then.
        gain_us: What the cheapest graph would cost more without what this rule made, by measured prices; None where no
            prices were asked for, or where the rule only made known values equal, so that nobody can tell.
    """

    name: str
    num_matches: int
    num_applied: int
    seconds: float
    num_enodes: int
    gain_us: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What all rules did.

    Attributes:
        rules: Those that matched, those with the largest gain first.
        num_rounds: Rounds in which each rule was applied wherever it matched.
        is_saturated: True where nothing was left to apply; False where a limit ended it.
        before: E-nodes of the model itself.
        after: E-nodes in the end.
        input_us: Price of the model as it is; None without prices.
        best_us: Price of the cheapest graph; None without prices.
        refused: Rules that were switched off while applied, each with the reason.
    """

    rules: tuple[RuleUse, ...]
    num_rounds: int
    is_saturated: bool
    before: int
    after: int
    input_us: float | None
    best_us: float | None
    refused: tuple[str, ...]


def count(
    session: Session,
    *,
    max_enodes: int,
    deadline: float,
    prices: Callable[[], PricedProblem] | None,
    clock: Callable[[], float] = time.monotonic,
) -> Stats:
    """Apply every rule wherever it matches, one rule after the other, round by round, and count.

    Args:
        session: The model with the rules.
        max_enodes: E-nodes from which on nothing more is applied.
        deadline: Point on the clock from which on nothing more is applied.
        prices: Prices the e-graph; None leaves the gains out.
        clock: Seconds on a clock that only goes forward.
    """
    before = session.size().num_enodes
    seen: defaultdict[str, set[Candidate]] = defaultdict(set)
    seconds: defaultdict[str, float] = defaultdict(float)
    growth: Counter[str] = Counter()
    num_rounds = 0

    def is_over() -> bool:
        return clock() >= deadline or session.size().num_enodes >= max_enodes

    while session.candidates() and not is_over():
        num_rounds += 1
        num_applied = 0
        for index in sorted({candidate.rule for candidate in session.candidates()}):
            for candidate in session.candidates():
                seen[session.rule_of(candidate).rule.name].add(candidate)
            batch = [candidate for candidate in session.candidates() if candidate.rule == index][:MAX_PER_ROUND]
            if not batch or is_over():
                continue
            name = session.rule_of(batch[0]).rule.name
            began, size = clock(), session.size().num_enodes
            num_applied += session.apply(batch)
            seconds[name] += clock() - began
            growth[name] += session.size().num_enodes - size
        if not num_applied:
            break
    is_saturated = not session.candidates()
    input_us, best_us, gains = _gains(prices()) if prices is not None else (None, None, {})
    rules = [
        RuleUse(
            name=name,
            num_matches=len(candidates),
            num_applied=session.applied[name],
            seconds=seconds[name],
            num_enodes=growth[name],
            gain_us=gains.get(name),
        )
        for name, candidates in seen.items()
    ]
    return Stats(
        rules=tuple(sorted(rules, key=lambda rule: (-(rule.gain_us or 0.0), -rule.num_applied, rule.name))),
        num_rounds=num_rounds,
        is_saturated=is_saturated,
        before=before,
        after=session.size().num_enodes,
        input_us=input_us,
        best_us=best_us,
        refused=tuple(f"{name}: {why}" for name, why in session.refused.items()),
    )


def _gains(priced: PricedProblem) -> tuple[float | None, float, dict[str, float]]:
    """Return the price of the model as it is, of the cheapest graph, and what each rule adds to that."""
    problem = priced.problem
    best = solve(problem, time_limit_s=SOLVE_S).selection

    def cost_without(names: frozenset[str]) -> float | None:
        try:
            selection = decide(problem, best, priced.groups, forbidden=names, favoured={}, time_limit_s=WITHOUT_S)
        except NoSelectionError:
            return None
        return selection.cost_us

    gains: dict[str, float] = {}
    for name, enodes in priced.groups.items():
        if enodes.isdisjoint(best.enodes):
            gains[name] = 0.0
            continue
        cost_us = cost_without(frozenset({name}))
        if cost_us is not None:
            gains[name] = max(cost_us - best.cost_us, 0.0)
    return cost_without(frozenset(priced.groups)), best.cost_us, gains
