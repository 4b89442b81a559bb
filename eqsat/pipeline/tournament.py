"""The finals: graphs that prices favour, measured against each other end to end.

Prices of single nodes do not add up exactly, so the cheapest graph is only the first guess. The cheapest graphs that
differ from it in one decision (a rule that it uses left out, a rule that it does not use tried) are measured against
it in turn; what the paired latency test finds faster becomes the new guess, and the decisions that follow are added to
its own. Rules decide together for all the places where they match, so a deep model needs no more measurements than a
shallow one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from eqsat.egraph.build import Built, build, discard
from eqsat.extraction.diverse import Variant, decide, variants
from eqsat.extraction.problem import ExtractionProblem, NoSelectionError, Selection, forbid
from eqsat.pipeline.culprits import culprits
from eqsat.runtime.errors import MeasurementError
from eqsat.runtime.measurements import Contender
from eqsat.text.arguments import Growth
from ir.writer import UnwritableError

if TYPE_CHECKING:
    import numpy as np

    from eqsat.egraph.session import Session
    from eqsat.prices.problem import PricedProblem
    from eqsat.runtime.runtime import Runtime
    from eqsat.runtime.settings import SessionSettings

SOLVE_S: Final = 8.0
"""Seconds for one extraction among the finals; the greedy hint stands in where they do not suffice."""

MAX_VARIANTS: Final = 24
"""Graphs that are measured against the best at most."""

EXTRACTING_SHARE: Final = 0.3
"""Share of the time for the finals that may go into extracting the variants."""

SCREEN_PAIRS: Final = 4
SCREEN_ROUNDS: Final = 9
CLEAR: Final = 1.01
"""Median speed-up in the screening that is taken although its interval still touches one."""

MIN_STAKE: Final = 0.002
"""Share of the extracted price below which a difference is not worth a measurement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalist:
    """A model that takes part.

    Attributes:
        selection: The e-nodes that it is made of, priced.
        forbidden: Rules it was extracted without.
        favoured: Rules that were made cheap for it, and what was left of their prices.
        built: The file.
        fingerprint: What ONNX Runtime makes of it: equal ones need no test.
    """

    selection: Selection
    forbidden: frozenset[str]
    favoured: Mapping[str, float]
    built: Built
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One question that was put to the device.

    Attributes:
        change: What was changed, ``without <rule>`` or ``with <rule>``.
        speedup: Of the change, against the best so far; None where it could not be measured.
        is_taken: True where the change was kept.
    """

    change: str
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
        max_growth_bytes: How much larger than the model's constants those of a finalist may be.
        known_fingerprints: Of models that need no test, the input among them.
        seed: Of the measurements' orders.
        decisions: What was decided so far.
        barred: Rules that were found to be at fault; no finalist uses them.
    """

    session: Session
    priced: PricedProblem
    runtime: Runtime
    settings: SessionSettings
    feeds: Mapping[str, np.ndarray]
    folder: Path
    clock: Callable[[], float]
    accepts: Callable[[Built], bool]
    max_growth_bytes: int = Growth().num_bytes
    known_fingerprints: frozenset[str] = frozenset()
    seed: int = 0
    decisions: list[Decision] = field(default_factory=list)
    barred: frozenset[str] = frozenset()
    _count: int = 0

    def open(self, extracted: Selection, deadline: float) -> Finalist | None:
        """Build the cheapest graph; where it is refused, the cheapest one without the rules at fault.

        Args:
            extracted: The cheapest selection.
            deadline: Point on the clock after which rules stay suspect although only some of them are at fault.

        Returns:
            The first finalist; None where no rule can be found whose absence helps.
        """
        first = self._entrant(extracted)
        return self._without_culprits(extracted, deadline) if first is None else first

    def refine(
        self,
        first: Finalist,
        deadline: float,
        on_progress: Callable[[str], None] = lambda _: None,
    ) -> Finalist:
        """Measure the graphs that differ in a decision, the cheapest first; return the best finalist.

        Args:
            first: The finalist to start from.
            deadline: Point on the clock after which nothing more is tried.
            on_progress: Is told each outcome.
        """
        best = first
        seen = {first.selection.enodes}
        fingerprints = {first.fingerprint, *self.known_fingerprints}
        for variant in self._variants(first, deadline):
            if self.clock() >= deadline:
                break
            rival = self._rival(best, first, variant, seen, fingerprints, deadline)
            if rival is None:
                continue
            fingerprints.add(rival.fingerprint)
            speedup = self._duel(best, rival, deadline)
            is_taken = speedup is not None and speedup > 1.0
            self.decisions.append(Decision(change=variant.name, speedup=speedup, is_taken=is_taken))
            on_progress(_told(self.decisions[-1]))
            discard((best if is_taken else rival).built.path)
            best = rival if is_taken else best
        return best

    def _entrant(
        self,
        selection: Selection,
        forbidden: frozenset[str] = frozenset(),
        favoured: Mapping[str, float] | None = None,
        known: AbstractSet[str] = frozenset(),
    ) -> Finalist | None:
        """Build a selection; None where it cannot be written, run or trusted, or its fingerprint is known."""
        self._count += 1
        path = self.folder / f"finalist-{self._count}.onnx"
        try:
            choice = self.priced.choice(selection)
            built = build(self.session, choice, self.runtime, path, max_growth_bytes=self.max_growth_bytes)
            fingerprint = self.runtime.optimized_fingerprint(path, self.settings)
            is_accepted = fingerprint not in known and self.accepts(built)
        except (UnwritableError, MeasurementError, NoSelectionError):
            discard(path)
            return None
        if not is_accepted:
            discard(path)
            return None
        return Finalist(
            selection=selection,
            forbidden=forbidden,
            favoured=favoured or {},
            built=built,
            fingerprint=fingerprint,
        )

    def _without_culprits(self, refused: Selection, deadline: float) -> Finalist | None:
        """Leave out all rules that the refused graph uses, then take back those that are not at fault."""
        sound: dict[frozenset[str], Finalist] = {}
        suspects: frozenset[str] = frozenset()
        selection: Selection | None = refused

        def is_sound(left_out: frozenset[str]) -> bool:
            self._try_without(left_out, refused, sound)
            return left_out in sound

        while suspects not in sound:
            more = frozenset() if selection is None else self._rules_of(selection) - suspects
            if not more or self.clock() >= deadline:
                return None
            suspects |= more
            selection = self._try_without(suspects, refused, sound)
        self.barred = culprits(suspects, is_sound, lambda: self.clock() >= deadline)
        for left_out, finalist in sound.items():
            if left_out != self.barred:
                discard(finalist.built.path)
        return sound[self.barred]

    def _try_without(
        self,
        left_out: frozenset[str],
        refused: Selection,
        sound: dict[frozenset[str], Finalist],
    ) -> Selection | None:
        """Extract without some rules and note in ``sound`` where the graph is accepted; None if nothing is left."""
        selection = self._decide(self.priced.problem, refused, left_out, {}, SOLVE_S)
        finalist = None if selection is None else self._entrant(selection, left_out)
        if finalist is not None:
            sound[left_out] = finalist
        return selection

    def _rules_of(self, selection: Selection) -> frozenset[str]:
        chosen = selection.enodes
        return frozenset(rule for rule, members in self.priced.groups.items() if not members.isdisjoint(chosen))

    def _variants(self, first: Finalist, deadline: float) -> list[Variant]:
        """The cheapest graphs that differ from the first in a decision that is worth a measurement."""
        groups = {rule: members for rule, members in self.priced.groups.items() if rule not in self.barred}
        found = variants(
            self._allowed(),
            first.selection,
            groups,
            k=len(groups),
            time_limit_s=SOLVE_S,
            total_time_limit_s=EXTRACTING_SHARE * max(deadline - self.clock(), 0.0),
            seed=self.seed,
            clock=self.clock,
        )
        return [variant for variant in found if self._stake(variant, first) >= MIN_STAKE][:MAX_VARIANTS]

    def _allowed(self) -> ExtractionProblem:
        groups = self.priced.groups
        return forbid(self.priced.problem, frozenset().union(*(groups[rule] for rule in self.barred)))

    def _stake(self, variant: Variant, first: Finalist) -> float:
        """Price of what differs, as a share of the whole."""
        differing = variant.selection.enodes ^ first.selection.enodes
        return math.fsum(self.priced.problem.cost_us[enode] for enode in differing) / max(first.selection.cost_us, 1e-9)

    def _rival(
        self,
        best: Finalist,
        first: Finalist,
        variant: Variant,
        seen: set[frozenset[int]],
        known: AbstractSet[str],
        deadline: float,
    ) -> Finalist | None:
        """Build the best so far with one more decision; None where that gives nothing new or nothing sound."""
        forbidden = (best.forbidden | variant.forbidden) - variant.favoured.keys()
        favoured = {rule: factor for rule, factor in best.favoured.items() if rule not in variant.forbidden}
        favoured |= variant.favoured
        selection: Selection | None = variant.selection
        if best is not first:
            left_s = min(SOLVE_S, max(deadline - self.clock(), 0.1))
            selection = self._decide(self._allowed(), best.selection, forbidden, favoured, left_s)
        if selection is None or selection.enodes in seen:
            return None
        seen.add(selection.enodes)
        return self._entrant(selection, forbidden, favoured, known)

    def _decide(
        self,
        problem: ExtractionProblem,
        base: Selection,
        forbidden: frozenset[str],
        favoured: Mapping[str, float],
        time_limit_s: float,
    ) -> Selection | None:
        try:
            return decide(
                problem,
                base,
                self.priced.groups,
                forbidden=forbidden,
                favoured=favoured,
                time_limit_s=time_limit_s,
                seed=self.seed,
                clock=self.clock,
            )
        except NoSelectionError:
            return None

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


def _told(decision: Decision) -> str:
    speedup = "not measured" if decision.speedup is None else f"x{decision.speedup:.3f}"
    return f"{decision.change}: {speedup}{' (taken)' if decision.is_taken else ''}"
