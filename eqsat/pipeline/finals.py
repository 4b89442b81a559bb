"""The end of a run: from the cheapest graph to the result that is kept.

Whatever is kept was verified on inputs that no choice was made by, and was faster than the input in a paired test
whose interval leaves out "as fast". It is kept as soon as there is one, so that a run that is cut short has it.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, assert_never, final

import numpy as np

from eqsat.errors import VerificationError
from eqsat.pipeline.events import Stage
from eqsat.pipeline.outcome import Findings, latency_of, optimized_report, unchanged_report
from eqsat.pipeline.progress import CONFIRM_SHARE, FINALS_SHARE, TUNED_SHARE, TUNING_SHARE
from eqsat.pipeline.provenance import content_sha256, provenance
from eqsat.pipeline.reasons import Why, told
from eqsat.pipeline.scratch import keep_best
from eqsat.pipeline.tournament import Tournament
from eqsat.pipeline.tuning import tune
from eqsat.prices.macs import model_macs
from eqsat.rules.rule import FloatClass
from eqsat.runtime.drop_in import DISABLED_OPTIMIZERS_KEY, LEVEL_KEY
from eqsat.runtime.errors import MeasurementError
from eqsat.runtime.intervals import MIN_PAIRS
from eqsat.runtime.measurements import Comparison, Contender, ContenderResult, StopReason
from eqsat.verify.sizes import contradicted_names, default_sizes
from eqsat.verify.trials import Problem, Trials, prepare
from eqsat.verify.verify import Verification, check
from ir.inner_sizes import inner_sizes
from ir.metadata import add_metadata, metadata_bytes
from ir.onnx_file import move_model, open_model, written_bytes
from ir.reader import read

if TYPE_CHECKING:
    from eqsat.egraph.build import Built
    from eqsat.egraph.session import Session
    from eqsat.extraction.problem import Selection
    from eqsat.pipeline.job import Job
    from eqsat.pipeline.progress import Progress, Schedule
    from eqsat.pipeline.report import Report
    from eqsat.pipeline.tournament import Finalist
    from eqsat.prices.problem import PricedProblem
    from eqsat.rules.book import RuleBook
    from eqsat.runtime.runtime import Runtime
    from eqsat.runtime.settings import SessionSettings
    from eqsat.verify.plan import InputPlan

CONFIRM_PAIRS: Final = 40
"""Pairs at most; the test ends as soon as the result is clear."""

CONFIRM_ROUNDS: Final = 15
EARLY_SHARE: Final = 0.75
"""Share of the time left that may go into measuring the first finalist against the input, should it stay undecided
for so long: without a result, nothing that is found later is worth anything."""

_OPTIONS_BYTES: Final = 512
"""What session options take in a model's metadata, at most."""

QUICK_CHECKS: Final = 1
"""Ordinary random inputs at most on which a finalist is verified before it is measured."""

EXTRA_SHARE: Final = 0.04
"""Share of the time budget in which the input is run on very small and large numbers and at sizes of 0 and 1; what is
not reached is left out, for all graphs alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explored:
    """What a search has found, priced and extracted.

    Attributes:
        session: The e-graph.
        rules: The rules behind it.
        priced: Its prices.
        selection: The cheapest graph.
    """

    session: Session
    rules: RuleBook
    priced: PricedProblem
    selection: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A tournament with its first finalist.

    Attributes:
        explored: Where its graphs come from.
        tournament: The tournament.
        first: A model that was accepted.
    """

    explored: Explored
    tournament: Tournament
    first: Finalist


