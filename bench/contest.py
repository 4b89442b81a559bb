"""One model, all contenders: make them, check what they compute, time them against the original."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench.agreement import MAX_RELATIVE_ERROR, relative_error
from bench.peers import Outcome, Peer, run_command
from bench.results import ContenderRow, ModelRow, Speedup, Standing
from eqsat.runtime import (
    Comparison,
    Contender,
    ContenderResult,
    MeasurementError,
    OptimizationLevel,
    SessionSettings,
)

OURS = "eqsat"
OURS_TUNED = "eqsat.load"
"""The same file in a session with the options that it carries: the way ``eqsat.load`` opens it."""

OUR_FORMS = frozenset({OURS, OURS_TUNED})
CONTROL = "ort"
"""The peer that is the original itself: timed like the others, it shows the noise of the test."""

SAME = Speedup(ratio=1.0, low=1.0, high=1.0, num_pairs=0)
"""The speed-up of a graph over itself."""

STANDING_OF = {
    Outcome.FAILED: Standing.FAILED,
    Outcome.TIMED_OUT: Standing.TIMED_OUT,
    Outcome.NOT_SUPPORTED: Standing.NOT_SUPPORTED,
    Outcome.NOT_INSTALLED: Standing.NOT_INSTALLED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long the test may take.

    Attributes:
        num_pairs: Fresh pairs of sessions at most.
        rounds: Interleaved rounds in each.
        max_seconds: Seconds of timing for one model; infinite for no limit.
        time_budget_s: Seconds that our own optimiser gets.
        timeout_s: Seconds after which a peer is killed.
    """

    num_pairs: int
    rounds: int
    max_seconds: float
    time_budget_s: float
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A contender that is ready to run, or the reason why it is not.

    Attributes:
        row: What is known of it so far.
        contender: The model and the session; None where there is none, or none that computes the same.
        key: Entries of one key run the same kernels and are timed once; empty before verification.
    """

    row: ContenderRow
    contender: Contender | None = None
    key: str = ""


class Instrument(Protocol):
    """The part of :class:`eqsat.runtime.Runtime` that a contest needs."""

    def outputs(self, model: Path, feeds: Mapping[str, np.ndarray], settings: SessionSettings) -> dict[str, np.ndarray]:
        """Return the outputs of a model by name."""

    def optimized_fingerprint(self, model: Path, settings: SessionSettings) -> str:
        """Return a hash of the graph after ONNX Runtime's own passes."""

    def compare(
        self,
        contenders: Sequence[Contender],
        feeds: Mapping[str, np.ndarray],
        *,
        num_pairs: int,
        rounds: int,
        deadline: float | None,
    ) -> Comparison:
        """Return the paired latency test of the contenders against the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """The test of one model.

    Attributes:
        runtime: Runs and times the models.
        source: The original.
        feeds: The inputs that are timed, by name.
        checks: The inputs that the contenders are verified on.
        settings: The session of the original.
        effort: How long it may take.
        folder: Existing folder for the models of the contenders.
        arguments: Of our own command besides those for threads, provider and time.
        clock: Seconds on the runtime's clock.
    """

    runtime: Instrument
    source: Path
    feeds: Mapping[str, np.ndarray]
    checks: Sequence[Mapping[str, np.ndarray]]
    settings: SessionSettings
    effort: Effort
    folder: Path
    arguments: Sequence[str] = ()
    clock: Callable[[], float] = time.monotonic

    def run(self, name: str, model_class: str, *, peers: Sequence[Peer], peer_type: str) -> ModelRow:
        """Return the row of the model.

        Args:
            name: The model.
            model_class: The class it is reported under.
            peers: Who takes part besides us.
            peer_type: The type of the model for the peer that wants one.

        Raises:
            MeasurementError: The original itself cannot be run.
        """
        ours, report = self.our_entries()
        entries = [*ours, *(self.peer_entry(peer, peer_type) for peer in peers)]
        wanted = [self.runtime.outputs(self.source, feeds, self.settings) for feeds in self.checks]
        entries = [self.verified(entry, wanted) for entry in entries]
        entries, original_us = self.timed(entries)
        best, over_best = self.final(entries)
        return ModelRow(
            name=name,
            model_class=model_class,
            original_us=original_us,
            contenders=tuple(entry.row for entry in entries),
            best_peer=best,
            over_best_peer=over_best,
            report=report,
        )

    def our_entries(self) -> tuple[list[Entry], dict[str, Any]]:
        """Run our own optimiser as its users do, and return its entries and its report."""
        target = self.folder / f"{OURS}.onnx"
        report_path = self.folder / f"{OURS}.json"
        command = [sys.executable, "-m", "eqsat.run", str(self.source), str(target), "--json", str(report_path)]
        command += ["--threads", str(self.settings.threads), "--provider", ",".join(self.settings.providers)]
        command += ["--time-budget", f"{self.effort.time_budget_s:g}s", "--quiet", *self.arguments]
        start_s = self.clock()
        ended = run_command(command, timeout_s=max(self.effort.timeout_s, 2 * self.effort.time_budget_s))
        seconds = self.clock() - start_s
        if ended.is_timed_out or ended.exit_code != 0:
            standing = Standing.TIMED_OUT if ended.is_timed_out else Standing.FAILED
            row = ContenderRow(name=OURS, standing=standing, seconds=seconds, message=ended.message)
            return [Entry(row=row)], {}
        report: dict[str, Any] = json.loads(report_path.read_text())
        entries = [self.entry(OURS, target, self.settings, seconds)]
        session = report.get("session")
        if session is not None:
            tuned = replace(
                self.settings,
                level=OptimizationLevel(session["graph_optimization_level"]),
                disabled_optimizers=tuple(session["disabled_optimizers"]),
            )
            if tuned != self.settings:
                entries.append(self.entry(OURS_TUNED, target, tuned, seconds))
        return entries, report

    def peer_entry(self, peer: Peer, peer_type: str) -> Entry:
        """Run a peer and return its entry."""
        target = self.folder / f"{peer.name}.onnx"
        result = peer.optimize(self.source, target, model_type=peer_type, timeout_s=self.effort.timeout_s)
        if result.outcome is Outcome.WRITTEN:
            return self.entry(peer.name, target, replace(self.settings, level=peer.level), result.seconds)
        standing = STANDING_OF[result.outcome]
        return Entry(
            row=ContenderRow(name=peer.name, standing=standing, seconds=result.seconds, message=result.message)
        )

    def entry(self, name: str, path: Path, settings: SessionSettings, seconds: float) -> Entry:
        """Return an entry that is still to be verified and timed."""
        row = ContenderRow(name=name, standing=Standing.NOT_REACHED, seconds=seconds)
        return Entry(row=row, contender=Contender(path=path, settings=settings))

    def verified(self, entry: Entry, wanted: Sequence[Mapping[str, np.ndarray]]) -> Entry:
        """Return the entry with its error and key, without its contender where that computes something else."""
        contender = entry.contender
        if contender is None:
            return entry
        try:
            errors = [
                relative_error(outputs, self.runtime.outputs(contender.path, feeds, contender.settings))
                for feeds, outputs in zip(self.checks, wanted, strict=True)
            ]
            fingerprint = self.runtime.optimized_fingerprint(contender.path, contender.settings)
        except MeasurementError as error:
            return Entry(row=replace(entry.row, standing=Standing.FAILED, message=str(error)))
        worst = max(errors)
        if worst <= MAX_RELATIVE_ERROR:
            key = CONTROL if entry.row.name == CONTROL else fingerprint
            return replace(entry, key=key, row=replace(entry.row, relative_error=worst))
        is_number = math.isfinite(worst)
        message = (
            f"relative error {worst:.1e}" if is_number else "other outputs or shapes, or values that are not finite"
        )
        row = replace(entry.row, standing=Standing.WRONG, relative_error=worst if is_number else None, message=message)
        return Entry(row=row)

    def timed(self, entries: Sequence[Entry]) -> tuple[list[Entry], float | None]:
        """Time the contenders against the original; what ONNX Runtime turns into the same graph is timed once.

        Returns:
            The entries with their speed-ups, and the latency of the original in us where anything was timed.
        """
        original_key = self.runtime.optimized_fingerprint(self.source, self.settings)
        chosen: dict[str, Contender] = {}
        for entry in entries:
            if entry.contender is not None and entry.key != original_key:
                chosen.setdefault(entry.key, entry.contender)
        original = Contender(path=self.source, settings=self.settings)
        timing = self.timing(original, chosen)
        finished = []
        for entry in entries:
            if entry.contender is None:
                finished.append(entry)
            elif entry.key == original_key:
                row = replace(entry.row, standing=Standing.SAME_GRAPH, speedup=SAME)
                finished.append(replace(entry, row=row))
            else:
                finished.append(replace(entry, row=timing.finish(entry)))
        return finished, timing.original_us

    def timing(self, baseline: Contender, chosen: Mapping[str, Contender]) -> Timing:
        """Return the paired latency test of some contenders, by key, against a baseline."""
        if not chosen:
            return Timing(results={}, failures={}, original_us=None)
        comparison = self.runtime.compare(
            [baseline, *chosen.values()],
            self.feeds,
            num_pairs=self.effort.num_pairs,
            rounds=self.effort.rounds,
            deadline=self.clock() + self.effort.max_seconds,
        )
        keys = list(chosen)
        measured = comparison.results
        return Timing(
            results={key: measured[index] for index, key in enumerate(keys, start=1) if index in measured},
            failures={keys[index - 1]: line for index, line in comparison.failures.items()},
            original_us=measured[0].latency_us if 0 in measured else None,
        )

    def final(self, entries: Sequence[Entry]) -> tuple[str, Speedup | None]:
        """Test our fastest form against the fastest alternative, in fresh pairs, so that no lucky number decides.

        The alternatives are the peers that compute the same, and the original itself, which wins where none of them
        is faster. Where our own run failed, its user is left with the original.

        Returns:
            The name of the alternative, and our speed-up over it; ("", None) without peers.
        """
        ours = {entry.row.name: entry for entry in entries if entry.row.name in OUR_FORMS}
        peers = [entry for entry in entries if entry.row.name not in OUR_FORMS]
        mine = ours.get(OURS_TUNED, ours[OURS])
        if not peers:
            return "", None
        rivals = [entry for entry in peers if entry.row.name != CONTROL and ratio_of(entry) > 1.0]
        if not rivals:
            return CONTROL, mine.row.speedup or SAME
        best = max(rivals, key=ratio_of)
        if mine.contender is None or best.contender is None or mine.row.speedup is None:
            return best.row.name, best.row.speedup.inverse() if best.row.speedup else None
        if mine.key == best.key:
            return best.row.name, SAME
        result = self.timing(best.contender, {mine.key: mine.contender}).results.get(mine.key)
        return best.row.name, None if result is None else speedup_of(result)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """A paired latency test.

    Attributes:
        results: Result by key of the contender.
        failures: What went wrong, by key of the contender.
        original_us: Median latency of the baseline; None where nothing was timed.
    """

    results: Mapping[str, ContenderResult]
    failures: Mapping[str, str]
    original_us: float | None

    def finish(self, entry: Entry) -> ContenderRow:
        """Return the row of an entry with what was measured of its key."""
        if entry.key in self.failures:
            return replace(entry.row, standing=Standing.FAILED, message=self.failures[entry.key])
        if entry.key not in self.results:
            return entry.row
        result = self.results[entry.key]
        speedup = speedup_of(result)
        return replace(entry.row, standing=Standing.TIMED, speedup=speedup, latency_us=result.latency_us)


def speedup_of(result: ContenderResult) -> Speedup:
    """Return the speed-up that a contender was measured to have over its baseline."""
    return Speedup(
        ratio=result.speedup,
        low=result.speedup_low,
        high=result.speedup_high if math.isfinite(result.speedup_high) else None,
        num_pairs=result.num_pairs,
    )


def ratio_of(entry: Entry) -> float:
    """Return the speed-up of an entry over the original; 0 where there is none."""
    return 0.0 if entry.row.speedup is None else entry.row.speedup.ratio
