"""Reads the profile that ONNX Runtime writes (Chrome trace events)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

_KERNEL_SUFFIX = "_kernel_time"
_CONTAINERS = frozenset({"If", "Loop", "Scan"})
"""Operators whose time holds the times of the nodes of their subgraphs."""

_TRUNCATION_US = 0.5
"""Durations are cut to whole microseconds: half of one is lost on average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedNode:
    """One node as the profiler saw it.

    Attributes:
        name: Node name.
        op_type: Operator.
        provider: Provider that ran it.
        watched_us: Median time over the runs, the profiler's own work included.
    """

    name: str
    op_type: str
    provider: str
    watched_us: float


def read_trace(path: Path, *, num_last_runs: int) -> tuple[WatchedNode, ...]:
    """Return the nodes of the last runs of a profile, in the order they run in.

    Raises:
        ValueError: The file is no trace.
    """
    return watched_nodes(json.loads(path.read_text()), num_last_runs=num_last_runs)


def watched_nodes(events: Iterable[Mapping[str, Any]], *, num_last_runs: int) -> tuple[WatchedNode, ...]:
    """Return the nodes of the last runs among some events.

    A run is the events of its nodes followed by the event ``model_run``.
    """
    runs: list[list[Mapping[str, Any]]] = [[]]
    for event in events:
        if event["name"] == "model_run":
            runs.append([])
        elif event.get("cat") == "Node" and event["name"].endswith(_KERNEL_SUFFIX):
            runs[-1].append(event)
    durations: dict[str, list[float]] = {}
    first_seen: dict[str, Mapping[str, Any]] = {}
    runs.pop()
    for run in runs[max(0, len(runs) - num_last_runs) :]:
        for event in _top_level(run):
            key = event["args"].get("node_index", "") + event["name"]
            durations.setdefault(key, []).append(event["dur"] + _TRUNCATION_US)
            first_seen.setdefault(key, event)
    return tuple(
        WatchedNode(
            name=event["name"].removesuffix(_KERNEL_SUFFIX),
            op_type=event["args"].get("op_name", ""),
            provider=event["args"].get("provider", ""),
            watched_us=median(durations[key]),
        )
        for key, event in first_seen.items()
    )


def _top_level(run: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the events that lie in no other node's event.

    Events are written as they end: what a container holds comes before it, and began after it.
    """
    outer: list[Mapping[str, Any]] = []
    for event in run:
        if event["args"].get("op_name") in _CONTAINERS:
            while outer and outer[-1]["ts"] >= event["ts"]:
                outer.pop()
        outer.append(event)
    return outer