@final
class Finals:
    """The finals of one run."""

    def __init__(
        self,
        *,
        findings: Findings,
        runtime: Runtime,
        settings: SessionSettings,
        plan: InputPlan,
        schedule: Schedule,
        clock: Callable[[], float],
        progress: Progress,
        input_fingerprint: str,
    ) -> None:
        """Remember what all finalists have in common.

        Args:
            findings: Are filled in.
            runtime: Runs and measures.
            settings: How the user will run the model.
            plan: What the input is fed.
            schedule: When the stages must end.
            clock: Seconds on a clock that only goes forward.
            progress: Is told what happens.
            input_fingerprint: What ONNX Runtime makes of the input: a graph of which it makes the same needs no test.
        """
        self._findings = findings
        self._job = findings.job
        self._runtime = runtime
        self._settings = settings
        self._plan = plan
        self._feeds = plan.feeds(np.random.default_rng(self._job.seed))
        findings.feeds = self._feeds
        self._trials: dict[tuple[int, int], Trials] = {}
        self._schedule = schedule
        self._clock = clock
        self._progress = progress
        self._source = Path(self._job.input_path)
        self._folder = Path(self._job.scratch_dir)
        self._input_bytes = findings.input_bytes
        self._max_growth_bytes = self._job.max_growth.limit_bytes(self._input_bytes)
        self._input_fingerprint = input_fingerprint
        self._refusals: list[str] = []
        self._macs_of: dict[Path, int | None] = {}
        self._unmeasured = told(Why.NO_TIME_TO_MEASURE)

    def open(self, explored: Explored) -> Opened | None:
        """Build the first finalist of a new tournament.

        Returns:
            None where the graphs of this e-graph are refused whatever rules are left out.
        """
        with self._progress.stage(Stage.BUILD, "building the cheapest graph"):
            tournament = Tournament(
                session=explored.session,
                priced=explored.priced,
                runtime=self._runtime,
                settings=self._settings,
                feeds=self._feeds,
                folder=self._folder,
                clock=self._clock,
                accepts=lambda built: self._accepts(explored, built),
                max_growth_bytes=self._max_growth_bytes,
                known_fingerprints=frozenset({self._input_fingerprint}),
                seed=self._job.seed,
            )
            first = tournament.open(explored.selection, self._schedule.deadline(FINALS_SHARE))
        if first is None:
            return None
        why = self.why_no_finalist() or "the graphs that use it cannot be written or run"
        self._findings.warnings.extend(f"rule {name} was left out: {why}" for name in sorted(tournament.barred))
        self._refusals.clear()
        return Opened(explored=explored, tournament=tournament, first=first)

    def run(self, opened: Opened) -> Report:
        """Measure, verify and keep; return the report on what was kept.

        Raises:
            VerificationError: The fastest graph does not compute what the input computes.
        """
        explored, tournament, first = opened.explored, opened.tournament, opened.first
        early = self._early(explored, tournament, first)
        is_early_decided = early is not None and self._is_decided()
        with self._progress.stage(Stage.MEASURE, "measuring the finalists"):
            winner = tournament.refine(
                first,
                self._schedule.deadline(FINALS_SHARE),
                lambda message: self._progress.tell(Stage.MEASURE, message),
            )
        self._findings.warnings.extend(self._refusals)
        if winner.fingerprint in tournament.known_fingerprints:
            return keep_input(self._findings, told(Why.SAME_KERNELS))
        if early is not None and is_early_decided and winner is first:
            report = early
        else:
            with self._progress.stage(Stage.MEASURE, "measuring the best against the input"):
                result = self._confirm(winner, self._schedule.deadline(CONFIRM_SHARE))
            if early is not None and (result is None or (is_early_decided and result.speedup_low <= 1.0)):
                return self._again(early)
            if result is None or result.speedup_low <= 1.0:
                return keep_input(self._findings, self._no_gain(result))
            verification = self._verify(explored, winner.built)
            if not verification.is_equal:
                detail = verification.detail or verification.reason
                if early is None:
                    rules = ", ".join(sorted(winner.built.origins))
                    raise VerificationError(
                        f"{self._source}: {detail}; nothing was written; leave out rules with --skip-rules ({rules})"
                    )
                self._findings.warnings.append(f"a faster graph was refused: {detail}")
                return self._again(early)
            report = self._keep(winner)
        return self._tuned(explored, winner, report)

    def why_no_finalist(self) -> str:
        """Return why the graphs were refused; empty where none could be written and run."""
        return self._refusals[0] if self._refusals else ""

    def why_nothing_can_be_verified(self) -> str | None:
        """Return why no graph could be verified, whatever it is; None where graphs can be."""
        with self._progress.stage(Stage.VERIFY, "running the input"):
            trials = self._prepared(self._quick_checks, self._job.seed)
        match trials.problem:
            case None:
                return None
            case Problem.RANDOM_OPERATORS:
                return told(Why.RANDOM, trials.detail)
            case Problem.NOTHING_FINITE:
                return told(Why.NOTHING_FINITE, trials.detail)
            case Problem.ORIGINAL_FAILED:
                return told(Why.INPUT_FAILS, trials.detail)
            case never:
                assert_never(never)

    # --- verifying ------------------------------------------------------------------------------------------

    def _accepts(self, explored: Explored, built: Built) -> bool:
        growth_bytes = self._growth_bytes(built)
        if growth_bytes > self._max_growth_bytes:
            self._refusals.append(
                f"a graph was refused: it is {growth_bytes} bytes larger than the input, "
                f"and {self._max_growth_bytes} are allowed (--max-growth)"
            )
            self._progress.tell(Stage.VERIFY, self._refusals[-1])
            return False
        with self._progress.stage(Stage.VERIFY, "checking a finalist"):
            found = self._check(explored, built, self._quick_checks, self._job.seed)
        if not found.is_equal:
            used = ", ".join(sorted(built.origins))
            self._refusals.append(f"a graph was refused: {found.detail or found.reason} (rules: {used})")
            self._progress.tell(Stage.VERIFY, self._refusals[-1])
        return found.is_equal

    def _growth_bytes(self, built: Built) -> int:
        note = provenance(self._job, None, self._shapes).entries()
        return written_bytes(built.path) + metadata_bytes(note) - self._input_bytes

    @property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: array.shape for name, array in self._feeds.items()}

    @cached_property
    def _input_sha256(self) -> str:
        return content_sha256(self._source)

    def _verify(self, explored: Explored, built: Built) -> Verification:
        """The check that counts, on inputs that nothing was accepted by."""
        with self._progress.stage(Stage.VERIFY, "verifying on inputs that nothing was chosen by"):
            found = self._check(explored, built, self._job.num_checks, self._job.seed + 1)
        self._findings.verification = found
        for sizes in found.not_run_at if found.is_equal else ():
            where = ", ".join(f"{name}={size}" for name, size in sizes.items())
            line = f"at {where} the input gives an empty result and the output an error"
            if line not in self._findings.warnings:
                self._findings.warnings.append(line)
        return found

    def _check(
        self,
        explored: Explored,
        built: Built,
        num_checks: int,
        seed: int,
        settings: SessionSettings | None = None,
    ) -> Verification:
        return check(
            self._prepared(num_checks, seed),
            built.path,
            settings=settings,
            float_class=_loosest(explored.rules, {*built.origins, *explored.session.simplified}),
        )

    @property
    def _quick_checks(self) -> int:
        return min(QUICK_CHECKS, self._job.num_checks)

    def _prepared(self, num_checks: int, seed: int) -> Trials:
        """The inputs of a check, and what the input model makes of them: the same for all graphs."""
        if (num_checks, seed) not in self._trials:
            until = self._clock() + EXTRA_SHARE * self._schedule.budget_s
            self._trials[num_checks, seed] = prepare(
                self._source,
                self._runtime,
                settings=self._settings,
                plan=self._plan,
                num_checks=num_checks,
                seed=seed,
                is_late=lambda: self._clock() >= until,
            )
        return self._trials[num_checks, seed]

    # --- measuring ------------------------------------------------------------------------------------------

    def _early(self, explored: Explored, tournament: Tournament, first: Finalist) -> Report | None:
        """Keep the first finalist if it is faster already; None where that is not clear."""
        now = self._clock()
        until = now + EARLY_SHARE * (self._schedule.deadline(CONFIRM_SHARE) - now)
        if first.fingerprint in tournament.known_fingerprints or until <= now:
            return None
        with self._progress.stage(Stage.MEASURE, "measuring the cheapest graph against the input"):
            result = self._confirm(first, until)
        if result is None or result.speedup_low <= 1.0:
            return None
        return self._keep(first) if self._verify(explored, first.built).is_equal else None

    def _is_decided(self) -> bool:
        comparison = self._findings.comparison
        return comparison is not None and comparison.stop_reason is StopReason.DECIDED

    def _confirm(self, winner: Finalist, deadline: float) -> ContenderResult | None:
        """The paired test against the input, as plain sessions; the findings remember it."""
        comparison = self._compare(winner, self._settings, deadline)
        result = comparison.results.get(1) if comparison is not None else None
        if result is not None:
            self._findings.comparison = comparison
        elif comparison is not None and 1 in comparison.failures:
            self._unmeasured = told(Why.NOT_MEASURED, comparison.failures[1])
        return result

    def _no_gain(self, result: ContenderResult | None) -> str:
        if result is None:
            return self._unmeasured
        if result.num_pairs < MIN_PAIRS:
            return told(Why.NO_TIME_TO_MEASURE_WELL, f"x{result.speedup:.3f}")
        interval = f"x{result.speedup:.3f} [{result.speedup_low:.3f}, {result.speedup_high:.3f}]"
        return told(Why.NOT_FASTER, interval)

    def _compare(self, winner: Finalist, settings: SessionSettings, deadline: float) -> Comparison | None:
        contenders = [
            Contender(path=self._source, settings=self._settings),
            Contender(path=winner.built.path, settings=settings),
        ]
        try:
            return self._runtime.compare(
                contenders,
                self._feeds,
                num_pairs=CONFIRM_PAIRS,
                rounds=CONFIRM_ROUNDS,
                seed=self._job.seed + 1,
                deadline=deadline,
                on_pair=lambda number, most: self._progress.tell(
                    Stage.MEASURE, f"against the input, pair {number} of {most} at most", (number - 1) / most
                ),
            )
        except MeasurementError as error:
            if self._clock() < deadline:
                self._unmeasured = told(Why.NOT_MEASURED, error)
                self._findings.warnings.append(f"the result could not be measured: {error}")
            return None

    def _tuned(self, explored: Explored, winner: Finalist, report: Report) -> Report:
        """Try session options on top, and record them where the model runs clearly faster still."""
        if self._growth_bytes(winner.built) + _OPTIONS_BYTES > self._max_growth_bytes:
            return self._again(report)
        with self._progress.stage(Stage.MEASURE, "trying session options"):
            tuned = tune(
                winner.built.path,
                self._runtime,
                self._settings,
                self._feeds,
                deadline=self._schedule.deadline(TUNING_SHARE),
                clock=self._clock,
                seed=self._job.seed,
                is_sound=lambda settings: (
                    self._check(explored, winner.built, QUICK_CHECKS, self._job.seed + 1, settings).is_equal
                ),
            )
            comparison = None
            if tuned != self._settings:
                comparison = self._compare(winner, tuned, self._schedule.deadline(TUNED_SHARE))
        result = comparison.results.get(1) if comparison is not None else None
        plain = report.latency.speedup if report.latency is not None else 1.0
        if result is None or result.speedup_low <= 1.0 or result.speedup <= plain:
            return self._again(report)
        return self._keep(winner, tuned, result)

    # --- keeping --------------------------------------------------------------------------------------------

    def _keep(
        self,
        winner: Finalist,
        tuned: SessionSettings | None = None,
        tuned_result: ContenderResult | None = None,
    ) -> Report:
        metadata = provenance(self._job, latency_of(self._findings), self._shapes, self._input_sha256).entries()
        if tuned is not None:
            metadata[LEVEL_KEY] = tuned.level.value
            metadata[DISABLED_OPTIMIZERS_KEY] = ",".join(tuned.disabled_optimizers)
        report = optimized_report(
            self._findings,
            winner,
            tuned,
            tuned_result,
            winner_macs=self._macs(winner.built.path),
            added_bytes=metadata_bytes(metadata),
        )

        def write(path: Path) -> None:
            move_model(winner.built.path, path)
            add_metadata(path, metadata)

        with self._progress.stage(Stage.WRITE, "keeping the result"):
            keep_best(self._job.scratch_dir, report, model_name=_model_name(self._job), write_model=write)
        return report

    def _macs(self, path: Path) -> int | None:
        """Return the multiply-accumulates of one run of a finalist; None where they are not known."""
        if path not in self._macs_of:
            file = open_model(path)
            graph = read(file)
            unequal = contradicted_names(graph, self._shapes)
            graph = read(file, unequal) if unequal else graph
            self._macs_of[path] = model_macs(graph, inner_sizes(graph, default_sizes(graph, self._shapes)))
        return self._macs_of[path]

    def _again(self, kept: Report) -> Report:
        """The report on what is kept already, with what was found out since."""
        return replace(kept, seconds=dict(self._findings.seconds), warnings=tuple(self._findings.warnings))


def keep_input(findings: Findings, reason: str) -> Report:
    """Keep the input as the result; return the report that says why."""
    report = unchanged_report(findings, reason)
    keep_best(findings.job.scratch_dir, report, model_name=_model_name(findings.job), write_model=None)
    return report


def _model_name(job: Job) -> str:
    return Path(job.output_path or "model.onnx").name


def _loosest(rules: RuleBook, names: AbstractSet[str]) -> FloatClass:
    """The loosest float class of some rules."""
    classes = [rule.floats for rule in rules.rules if rule.name in names]
    return max(classes, key=lambda each: each.looseness, default=FloatClass.EXACT)
