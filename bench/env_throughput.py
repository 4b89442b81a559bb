"""How many steps the environment makes in a second: ``python -m bench.env_throughput [--enodes N ...] [--json FILE]``.

A step is what a learner waits for: apply one action, bring the e-graph up to date, price what is new, extract, group
the candidates, and put the observation together. The graph is the random one of ``bench.session``, with the rules that
ship and prices by table; the policy draws among the candidates. The parts of a step are timed in a second episode.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx

from bench.documents import write_results
from bench.session import random_model
from eqsat.extraction.greedy import greedy_dag
from eqsat.rules.book import load_rules
from rl.env.environment import EGraphEnv, Settings
from rl.env.observation import FIRST_CANDIDATE
from rl.env.prices import TablePrices
from rl.env.scene import Scene
from rl.env.tasks import Task, read_task

DEFAULT_ENODES = (1_000, 10_000)
TARGETS = {1_000: 30.0, 10_000: 5.0}
"""Steps a second on one core that are asked for, by e-nodes."""

NODE_SHARE = 0.9
"""Nodes of the random model for each e-node wanted: constants and inputs are e-nodes too."""

PARTS = ("apply", "price", "extract", "group", "observe")


def random_task(num_enodes: int, seed: int) -> Task:
    """Return the task of a random model with about that many e-nodes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.onnx"
        onnx.save(random_model(int(NODE_SHARE * num_enodes), seed), path)
        return read_task(path, load_rules(), TablePrices())


class Watch:
    """Times parts of a loop, in milliseconds."""

    def __init__(self) -> None:
        self.times_ms: dict[str, list[float]] = {}

    @contextmanager
    def time(self, part: str) -> Iterator[None]:
        """Add the time that the block takes."""
        began = time.perf_counter()
        yield
        self.times_ms.setdefault(part, []).append(1e3 * (time.perf_counter() - began))

    def median_ms(self, part: str) -> float:
        """Return the median time of a part."""
        return statistics.median(self.times_ms[part])


def measure(num_enodes: int, num_steps: int, seed: int) -> dict[str, object]:
    """Return sizes, and times in milliseconds."""
    task = random_task(num_enodes, seed)
    env = EGraphEnv([task], Settings(max_steps=num_steps + 2, max_enodes=10**9))
    rng = np.random.default_rng(seed)
    watch = Watch()
    with watch.time("load"):
        observation, info = env.reset(seed=seed)
    gc.collect()
    for _ in range(num_steps):
        action = np.int64(rng.integers(FIRST_CANDIDATE, observation.num_actions))
        with watch.time("step"):
            observation, *_, info = env.step(action)
    with watch.time("reset"):
        env.reset(seed=seed)
    steps_ms = watch.times_ms["step"]
    return {
        "num_enodes": info["num_enodes"],
        "num_eclasses": observation.num_eclasses,
        "num_candidates": observation.num_candidates,
        "steps_per_s": num_steps / sum(steps_ms) * 1e3,
        "target_steps_per_s": TARGETS.get(num_enodes),
        "step_ms_median": watch.median_ms("step"),
        "step_ms_max": max(steps_ms),
        "load_ms": watch.median_ms("load"),
        "reset_ms": watch.median_ms("reset"),
        "parts_ms_median": _parts(task, num_steps, seed),
        "steps_ms": steps_ms,
    }


def _parts(task: Task, num_steps: int, seed: int) -> dict[str, float]:
    """Return the median time of each part of a step."""
    scene = Scene.of(task, task.graph, is_grouped=True)
    groups = scene.look().groups
    rng = np.random.default_rng(seed)
    watch = Watch()
    for _ in range(num_steps):
        with watch.time("apply"):
            scene.session.apply(groups[int(rng.integers(len(groups)))].candidates)
        with watch.time("price"):
            snapshot = scene.tracker.snapshot()
        with watch.time("extract"):
            selection = greedy_dag(snapshot.problem)
        with watch.time("group"):
            groups = scene.offers.groups()
        with watch.time("observe"):
            scene.observer.observe(snapshot, selection, groups)
    return {part: watch.median_ms(part) for part in PARTS}


def table(results: Sequence[Mapping[str, object]]) -> str:
    """Return the results as a table, a line a size."""
    head = ("e-nodes", "candidates", "steps/s", "target", "median ms", "max ms", "reset ms", *PARTS)
    lines = []
    for result in results:
        parts = result["parts_ms_median"]
        assert isinstance(parts, dict)
        names = ("num_enodes", "num_candidates", "steps_per_s", "target_steps_per_s", "step_ms_median", "step_ms_max")
        values = [*(result[name] for name in (*names, "reset_ms")), *(parts[part] for part in PARTS)]
        lines.append([f"{value:.1f}" if isinstance(value, float) else str(value or "") for value in values])
    widths = [max(len(row[column]) for row in (head, *lines)) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *lines)
    )


def main() -> None:
    """Measure, print a table, write JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--enodes", type=int, nargs="+", default=list(DEFAULT_ENODES))
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = [measure(num_enodes, arguments.steps, arguments.seed) for num_enodes in arguments.enodes]
    print(table(results))
    write_results(arguments.json, {"results": results}, "egglog")


if __name__ == "__main__":
    main()
