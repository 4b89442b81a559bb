"""Times models. Only the child process imports this module."""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

from eqsat.runtime.measurements import Contender, Kernel
from eqsat.runtime.probe import probe_feeds, probe_model
from eqsat.runtime.sessions import Runner, create_session
from eqsat.runtime.settings import SessionSettings
from eqsat.runtime.trace import WatchedNode, read_trace
from eqsat.runtime.yardstick import lower_quartile, yardstick

NUM_WARM_UP_RUNS = 3
NUM_WATCHED_RUNS = 5
MIN_RUNS = 3
"""Fewer runs are never made, whatever the time."""

MIN_TOTAL_S = 1e-3
"""Runs of tiny models go on for at least this long."""

_YARDSTICK_EVERY_S = MIN_TOTAL_S / 16
"""The yardstick runs after every run, or after so many of a tiny model."""

MIN_KERNEL_US = 0.05
"""No node is free."""

_CHAIN_LENGTH = 21
_MAX_INNER_RUNS = 10_000

Run = Callable[[], None]


def profile(
    model: str | bytes,
    feeds: Mapping[str, np.ndarray],
    settings: SessionSettings,
    *,
    max_seconds: float,
    min_runs: int,
    num_sessions: int,
    scratch: Path,
) -> dict[str, Any]:
    """Return the fields of a :class:`~eqsat.runtime.measurements.Profile`.

    Fresh sessions of one model differ, so that several share the runs; what counts is the session that is neither the
    fastest nor the slowest next to the yardstick. There are fewer where the time ends before, the making of sessions
    included.

    Raises:
        SessionFailedError: ONNX Runtime refuses the model or fails.
        ProviderError: A provider is not available.
        UnsupportedValueError: An input is no tensor.
    """
    overhead = _overhead(settings, scratch)
    began = time.perf_counter()
    effort = _Effort(max_seconds=max_seconds / num_sessions, min_runs=math.ceil(min_runs / num_sessions))
    nodes, first = _watch(model, feeds, settings, effort, scratch)
    windows = [first]
    while len(windows) < num_sessions and time.perf_counter() - began < max_seconds:
        runner = Runner(create_session(model, settings), feeds, settings.providers)
        _durations_s(runner.run, range(NUM_WARM_UP_RUNS))
        windows.append(_window(runner, settings, effort))
    window = sorted(windows, key=lambda window: window.wall_us / window.yardstick_us)[len(windows) // 2]
    run_us = overhead.run_us * window.yardstick_us / overhead.yardstick_us
    kernel_us = max(window.wall_us - run_us, MIN_KERNEL_US * len(nodes)) if nodes else 0.0
    weights = [max(node.watched_us - overhead.event_us, MIN_KERNEL_US) for node in nodes]
    scale = kernel_us / sum(weights) if nodes else 0.0
    kernels = [
        Kernel(name=node.name, op_type=node.op_type, provider=node.provider, latency_us=weight * scale)
        for node, weight in zip(nodes, weights, strict=True)
    ]
    return {
        "kernel_us": kernel_us,
        "wall_us": window.wall_us,
        "yardstick_us": window.yardstick_us,
        "spread": _spread(window.durations_s),
        "num_runs": sum(len(window.durations_s) for window in windows),
        "kernels": [asdict(kernel) for kernel in kernels],
    }


def time_pair(
    contenders: Sequence[Contender],
    feeds: Mapping[str, np.ndarray],
    *,
    rounds: int,
    min_run_s: float,
    max_seconds: float,
    seed: int,
) -> list[list[float]]:
    """Time fresh sessions of all contenders against each other.

    Sessions are made in random order; each round runs every contender once in random order (short models several
    times in a row, for ``min_run_s``).

    Returns:
        For every contender the seconds of one run, by round. All have the same rounds: at least 3, then until
        ``rounds`` or ``max_seconds``.

    Raises:
        SessionFailedError: ONNX Runtime refuses a model or fails.
        ProviderError: A provider is not available.
        UnsupportedValueError: An input is no tensor.
    """
    rng = random.Random(seed)
    order = list(range(len(contenders)))
    rng.shuffle(order)
    runners: dict[int, Runner] = {}
    inner_runs: dict[int, int] = {}
    for index in order:
        settings = contenders[index].settings
        runners[index] = Runner(create_session(str(contenders[index].path), settings), feeds, settings.providers)
    for index in order:
        seconds = min(_durations_s(runners[index].run, range(NUM_WARM_UP_RUNS)))
        inner_runs[index] = max(1, min(_MAX_INNER_RUNS, math.ceil(min_run_s / max(seconds, 1e-7))))
    if not all(runner.is_bound for runner in runners.values()):
        for runner in runners.values():
            runner.unbind()
    times: list[list[float]] = [[] for _ in contenders]
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        for round_index in range(rounds):
            if round_index >= MIN_RUNS and time.perf_counter() - start > max_seconds:
                break
            rng.shuffle(order)
            for index in order:
                times[index].append(sum(_durations_s(runners[index].run, range(inner_runs[index]))) / inner_runs[index])
    finally:
        gc.enable()
    return times


@dataclass(frozen=True, slots=True, kw_only=True)
class _Effort:
    """How long a session is run.

    Attributes:
        max_seconds: Runs end here even before ``min_runs``, but never before ``MIN_RUNS``.
        min_runs: Runs to make; of tiny models more, until ``MIN_TOTAL_S`` is full.
    """

    max_seconds: float
    min_runs: int

    def is_done(self, num_runs: int, total_s: float) -> bool:
        """Return whether so many runs, of so many seconds together, are enough."""
        if num_runs < MIN_RUNS:
            return False
        return total_s >= self.max_seconds or (num_runs >= self.min_runs and total_s >= MIN_TOTAL_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """Runs of one session.

    Attributes:
        durations_s: Seconds of each.
        yardstick_us: What the yardstick took meanwhile.
    """

    durations_s: Sequence[float]
    yardstick_us: float

    @property
    def wall_us(self) -> float:
        """Lower quartile of the runs."""
        return lower_quartile(self.durations_s) * 1e6


def _watch(
    model: str | bytes, feeds: Mapping[str, np.ndarray], settings: SessionSettings, effort: _Effort, scratch: Path
) -> tuple[tuple[WatchedNode, ...], _Window]:
    """Run one session first under the profiler, then without it.

    Returns:
        The nodes as the profiler saw them, and the runs that it did not see.
    """
    session = create_session(model, settings, profile_prefix=scratch / "profile")
    num_watched = 0
    try:
        runner = Runner(session, feeds, settings.providers)
        seconds = min(_durations_s(runner.run, range(NUM_WARM_UP_RUNS)))
        num_watched = max(1, min(NUM_WATCHED_RUNS, int(effort.max_seconds / 4 / max(seconds, 1e-7))))
        _durations_s(runner.run, range(num_watched))
    finally:
        trace_path = Path(session.end_profiling())
        nodes = read_trace(trace_path, num_last_runs=num_watched)
        trace_path.unlink()
    return nodes, _window(runner, settings, effort)


def _window(runner: Runner, settings: SessionSettings, effort: _Effort) -> _Window:
    """Run a session that is warm, in turn with the yardstick."""
    scale = yardstick(settings)
    durations_s: list[float] = []
    total_s = due_s = 0.0
    while not effort.is_done(len(durations_s), total_s):
        if total_s >= due_s:
            scale.run()
            due_s = total_s + _YARDSTICK_EVERY_S
        durations_s.extend(_durations_s(runner.run, range(1)))
        total_s += durations_s[-1]
    return _Window(durations_s=durations_s, yardstick_us=scale.typical_us())


def _durations_s(run: Run, repeats: Iterable[int]) -> list[float]:
    durations_s = []
    for _ in repeats:
        start = time.perf_counter()
        run()
        durations_s.append(time.perf_counter() - start)
    return durations_s


def _spread(durations_s: Sequence[float]) -> float:
    low, middle, high = quantiles(durations_s, n=4)
    return (high - low) / middle if middle > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Overhead:
    """What is not the model's.

    Attributes:
        run_us: What ONNX Runtime takes for a run apart from its nodes.
        event_us: What the profiler takes for each node.
        yardstick_us: What the yardstick took at that time.
    """

    run_us: float
    event_us: float
    yardstick_us: float


@cache
def _overhead(settings: SessionSettings, scratch: Path) -> _Overhead:
    """Measure what is not the model's.

    A chain of tiny nodes without the profiler gives the true time of such a node (its slope) and of a run (the
    rest); the same chain under the profiler gives the profiler's share.
    """
    effort = _Effort(max_seconds=0.05, min_runs=200)
    _, short = _watch(probe_model(1), probe_feeds(), settings, effort, scratch)
    nodes, long = _watch(probe_model(_CHAIN_LENGTH), probe_feeds(), settings, effort, scratch)
    long_us = long.wall_us * short.yardstick_us / long.yardstick_us
    node_us = max(0.0, (long_us - short.wall_us) / (_CHAIN_LENGTH - 1))
    return _Overhead(
        run_us=max(0.0, short.wall_us - node_us),
        event_us=max(0.0, median(node.watched_us for node in nodes) - node_us),
        yardstick_us=short.yardstick_us,
    )
