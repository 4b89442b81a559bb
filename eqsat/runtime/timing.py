"""Times models. Only the child process imports this module."""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
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

NUM_WARM_UP_RUNS = 3
NUM_WATCHED_RUNS = 5
MIN_RUNS = 3
"""Fewer runs are never made, whatever the time."""

MIN_TOTAL_S = 1e-3
"""Runs of tiny models go on for at least this long."""

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
    scratch: Path,
) -> dict[str, Any]:
    """Return the fields of a :class:`~eqsat.runtime.measurements.Profile`.

    Raises:
        SessionFailedError: ONNX Runtime refuses the model or fails.
        ProviderError: A provider is not available.
        UnsupportedValueError: An input or output is no dense tensor.
    """
    run_us, event_us = _overheads(settings, scratch)
    nodes, durations_s = _watch(model, feeds, settings, max_seconds=max_seconds, min_runs=min_runs, scratch=scratch)
    wall_us = median(durations_s) * 1e6
    kernel_us = max(wall_us - run_us, MIN_KERNEL_US * len(nodes)) if nodes else 0.0
    weights = [max(node.watched_us - event_us, MIN_KERNEL_US) for node in nodes]
    scale = kernel_us / sum(weights) if nodes else 0.0
    kernels = [
        Kernel(name=node.name, op_type=node.op_type, provider=node.provider, latency_us=weight * scale)
        for node, weight in zip(nodes, weights, strict=True)
    ]
    return {
        "kernel_us": kernel_us,
        "wall_us": wall_us,
        "spread": _spread(durations_s),
        "num_runs": len(durations_s),
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
        UnsupportedValueError: An input or output is no dense tensor.
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


def _watch(
    model: str | bytes,
    feeds: Mapping[str, np.ndarray],
    settings: SessionSettings,
    *,
    max_seconds: float,
    min_runs: int,
    scratch: Path,
) -> tuple[tuple[WatchedNode, ...], list[float]]:
    """Run one session first under the profiler, then without it.

    Returns:
        The nodes as the profiler saw them, and the seconds of the runs it did not see.
    """
    session = create_session(model, settings, profile_prefix=scratch / "profile")
    num_watched = 0
    try:
        runner = Runner(session, feeds, settings.providers)
        seconds = min(_durations_s(runner.run, range(NUM_WARM_UP_RUNS)))
        num_watched = max(1, min(NUM_WATCHED_RUNS, int(max_seconds / 4 / max(seconds, 1e-7))))
        _durations_s(runner.run, range(num_watched))
    finally:
        trace_path = Path(session.end_profiling())
        nodes = read_trace(trace_path, num_last_runs=num_watched)
        trace_path.unlink()
    durations_s: list[float] = []
    total_s = 0.0
    while not _is_enough(len(durations_s), total_s, max_seconds=max_seconds, min_runs=min_runs):
        durations_s.extend(_durations_s(runner.run, range(1)))
        total_s += durations_s[-1]
    return nodes, durations_s


def _is_enough(num_runs: int, total_s: float, *, max_seconds: float, min_runs: int) -> bool:
    if num_runs < MIN_RUNS:
        return False
    if total_s >= max_seconds:
        return True
    return num_runs >= min_runs and total_s >= MIN_TOTAL_S


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


@cache
def _overheads(settings: SessionSettings, scratch: Path) -> tuple[float, float]:
    """Return what ONNX Runtime takes for a run apart from its nodes, and the profiler for each node, in us.

    A chain of tiny nodes without the profiler gives the true time of such a node (its slope) and of a run (the
    rest); the same chain under the profiler gives the profiler's share.
    """
    effort: dict[str, Any] = {"max_seconds": 0.05, "min_runs": 200, "scratch": scratch}
    _, short_s = _watch(probe_model(1), probe_feeds(), settings, **effort)
    nodes, long_s = _watch(probe_model(_CHAIN_LENGTH), probe_feeds(), settings, **effort)
    node_us = max(0.0, (median(long_s) - median(short_s)) * 1e6 / (_CHAIN_LENGTH - 1))
    run_us = max(0.0, median(short_s) * 1e6 - node_us)
    event_us = max(0.0, median(node.watched_us for node in nodes) - node_us)
    return run_us, event_us
