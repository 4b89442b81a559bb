"""The paired latency test: which pairs to run, when to stop, what they say."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import median
from typing import Protocol, final

from eqsat.errors import ProviderError
from eqsat.runtime.errors import MeasurementError
from eqsat.runtime.intervals import MIN_PAIRS, is_decided, paired_interval
from eqsat.runtime.measurements import Comparison, ContenderResult, StopReason

MAX_PAIR_S = 30.0
"""Measuring time of one row of sessions; rounds beyond are left out, but never the first three."""

TIMING_SHARE = 0.5
"""Share of the time of a pair that goes into timing; the rest makes its sessions and warms them up."""

_GRACE_S = 5.0


class TimePair(Protocol):
    """Times fresh sessions of some contenders against each other."""

    def __call__(self, indices: Sequence[int], *, max_seconds: float, timeout_s: float, seed: int) -> list[list[float]]:
        """Return for each contender the seconds of one run, by round.

        Args:
            indices: Which contenders.
            max_seconds: Measuring time.
            timeout_s: Time after which the answer is not wanted any more.
            seed: Seed of the orders.

        Raises:
            MeasurementError: One of them could not be run.
            ProviderError: A provider is not available.
        """


@final
class PairedTest:
    """A paired latency test under way; contender 0 is the baseline."""

    def __init__(
        self,
        time_pair: TimePair,
        num_contenders: int,
        *,
        seed: int,
        seconds_left: Callable[[], float],
        on_pair: Callable[[int, int], None] = lambda *_: None,
    ) -> None:
        """Make a test of ``num_contenders`` contenders.

        Args:
            time_pair: Runs one pair.
            num_contenders: The baseline counts.
            seed: Seed of all orders.
            seconds_left: Time until the deadline, which may be infinite.
            on_pair: Is told the number of each pair, from 1, and how many there may be.
        """
        self._time_pair = time_pair
        self._seconds_left = seconds_left
        self._on_pair = on_pair
        self._rng = random.Random(seed)
        self._pairs_run = 0
        self._is_together = True
        self._undecided = set(range(1, num_contenders))
        self._log_ratios: defaultdict[int, list[float]] = defaultdict(list)
        self._latencies_us: defaultdict[int, list[float]] = defaultdict(list)
        self._failures: dict[int, str] = {}

    def run(self, *, num_pairs: int, rounds: int) -> Comparison:
        """Measure until all is decided, or ``num_pairs`` pairs, or the deadline.

        Raises:
            MeasurementError: The baseline cannot be run.
            ProviderError: The baseline's provider is not available.
        """
        last_pair_s = 0.0
        reason = StopReason.NUM_PAIRS
        while self._pairs_run < num_pairs:
            if not self._undecided:
                reason = StopReason.DECIDED
                break
            before_s = self._seconds_left()
            if before_s <= last_pair_s:
                reason = StopReason.DEADLINE
                break
            self._on_pair(self._pairs_run + 1, num_pairs)
            self._observe_all()
            last_pair_s = before_s - self._seconds_left() if math.isfinite(before_s) else 0.0
            self._pairs_run += 1
            self._undecided = {index for index in self._undecided if not is_decided(self._log_ratios[index])}
        else:
            reason = StopReason.NUM_PAIRS if self._undecided else StopReason.DECIDED
        return Comparison(
            results=self._results(),
            failures=dict(self._failures),
            num_pairs=self._pairs_run,
            rounds=rounds,
            stop_reason=reason,
        )

    def _observe_all(self) -> None:
        undecided = sorted(self._undecided)
        for group in [undecided] if self._is_together else [[index] for index in undecided]:
            self._observe(group)

    def _observe(self, group: Sequence[int]) -> None:
        """Run one pair of the baseline and a group; a failing group is taken apart to find the one that fails."""
        if self._seconds_left() <= 0:
            return
        try:
            times_s = self._run([0, *group])
        except (MeasurementError, ProviderError) as error:
            if self._seconds_left() <= 0:
                return
            if len(group) > 1:
                self._is_together = False
                for index in group:
                    self._observe([index])
                return
            if not self._latencies_us[0]:
                self._run([0])
            self._failures[group[0]] = str(error)
            self._undecided.discard(group[0])
            return
        baseline_s = times_s[0]
        self._latencies_us[0].append(median(baseline_s) * 1e6)
        for index, contender_s in zip(group, times_s[1:], strict=True):
            self._latencies_us[index].append(median(contender_s) * 1e6)
            self._log_ratios[index].append(log_ratio(baseline_s, contender_s))

    def _run(self, indices: Sequence[int]) -> list[list[float]]:
        left_s = self._seconds_left()
        return self._time_pair(
            indices,
            max_seconds=min(MAX_PAIR_S, TIMING_SHARE * max(left_s, 0.0) / self._pairs_to_come()),
            timeout_s=left_s + _GRACE_S,
            seed=self._rng.getrandbits(32),
        )

    def _pairs_to_come(self) -> int:
        """Pairs among which the time left is shared out: fewer decide nothing, so slow models get fewer rounds."""
        return max(MIN_PAIRS + 1 - self._pairs_run, 1)

    def _results(self) -> dict[int, ContenderResult]:
        if not self._latencies_us[0]:
            return {}
        count = len(self._latencies_us[0])
        latency_us = median(self._latencies_us[0])
        baseline = ContenderResult(
            speedup=1.0, speedup_low=1.0, speedup_high=1.0, latency_us=latency_us, num_pairs=count
        )
        results = {0: baseline}
        for index in sorted(self._log_ratios):
            if index in self._failures or not self._log_ratios[index]:
                continue
            middle, low, high = paired_interval(self._log_ratios[index])
            results[index] = ContenderResult(
                speedup=middle,
                speedup_low=low,
                speedup_high=high,
                latency_us=median(self._latencies_us[index]),
                num_pairs=len(self._log_ratios[index]),
            )
        return results


def log_ratio(baseline_s: Sequence[float], contender_s: Sequence[float]) -> float:
    """Return one pair's observation: the log of the median over rounds of baseline time / contender time."""
    return math.log(median(base / other for base, other in zip(baseline_s, contender_s, strict=True)))
