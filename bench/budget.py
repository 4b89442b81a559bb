"""Whether one run keeps to its budget: ``python -m bench.budget [--model NAME] [--json FILE]``.

The model is optimised from a cold price database, then again with the prices measured by then, each time as a user
would from the command line, under a time budget and a memory limit.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import models
from bench.documents import ONNX_RUNTIMES, write_results
from bench.spec import Size

KEPT = ("status", "reason", "latency", "seconds", "peak_rss_bytes")
"""What is kept of a run's report."""


def run(model: Path, folder: Path, *, threads: int, time_budget_s: float, memory_limit: str) -> dict[str, Any]:
    """Optimise a model in a process of its own and return what is kept of its report, with the seconds it took.

    Raises:
        subprocess.CalledProcessError: The run failed.
    """
    report = folder / "report.json"
    command = [sys.executable, "-m", "eqsat.run", str(model), str(folder / "optimized.onnx"), "--quiet"]
    command += ["--threads", str(threads), "--time-budget", f"{time_budget_s:g}s", "--memory-limit", memory_limit]
    command += ["--cost-db", str(folder / "prices.sqlite"), "--json", str(report)]
    began = time.perf_counter()
    subprocess.run(command, check=True)
    wall_s = time.perf_counter() - began
    found = json.loads(report.read_text(encoding="utf-8"))
    return {"time_budget_s": time_budget_s, "wall_s": wall_s} | {key: found[key] for key in KEPT}


def print_table(runs: dict[str, dict[str, Any]]) -> None:
    """Print one line a run."""
    table = Table("prices", "budget s", "took s", "peak GiB", "speed-up")
    for name, found in runs.items():
        latency = found["latency"]
        gain = found["reason"]
        if latency is not None:
            gain = f"{latency['speedup']:.3f} ({latency['speedup_low']:.3f}, {latency['speedup_high']:.3f})"
        memory = f"{found['peak_rss_bytes'] / 2**30:.2f}"
        table.add_row(name, f"{found['time_budget_s']:g}", f"{found['wall_s']:.1f}", memory, gain)
    Console().print(table)


def main(arguments: Sequence[str]) -> None:
    """Run twice, print a table, write JSON where asked to."""
    parser = argparse.ArgumentParser(prog="python -m bench.budget", description="One model under its budgets.")
    parser.add_argument("--model", default="bert")
    parser.add_argument("--size", choices=[size.value for size in Size], default=Size.FULL.value)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cold", type=float, default=180.0, help="seconds with an empty price database")
    parser.add_argument("--warm", type=float, default=60.0, help="seconds with the prices of the run before")
    parser.add_argument("--memory-limit", default="6GiB")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    model = models.export(options.model, size=options.size)
    runs: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, seconds in (("cold", options.cold), ("warm", options.warm)):
            runs[name] = run(
                model,
                Path(folder),
                threads=options.threads,
                time_budget_s=seconds,
                memory_limit=options.memory_limit,
            )
    print_table(runs)
    if options.json:
        document = {
            "model": options.model,
            "size_bytes": model.stat().st_size,
            "memory_limit": options.memory_limit,
            "threads": options.threads,
            **runs,
        }
        write_results(options.json, document, "egglog", *ONNX_RUNTIMES, "onnx")


if __name__ == "__main__":
    main(sys.argv[1:])
