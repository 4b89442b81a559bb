"""The paired test on a machine whose times are drawn from a seeded generator."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import pytest

from eqsat.runtime import ChildCrashedError, StopReason
from eqsat.runtime.comparison import PairedTest, log_ratio


def never(indices: Sequence[int]) -> bool:
    return False


class Machine:
    """Runs pairs in no time: contender i takes ``seconds[i]``, with a bias per session and noise per round."""

    def __init__(
        self, seconds: Sequence[float], *, bias: float = 0.01, crashes: Callable[[Sequence[int]], bool] = never
    ) -> None:
        self.seconds = seconds
        self.bias = bias
        self.crashes = crashes
        self.rng = random.Random(3)
        self.asked: list[tuple[int, ...]] = []
        self.time_s = 0.0

    def time_pair(
        self, indices: Sequence[int], *, max_seconds: float, timeout_s: float, seed: int
    ) -> list[list[float]]:
        self.asked.append(tuple(indices))
        self.time_s += 1.0
        if self.crashes(indices):
            raise ChildCrashedError("ONNX Runtime crashed (SIGFPE)")
        return [self._rounds(self.seconds[index]) for index in indices]

    def _rounds(self, seconds: float) -> list[float]:
        session = seconds * math.exp(self.rng.gauss(0.0, self.bias))
        return [session * math.exp(abs(self.rng.gauss(0.0, 0.05))) for _ in range(15)]

    def test(self, *, budget_s: float = math.inf) -> PairedTest:
        return PairedTest(self.time_pair, len(self.seconds), seed=0, seconds_left=lambda: budget_s - self.time_s)


def test_a_pair_is_the_median_over_rounds() -> None:
    assert log_ratio([2.0, 2.0, 100.0], [1.0, 1.0, 1.0]) == pytest.approx(math.log(2.0))


def test_clear_contenders_leave_and_the_test_ends_when_all_are_clear() -> None:
    machine = Machine([1.0, 0.5, 2.0])
    comparison = machine.test().run(num_pairs=16, rounds=15)
    assert comparison.stop_reason is StopReason.DECIDED
    assert comparison.num_pairs == 5
    assert comparison.results[1].speedup_low > 1.8
    assert comparison.results[2].speedup_high < 0.6
    assert comparison.results[2].latency_us == pytest.approx(2e6, rel=0.2)


def test_an_unclear_contender_is_measured_on_after_the_clear_one_left() -> None:
    machine = Machine([1.0, 0.5, 1.0], bias=0.03)
    comparison = machine.test().run(num_pairs=8, rounds=15)
    assert comparison.stop_reason is StopReason.NUM_PAIRS
    assert machine.asked == [(0, 1, 2)] * 5 + [(0, 2)] * 3
    assert comparison.results[2].speedup_low < 1.0 < comparison.results[2].speedup_high


def test_a_set_that_fails_together_is_measured_two_at_a_time() -> None:
    machine = Machine([1.0, 0.9, 0.8], crashes=lambda indices: len(indices) > 2)
    comparison = machine.test().run(num_pairs=5, rounds=15)
    assert set(comparison.results) == {0, 1, 2}
    assert comparison.failures == {}
    assert machine.asked == [(0, 1, 2)] + [(0, 1), (0, 2)] * 5


def test_the_contender_that_fails_is_found_and_left_out() -> None:
    machine = Machine([1.0, 0.9, 0.8], crashes=lambda indices: 1 in indices)
    comparison = machine.test().run(num_pairs=6, rounds=15)
    assert comparison.failures == {1: "ONNX Runtime crashed (SIGFPE)"}
    assert comparison.results[2].num_pairs >= 5


def test_a_contender_that_fails_later_has_no_result() -> None:
    machine = Machine([1.0, 0.99], crashes=lambda indices: len(machine.asked) == 3)
    comparison = machine.test().run(num_pairs=6, rounds=15)
    assert set(comparison.results) == {0}
    assert set(comparison.failures) == {1}


def test_a_failing_baseline_is_an_error() -> None:
    with pytest.raises(ChildCrashedError):
        Machine([1.0, 0.9], crashes=lambda indices: 0 in indices).test().run(num_pairs=6, rounds=15)


def test_no_pair_is_begun_that_the_deadline_would_cut() -> None:
    machine = Machine([1.0, 1.0], bias=0.03)
    comparison = machine.test(budget_s=3.5).run(num_pairs=16, rounds=15)
    assert comparison.stop_reason is StopReason.DEADLINE
    assert comparison.num_pairs == 3
    assert comparison.results[1].num_pairs == 3
