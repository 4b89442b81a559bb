"""Fits the prices of training to this machine: ``python -m bench.calibrate [--tasks N] [--max-seconds S]``.

E-graphs of training tasks are grown by random steps; what occurs in them is measured by ONNX Runtime as a run would
measure it, and ``start + scale * work`` is fitted to the latencies of each kernel, see :mod:`rl.families.prices`.
"""

from __future__ import annotations

import argparse
import math
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, final

import numpy as np
from typing_extensions import override

from bench.documents import git, write_document
from eqsat.egraph.enode import OPAQUE, STRUCTURE
from eqsat.egraph.session import Session
from eqsat.prices.database import PriceDatabase
from eqsat.prices.micro import Cluster, MicroMaker
from eqsat.prices.pricing import VIEWS, Pricer
from eqsat.prices.roofline import kernel
from eqsat.runtime.runtime import Runtime
from eqsat.runtime.settings import CPU_PROVIDER, SessionSettings
from rl.env.environment import EGraphEnv, Settings
from rl.env.observation import FIRST_CANDIDATE
from rl.env.prices import PriceSource, TablePrices
from rl.families import prices as family_prices
from rl.families.prices import ANY, Fit, fitted, work_us
from rl.families.sketch import OPSET
from rl.families.tasks import make_task

TARGET: Final = Path(family_prices.__file__).with_name(family_prices.DATA)
MIN_SAMPLES: Final = 3
"""Measurements of a kernel below which it goes by the fit of all kernels."""

MOST_SAMPLES: Final = 40
"""Measurements of a kernel; more would not move its fit."""


@final
class Recorder(PriceSource):
    """Passes on the prices of the table, and measures what it is asked for."""

    def __init__(self, pricer: Pricer, deadline: float) -> None:
        self.samples: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self.num_failed: dict[str, int] = defaultdict(int)
        self._pricer = pricer
        self._deadline = deadline
        self._table = TablePrices()
        self._seen: set[str] = set()

    @override
    def price(self, session: Session, clusters: Sequence[Cluster], maker: MicroMaker) -> Mapping[Cluster, float]:
        table = self._table.price(session, clusters, maker)
        for cluster in clusters:
            operator = cluster.enodes[0].operator
            if operator in STRUCTURE or operator in VIEWS or operator == OPAQUE:
                continue
            name = kernel(session, cluster)
            signature = maker.micro(cluster).signature
            is_enough = len(self.samples[name]) >= MOST_SAMPLES or time.monotonic() > self._deadline
            if is_enough or signature in self._seen:
                continue
            self._seen.add(signature)
            latency_us = self._pricer.price([cluster], maker)[cluster]
            if math.isinf(latency_us):
                self.num_failed[name] += 1
            elif latency_us > 0:
                self.samples[name].append((work_us(table[cluster]), latency_us))
        return table


def collect(recorder: Recorder, num_tasks: int, num_steps: int) -> None:
    """Grow the e-graphs of tasks by random steps, so that what occurs in them is measured."""
    for seed in range(num_tasks):
        task = make_task(seed)
        if task.graph.opset != OPSET:
            continue
        env = EGraphEnv([replace(task, prices=recorder)], Settings(max_steps=num_steps + 1))
        rng = np.random.default_rng(seed)
        observation, _ = env.reset(seed=seed)
        for _ in range(num_steps):
            if not observation.num_candidates:
                break
            action = rng.integers(FIRST_CANDIDATE, observation.num_actions)
            observation, _, is_stopped, is_cut, _ = env.step(np.int64(action))
            if is_stopped or is_cut:
                break
        total = sum(map(len, recorder.samples.values()))
        print(f"{task.name}: {total} measurements of {len(recorder.samples)} kernels", flush=True)


def error(fit: Fit, samples: Sequence[tuple[float, float]]) -> float:
    """Return the median relative error of a fit."""
    return statistics.median(abs(fit.start_us + fit.scale * work - us) / us for work, us in samples)


def document(recorder: Recorder, device: str) -> dict[str, object]:
    """Return the fits of what was measured."""
    measured = {name: samples for name, samples in sorted(recorder.samples.items()) if samples}
    everything = fitted([sample for samples in measured.values() for sample in samples])
    fits = {ANY: everything}
    fits |= {name: fitted(samples, everything) for name, samples in measured.items() if len(samples) >= MIN_SAMPLES}
    kept = {name: measured[name] for name in fits if name != ANY}
    return {
        "machine": device,
        "python": platform.python_version(),
        "commit": git("rev-parse", "HEAD"),
        "num_measurements": sum(map(len, measured.values())),
        "median_relative_error": statistics.median(error(fits[name], samples) for name, samples in kept.items()),
        "fits": {
            name: {
                "start_us": round(fit.start_us, 4),
                "scale": round(fit.scale, 5),
                "num_measurements": len(kept.get(name, ())),
                "median_relative_error": round(error(fit, kept[name]), 3) if name in kept else None,
            }
            for name, fit in fits.items()
        },
        "not_measurable": sorted(name for name, count in recorder.num_failed.items() if not recorder.samples[name]),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, fit, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.calibrate", description=__doc__)
    parser.add_argument("--tasks", type=int, default=60, help="training tasks to look at")
    parser.add_argument("--steps", type=int, default=8, help="random steps in each")
    parser.add_argument("--max-seconds", type=float, default=600.0, help="seconds after which nothing is measured")
    parser.add_argument("--database", type=Path, default=Path(".cache") / "calibrate.sqlite", help="keeps latencies")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", type=Path, default=TARGET, help="where the fits are written")
    given = parser.parse_args(arguments)
    deadline = time.monotonic() + given.max_seconds
    with Runtime() as runtime, PriceDatabase(given.database) as database:
        pricer = Pricer(
            runtime=runtime,
            database=database,
            settings=SessionSettings(providers=(CPU_PROVIDER,), threads=given.threads),
            opset=OPSET,
            now=time.time,
            clock=time.monotonic,
        )
        recorder = Recorder(pricer, deadline)
        collect(recorder, given.tasks, given.steps)
        found = document(recorder, runtime.device(CPU_PROVIDER).name)
    write_document(given.json, found)
    print(f"{found['num_measurements']} measurements, median error {found['median_relative_error']:.0%}")


if __name__ == "__main__":
    main()
