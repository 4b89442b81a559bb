"""Our speed-up over the original and over every peer, measured side by side.

    python -m bench.latency --models bert-4l,resnext50-split --size full --threads 2 --json bench/results/NAME.json

For each model: our own command and every peer make their version; outputs are compared with the original's; then
fresh sessions of all are timed in interleaved rounds, same inputs, same threads. What ONNX Runtime turns into the same
graph is not timed twice. The winner among the peers meets ours once more in pairs of its own.
"""

from __future__ import annotations

import argparse
import datetime
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import models
from bench.contest import OURS, Contest, Effort
from bench.documents import ONNX_RUNTIMES, made_with
from bench.peers import DEFAULT_TIMEOUT_S, PEERS, Peer
from bench.results import ModelRow, write_json
from bench.spec import Size
from bench.table import print_tables
from eqsat.runtime import CPU_PROVIDER, MeasurementError, Runtime, SessionSettings

NUM_CHECKS = 2
LIBRARIES = ("eqsat", "egglog", "numpy", "onnx", "onnx-ir", *ONNX_RUNTIMES, "ortools", "torch", "transformers")


def measure(name: str, options: argparse.Namespace, peers: Sequence[Peer], runtime: Runtime) -> ModelRow:
    """Return the row of one model.

    Raises:
        MeasurementError: The original itself cannot be run.
        UnknownModelError: No model has that name.
    """
    source = models.export(name, size=options.size, opset=options.opset)
    spec = models.find(name).spec
    effort = Effort(
        num_pairs=options.pairs,
        rounds=options.rounds,
        max_seconds=options.max_seconds,
        time_budget_s=options.time_budget,
        timeout_s=options.timeout,
    )
    checks = [models.inputs(name, size=options.size, seed=seed) for seed in range(NUM_CHECKS)]
    with tempfile.TemporaryDirectory() as folder:
        contest = Contest(
            runtime=runtime,
            source=source,
            feeds=checks[0],
            checks=checks,
            settings=SessionSettings(providers=(options.provider,), threads=options.threads),
            effort=effort,
            folder=Path(folder),
        )
        return contest.run(name, spec.model_class.value, peers=peers, peer_type=spec.peer_type)


def describe_setting(options: argparse.Namespace, peers: Sequence[Peer], runtime: Runtime) -> dict[str, Any]:
    """Return what was run and where: time, machine, versions, commit and options."""
    device = runtime.device(options.provider)
    return {
        "measured_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **made_with(*LIBRARIES),
        "device": device.name,
        "provider": device.provider,
        "peers": {peer.name: peer.version() for peer in peers},
        "options": {
            "size": options.size,
            "opset": options.opset,
            "threads": options.threads,
            "num_pairs": options.pairs,
            "rounds": options.rounds,
            "time_budget_s": options.time_budget,
        },
    }


def add_timing_arguments(parser: argparse.ArgumentParser, time_budget_s: float) -> None:
    """Add what every benchmark that times models takes: provider, threads, how long, and where results go."""
    parser.add_argument("--provider", default=CPU_PROVIDER, help="ONNX Runtime's name of the provider")
    parser.add_argument("--threads", type=int, default=2, help="intra-op threads of every session")
    parser.add_argument("--pairs", type=int, default=16, help="fresh pairs of sessions at most")
    parser.add_argument("--rounds", type=int, default=15, help="interleaved rounds in each pair")
    parser.add_argument("--max-seconds", type=float, default=math.inf, help="timing of one model at most")
    parser.add_argument("--time-budget", type=float, default=time_budget_s, help="seconds that our optimiser gets")
    parser.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT_S, help="seconds that a peer gets")
    parser.add_argument("--json", type=Path, help="write the results to this file, anew after every model")


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the parsed command line."""
    everything = ",".join(spec.name for spec in models.list_models())
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description="Original, ours and the peers, timed.")
    parser.add_argument("--models", default=everything, help="names with commas between; all by default")
    parser.add_argument("--size", choices=[size.value for size in Size], default=Size.FULL.value)
    parser.add_argument("--opset", type=int, choices=models.OPSETS, default=models.DEFAULT_OPSET)
    add_timing_arguments(parser, time_budget_s=180.0)
    parser.add_argument("--peers", default=",".join(peer.name for peer in PEERS), help="names with commas; '' for none")
    parsed = parser.parse_args(arguments)
    unknown = set(filter(None, parsed.peers.split(","))) - {peer.name for peer in PEERS}
    if unknown:
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(peer.name for peer in PEERS)}")
    try:
        for name in parsed.models.split(","):
            models.find(name)
    except models.UnknownModelError as error:
        parser.error(str(error))
    return parsed


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark and return its exit code: 1 where an original could not be measured."""
    options = parse_arguments(arguments)
    peers = [peer for peer in PEERS if peer.name in options.peers.split(",")]
    rows: list[ModelRow] = []
    num_failures = 0
    with Runtime() as runtime:
        setting = describe_setting(options, peers, runtime)
        for name in options.models.split(","):
            print(f"{name} ...", file=sys.stderr, flush=True)
            try:
                rows.append(measure(name, options, peers, runtime))
            except MeasurementError as error:
                print(f"error: {name}: the original cannot be measured: {error}", file=sys.stderr)
                num_failures += 1
                continue
            if options.json is not None:
                write_json(options.json, rows, contender=OURS, setting=setting)
    print_tables(rows, [peer.name for peer in peers])
    return 1 if num_failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
