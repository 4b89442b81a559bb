"""Trained models that come inside packages, optimised as their users would: ``python -m bench.wild --json FILE``.

    python -m bench.wild --models magika,silero-vad --threads 2 --time-budget 60 --json bench/results/wild.json

For each model: our own command gets the package's kind of input, every peer makes its version, outputs are compared
with the original's, and all are timed side by side, as in ``bench.latency``. With ``--bare`` our command is run once
more on the model alone: whatever a plain session runs, it must not refuse.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.contest import OURS, OURS_TUNED, Contest, Effort
from bench.documents import ROOT
from bench.latency import add_timing_arguments, describe_setting
from bench.peers import PEERS, Peer
from bench.results import ModelRow, Speedup, Standing, write_json
from bench.table import print_tables
from bench.wildlife import MODELS, WildModel
from eqsat.runtime import MeasurementError, Runtime, SessionSettings

NUM_CHECKS = 2
SHOWN_PEERS = "ort,onnxsim,onnxslim,onnxscript,ort-fusions"
"""Peers that rewrite a model of any kind, and the original itself."""


def measure(
    name: str, model: WildModel, options: argparse.Namespace, peers: Sequence[Peer], runtime: Runtime
) -> ModelRow:
    """Return the row of one model.

    Raises:
        MeasurementError: The original itself cannot be run.
        FileNotFoundError: The package cannot be had.
    """
    source = model.fetch()
    checks = [model.feeds(seed) for seed in range(NUM_CHECKS)]
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs.npz"
        arrays: dict[str, Any] = dict(checks[0])
        np.savez(inputs, **arrays)
        contest = Contest(
            runtime=runtime,
            source=source,
            feeds=checks[0],
            checks=checks,
            settings=SessionSettings(providers=(options.provider,), threads=options.threads),
            effort=Effort(
                num_pairs=options.pairs,
                rounds=options.rounds,
                max_seconds=options.max_seconds,
                time_budget_s=options.time_budget,
                timeout_s=options.timeout,
            ),
            folder=Path(folder),
            arguments=_shapes(checks[0]) if options.shapes else ("--inputs", str(inputs)),
        )
        return contest.run(name, model.kind, peers=peers, peer_type="")


def _shapes(feeds: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Return the flags that tell the shapes of these inputs, and nothing of what they hold."""
    given = {name: ",".join(map(str, array.shape)) for name, array in feeds.items() if array.shape}
    return tuple(part for name, shape in given.items() for part in ("--input-shape", f"{name}:{shape}"))


def bare(model: WildModel, options: argparse.Namespace) -> str:
    """Return how our command ends on the model alone: its exit code, and what it said of errors."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "eqsat.run", str(model.fetch()), str(Path(folder) / "out.onnx"), "--quiet"]
        command += ["--threads", str(options.threads), "--time-budget", f"{options.bare_budget:g}s"]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = [line for line in ended.stderr.splitlines() if line.strip()]
    return f"exit {ended.returncode}" + (f": {said[-1][:200]}" if ended.returncode and said else "")


def markdown(rows: Sequence[ModelRow], ends: dict[str, str]) -> str:
    """Return the table of a page: status, gain over the original and over the best peer, error."""
    lines = ["| model | ms | status | over ONNX Runtime | over the best other | error |", "|---|---|---|---|---|---|"]
    for row in rows:
        ours = row.contender(OURS_TUNED) or row.contender(OURS)
        status = str(row.report.get("status", "")) or (ours.standing.value if ours is not None else "")
        if ours is not None and ours.standing in {Standing.FAILED, Standing.WRONG, Standing.TIMED_OUT}:
            status = ours.standing.value
        latency = "" if row.original_us is None else f"{row.original_us / 1000:.3g}"
        error = "" if ours is None or ours.relative_error is None else f"{ours.relative_error:.1e}"
        over_original = _ratio(None if ours is None else ours.speedup)
        over_best = f"{_ratio(row.over_best_peer)} ({row.best_peer})" if row.best_peer else ""
        lines.append(f"| {row.name} | {latency} | {status} | {over_original} | {over_best} | {error} |")
    lines += [f"\n{name} alone: {end}" for name, end in ends.items() if not end.startswith("exit 0")]
    return "\n".join(lines)


def _ratio(speedup: Speedup | None) -> str:
    if speedup is None:
        return ""
    if speedup.num_pairs == 0:
        return "1"
    return f"{speedup.ratio:.2f}" + ("" if speedup.high is None else f" ({speedup.low:.2f}, {speedup.high:.2f})")


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.wild", description="Trained models out of packages.")
    parser.add_argument("--models", default=",".join(MODELS), help="names with commas between; all by default")
    parser.add_argument("--list", action="store_true", help="only list the models")
    parser.add_argument("--shapes", action="store_true", help="tell our command the shapes of the inputs only")
    parser.add_argument("--bare", action="store_true", help="run our command on the model alone too")
    parser.add_argument("--bare-budget", type=float, default=30.0, help="seconds that it gets then")
    add_timing_arguments(parser, time_budget_s=90.0)
    parser.add_argument("--peers", default=SHOWN_PEERS, help="names with commas between; '' for none")
    parsed = parser.parse_args(arguments)
    unknown = set(parsed.models.split(",")) - MODELS.keys()
    if unknown:
        parser.error(f"no such model: {', '.join(sorted(unknown))}")
    parsed.size, parsed.opset = "as shipped", "as shipped"
    return parsed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 1 where our command failed, or made something that computes something else."""
    options = parse_arguments(arguments)
    if options.list:
        for name, model in MODELS.items():
            print(f"{name:24}{model.package}=={model.version}  {model.member}")
        return 0
    peers = [peer for peer in PEERS if peer.name in options.peers.split(",")]
    rows: list[ModelRow] = []
    ends: dict[str, str] = {}
    missing: dict[str, str] = {}
    with Runtime() as runtime:
        setting: dict[str, Any] = describe_setting(options, peers, runtime)
        for name in options.models.split(","):
            print(f"{name} ...", file=sys.stderr, flush=True)
            try:
                rows.append(measure(name, MODELS[name], options, peers, runtime))
                if options.bare:
                    ends[name] = bare(MODELS[name], options)
            except (MeasurementError, FileNotFoundError) as error:
                print(f"error: {name}: {error}", file=sys.stderr)
                missing[name] = str(error)
            if options.json is not None:
                write_json(options.json, rows, contender=OURS, setting={**setting, "alone": ends, "missing": missing})
    print_tables(rows, [peer.name for peer in peers])
    print(markdown(rows, ends))
    ours = [row.contender(OURS) for row in rows]
    is_failed = any(
        row is None or row.standing in {Standing.FAILED, Standing.WRONG, Standing.TIMED_OUT} for row in ours
    )
    return 1 if is_failed or missing or any(not end.startswith("exit 0") for end in ends.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
