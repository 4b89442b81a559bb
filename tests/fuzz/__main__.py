"""Many random models, rewritten at random and judged: ``python -m tests.fuzz --models 5000 --json FILE``.

Each seed makes one model. With ``--shrink``, what is found is made as small as can be and printed as ONNX text.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx.printer

from bench.documents import write_results
from eqsat.rules import RuleKind, load_rules
from eqsat.runtime import Runtime
from tests.fuzz.generator import Sample, operators_of, random_model
from tests.fuzz.kernels import Kernels
from tests.fuzz.shrink import shrink
from tests.fuzz.trial import Finding, Kind, Result, setting_of, try_model

RESTART_EVERY = 250
"""Models after which ONNX Runtime's process is a new one."""


def smallest(sample: Sample, finding: Finding, seed: int, runtime: Runtime, folder: Path) -> Sample:
    """Return a small model that shows a finding of the same kind."""
    setting = replace(setting_of(seed), num_extractions=9)

    def shows(smaller: Sample) -> bool:
        found = try_model(smaller, setting, seed, runtime, folder)
        return any(each.kind is finding.kind for each in found.findings)

    return shrink(sample, shows)


class _Account:
    """What was found so far."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.operators: Counter[str] = Counter()
        self.rules: set[str] = set()
        self.findings: list[dict[str, Any]] = []
        self.num_faults = 0

    def add(self, seed: int, sample: Sample, result: Result) -> None:
        self.counts["models"] += 1
        if not result.is_valid:
            self.counts["refused by ONNX Runtime"] += 1
            return
        self.counts["valid"] += 1
        self.counts["nodes"] += len(sample.model.graph.node)
        self.counts["rewritten models"] += result.num_extractions
        self.counts["runs compared"] += result.num_runs
        self.operators.update(operators_of(sample.model))
        self.rules |= result.rules
        for kind in {finding.kind for finding in result.findings}:
            self.counts[f"models with: {kind}"] += 1
        self.num_faults += sum(finding.is_fault for finding in result.findings)
        for finding in result.findings:
            self.findings.append(
                {
                    "seed": seed,
                    "kind": finding.kind,
                    "detail": finding.detail,
                    "rules": list(finding.rules),
                    "draw": finding.draw,
                    "sizes": dict(finding.sizes),
                }
            )

    def document(self, seconds: float) -> dict[str, Any]:
        offered = [rule for rule in load_rules().rules if rule.kind is RuleKind.OPT and not rule.tier]
        return {
            "seconds": round(seconds, 1),
            "counts": {**self.counts, **{f"models with: {kind}": self.counts[f"models with: {kind}"] for kind in Kind}},
            "operators": dict(self.operators.most_common()),
            "rules_applied": sorted(self.rules),
            "num_rules_offered": len(offered),
            "findings": self.findings,
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the trials, print a table; 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Random models, rewritten and judged.")
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="seed of the first model")
    parser.add_argument("--shrink", action="store_true", help="print a small model for each finding")
    parser.add_argument("--json", type=Path, help="write what was found to this file")
    given = parser.parse_args(arguments)
    account = _Account()
    start = time.monotonic()
    with Runtime() as runtime, tempfile.TemporaryDirectory() as name:
        folder, kernels = Path(name), Kernels(runtime)
        for seed in range(given.first, given.first + given.models):
            sample = random_model(seed, kernels)
            result = try_model(sample, setting_of(seed), seed, runtime, folder)
            account.add(seed, sample, result)
            for kind in dict.fromkeys(finding.kind for finding in result.findings):
                finding = next(each for each in result.findings if each.kind is kind)
                print(
                    f"{seed}: {kind}: {finding.detail} {finding.draw} {dict(finding.sizes)} {finding.rules}", flush=True
                )
                if given.shrink:
                    small = smallest(sample, finding, seed, runtime, folder)
                    print(onnx.printer.to_text(small.model), flush=True)
            if seed % RESTART_EVERY == RESTART_EVERY - 1:
                runtime.close()
                print(f"{seed + 1 - given.first} of {given.models}", file=sys.stderr, flush=True)
    document = account.document(time.monotonic() - start)
    for key, count in document["counts"].items():
        print(f"{key:45} {count:8}")
    print(f"{'operators':45} {len(document['operators']):8}")
    print(f"{'rules applied, of ' + str(document['num_rules_offered']):45} {len(document['rules_applied']):8}")
    write_results(given.json, document, "eqsat", "egglog", "numpy", "onnx", "onnxruntime-gpu")
    return 1 if account.num_faults else 0


if __name__ == "__main__":
    sys.exit(main())
