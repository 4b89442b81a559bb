"""Many random models, rewritten at random and judged: ``python -m tests.fuzz --models 5000 --json FILE``.

Each seed makes one model. The trials are made in processes of their own, some hundred models each: where one dies, its
models are tried one by one, and the model that ends its process natively is a finding like any other. With ``--shrink``
what is found is made as small as can be and printed as ONNX text.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.documents import write_results
from tests.fuzz.campaign import CHUNK, Account, one_of_each_kind, table, try_all


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the trials, print a table; 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Random models, rewritten and judged.")
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="seed of the first model")
    parser.add_argument("--processes", type=int, default=2, help="that try models side by side")
    parser.add_argument("--shrink", action="store_true", help="print a small model for each finding")
    parser.add_argument("--json", type=Path, help="write what was found to this file")
    given = parser.parse_args(arguments)
    account = Account()
    start = time.monotonic()
    seeds = range(given.first, given.first + given.models)
    for tried in try_all(seeds, is_shrunk=given.shrink, num_processes=given.processes):
        account.add(tried)
        for finding in one_of_each_kind(tried.result):
            where = f"{finding.draw} {dict(finding.sizes)} {' '.join(finding.rules)}"
            print(f"{tried.seed}: {finding.kind}: {finding.detail} {where}", flush=True)
        if tried.text:
            print(tried.text, flush=True)
        if account.counts["models"] % CHUNK == 0:
            print(f"{account.counts['models']} of {given.models}", file=sys.stderr, flush=True)
    document = account.document(time.monotonic() - start)
    print(table(document))
    write_results(given.json, document, "eqsat", "egglog", "numpy", "onnx", "onnxruntime-gpu")
    return 1 if account.num_faults else 0


if __name__ == "__main__":
    sys.exit(main())
