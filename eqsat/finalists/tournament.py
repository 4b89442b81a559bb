"""The finals: graphs that prices favour, measured against each other end to end.

Prices of single nodes do not add up exactly, so the cheapest graph is only the first guess. Every rule that it uses is
then left out in turn, and every rule that it does not use is tried, each time with a new extraction; what the paired
latency test finds faster becomes the new guess. Rules decide together for all the places where they match, so a deep
model needs no more measurements than a shallow one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from eqsat.extraction.cpsat import solve
from eqsat.extraction.problem import NoSelectionError, discount, forbid, select
from eqsat.finalists.build import Built, build
from eqsat.runtime.errors import MeasurementError
from eqsat.runtime.measurements import Contender
from ir.writer import UnwritableError

if TYPE_CHECKING:
    import numpy as np

    from eqsat.cost.problem import PricedProblem
    from eqsat.egraph.session import Session
    from eqsat.extraction.problem import ExtractionProblem, Selection
    from eqsat.runtime.runtime import Runtime
    from eqsat.runtime.settings import SessionSettings

SOLVE_S: Final = 8.0
"""Seconds for one extraction among the finals; the greedy hint stands in where they do not suffice."""

SCREEN_PAIRS: Final = 4
SCREEN_ROUNDS: Final = 9
MIN_STAKE: Final = 0.002
"""Share of the extracted price below which leaving a rule out is not worth a measurement."""

FAVOURED: Final = 0.25
"""What is left of the price of a rule's e-nodes while the rule is tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalist:
    """A model that takes part.

    Attributes:
        forbidden: Rules it was extracted without.
        favoured: Rules that were made cheap for it.
        cost_us: Its price.
        built: The file.
        fingerprint: What ONNX Runtime makes of it: equal ones need no test.
    """

    forbidden: frozenset[str]
    favoured: frozenset[str]
    cost_us: float
    built: Built
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One question that was put to the device.

    Attributes:
        rule: The rule left out or tried.
        is_removal: True where it was left out.
        speedup: Of the change, against the best so far; None where it could not be measured.
        is_taken: True where the change was kept.
    """

    rule: str
    is_removal: bool
    speedup: float | None
    is_taken: bool


@final
@dataclass(slots=True, kw_only=True)
class Tournament:
    """Builds and measures finalists of one session.

    Attributes:
        session: The e-graph.
        priced: Its prices.
        runtime: Builds constants and measures.
        settings: How the user will run the model.
        feeds: Inputs to measure with.
        folder: Where models are written.
        clock: Seconds on a clock that only goes forward.
        accepts: Says whether a model computes what it should; one that does not is out.
        seed: Of the measurements' orders.
        decisions: What was decided so far.
    """

    session: Session
    priced: PricedProblem
    runtime: Runtime
    settings: SessionSettings
    feeds: Mapping[str, np.ndarray]
    folder: Path
    clock: Callable[[], float]
    accepts: Callable[[Built], bool]
    seed: int = 0
    decisions: list[Decision] = field(default_factory=list)
    _count: int = 0
    _seen: set[frozenset[int]] = field(default_factory=set)

    def entrant(
        self,
        selection: Selection,
        forbidden: frozenset[str] = frozenset(),
        favoured: frozenset[str] = frozenset(),
    ) -> Finalist | None:
        """Build a selection; None where it cannot be written, run or trusted."""
        self._count += 1
        path = self.folder / f"finalist-{self._count}.onnx"
        try:
            built = build(self.session, self.priced.choice(selection), self.runtime, path)
            fingerprint = self.runtime.optimized_fingerprint(path, self.settings)
        except (UnwritableError, MeasurementError):
            path.unlink(missing_ok=True)
            return None
        if not self.accepts(built):
            path.unlink(missing_ok=True)
            return None
        return Finalist(
            forbidden=forbidden,
            favoured=favoured,
            cost_us=selection.cost_us,
            built=built,
            fingerprint=fingerprint,
        )

    def refine(
        self,
        first: Finalist,
        base: Selection,
        deadline: float,
        on_progress: Callable[[str], None] = lambda _: None,
    ) -> Finalist:
        """Put every decision to the test, those with most at stake first; return the best finalist.

        Args:
            first: The finalist to start from.
            base: Its selection.
            deadline: Point on the clock after which nothing more is tried.
            on_progress: Is told each outcome.
        """
        best, selection = first, base
        self._seen.add(base.enodes)
        fingerprints = {first.fingerprint}
        for rule, is_removal in self._questions(base):
            if self.clock() >= deadline:
                break
            forbidden = best.forbidden | {rule} if is_removal else best.forbidden - {rule}
            favoured = best.favoured - {rule} if is_removal else best.favoured | {rule}
            found = self._extract(forbidden, favoured, selection, deadline)
            if found is None or found.enodes in self._seen:
                continue
            self._seen.add(found.enodes)
            rival = self.entrant(found, forbidden, favoured)
            if rival is None:
                continue
            if rival.fingerprint in fingerprints:
                rival.built.path.unlink(missing_ok=True)
                continue
            fingerprints.add(rival.fingerprint)
            speedup = self._duel(best, rival, deadline)
            is_taken = speedup is not None and speedup > 1.0
            self.decisions.append(Decision(rule=rule, is_removal=is_removal, speedup=speedup, is_taken=is_taken))
            on_progress(_told(self.decisions[-1]))
            loser = best if is_taken else rival
            if is_taken:
                best, selection = rival, found
            if loser is not first:
                loser.built.path.unlink(missing_ok=True)
        return best

    def _questions(self, base: Selection) -> list[tuple[str, bool]]:
        """Rules to leave out, then rules to try, each by the price at stake."""
        problem = self.priced.problem
        used: list[tuple[float, str]] = []
        unused: list[tuple[float, str]] = []
        for rule, members in self.priced.groups.items():
            chosen = members & base.enodes
            stake = math.fsum(problem.cost_us[enode] for enode in chosen)
            if chosen and stake >= MIN_STAKE * base.cost_us:
                used.append((-stake, rule))
            elif not chosen:
                finite = [problem.cost_us[enode] for enode in members if problem.cost_us[enode] < math.inf]
                if finite:
                    unused.append((-math.fsum(finite), rule))
        return [(rule, True) for _, rule in sorted(used)] + [(rule, False) for _, rule in sorted(unused)]

    def _extract(
        self,
        forbidden: frozenset[str],
        favoured: frozenset[str],
        hint: Selection,
        deadline: float,
    ) -> Selection | None:
        problem = self._altered(forbidden, favoured)
        try:
            start = select(problem, hint.choice)
            usable = start if start.cost_us < math.inf else None
            result = solve(
                problem,
                time_limit_s=max(min(SOLVE_S, deadline - self.clock()), 0.1),
                hint=usable,
                seed=self.seed,
            )
        except NoSelectionError:
            return None
        return select(self.priced.problem, result.selection.choice)

    def _altered(self, forbidden: frozenset[str], favoured: frozenset[str]) -> ExtractionProblem:
        groups = self.priced.groups
        problem = self.priced.problem
        for rule in sorted(favoured):
            problem = discount(problem, groups[rule], FAVOURED)
        return forbid(problem, frozenset().union(*(groups[rule] for rule in forbidden)))

    def _duel(self, best: Finalist, rival: Finalist, deadline: float) -> float | None:
        """Return how much faster the rival is; 1.0 or less unless that is clear enough to go on with."""
        contenders = [Contender(path=each.built.path, settings=self.settings) for each in (best, rival)]
        try:
            comparison = self.runtime.compare(
                contenders,
                self.feeds,
                num_pairs=SCREEN_PAIRS,
                rounds=SCREEN_ROUNDS,
                seed=self.seed + self._count,
                deadline=deadline,
            )
        except MeasurementError:
            return None
        result = comparison.results.get(1)
        if result is None:
            return None
        is_clear = result.speedup_low > 1.0 or (result.speedup > CLEAR and result.speedup_low > 2 - CLEAR)
        return result.speedup if result.speedup <= 1.0 or is_clear else 1.0


CLEAR: Final = 1.01
"""Median speed-up in the screening that is taken although its interval still touches one."""


def _told(decision: Decision) -> str:
    what = "without" if decision.is_removal else "with"
    speedup = "not measured" if decision.speedup is None else f"x{decision.speedup:.3f}"
    return f"{what} {decision.rule}: {speedup}{' (taken)' if decision.is_taken else ''}"
