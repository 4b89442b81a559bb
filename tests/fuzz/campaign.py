"""Many random models tried side by side, in processes that may die, and the account of what was found."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import onnx.printer

from eqsat.rules import RuleKind, load_rules
from eqsat.runtime import Runtime
from tests.fuzz.generator import Sample, operators_of, random_model
from tests.fuzz.kernels import Kernels
from tests.fuzz.shrink import shrink
from tests.fuzz.trial import Finding, Kind, Result, setting_of, try_model

CHUNK: Final = 100
"""Models that one process tries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of one seed.

    Attributes:
        seed: The seed.
        result: What the trial found.
        num_nodes: Nodes of the model.
        operators: Its operators.
        text: Small models that show what was found, as text.
    """

    seed: int
    result: Result
    num_nodes: int = 0
    operators: frozenset[str] = frozenset()
    text: str = ""


def try_seeds(seeds: Sequence[int], *, is_shrunk: bool) -> list[Tried]:
    """Try the models of some seeds, in this process."""
    found = []
    with Runtime() as runtime, tempfile.TemporaryDirectory() as name:
        folder, kernels = Path(name), Kernels(runtime)
        for seed in seeds:
            sample = random_model(seed, kernels)
            result = try_model(sample, setting_of(seed), seed, runtime, folder)
            small = (_smallest(sample, each, seed, runtime, folder) for each in one_of_each_kind(result))
            found.append(
                Tried(
                    seed=seed,
                    result=result,
                    num_nodes=len(sample.model.graph.node),
                    operators=frozenset(operators_of(sample.model)),
                    text="\n".join(onnx.printer.to_text(each.model) for each in small) if is_shrunk else "",
                )
            )
    return found


def one_of_each_kind(result: Result) -> list[Finding]:
    """Return the first finding of each kind."""
    return list({finding.kind: finding for finding in reversed(result.findings)}.values())


def _smallest(sample: Sample, finding: Finding, seed: int, runtime: Runtime, folder: Path) -> Sample:
    """Return a small model that shows a finding of the same kind."""
    setting = replace(setting_of(seed), num_extractions=9)

    def shows(smaller: Sample) -> bool:
        found = try_model(smaller, setting, seed, runtime, folder)
        return any(each.kind is finding.kind for each in found.findings)

    return shrink(sample, shows)


def try_all(seeds: Sequence[int], *, is_shrunk: bool, num_processes: int) -> Iterator[Tried]:
    """Try the models of all seeds in processes of their own."""
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    while chunks:
        batch, chunks = chunks[:num_processes], chunks[num_processes:]
        with ProcessPoolExecutor(len(batch), mp_context=get_context("spawn")) as pool:
            futures = [pool.submit(try_seeds, chunk, is_shrunk=is_shrunk) for chunk in batch]
            for chunk, future in zip(batch, futures, strict=True):
                try:
                    yield from future.result()
                except BrokenProcessPool:
                    # All processes of a pool die with one of them.
                    yield from _one_by_one(chunk, is_shrunk=is_shrunk)


def _one_by_one(seeds: Sequence[int], *, is_shrunk: bool) -> Iterator[Tried]:
    """Halve what ended its process until a single model is left."""
    for half in (seeds[: len(seeds) // 2], seeds[len(seeds) // 2 :]):
        if not half:
            continue
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            try:
                yield from pool.submit(try_seeds, half, is_shrunk=is_shrunk).result()
                continue
            except BrokenProcessPool:
                pass
        if len(half) > 1:
            yield from _one_by_one(half, is_shrunk=is_shrunk)
        else:
            died = Finding(kind=Kind.CRASH, detail="the process that reads and rewrites the model dies")
            yield Tried(seed=half[0], result=Result(is_valid=True, findings=(died,)))


class Account:
    """What was found so far."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.counts: Counter[str] = Counter()
        self.operators: Counter[str] = Counter()
        self.rules: set[str] = set()
        self.findings: list[dict[str, Any]] = []
        self.num_faults = 0

    def add(self, tried: Tried) -> None:
        """Count one model."""
        result = tried.result
        self.counts["models"] += 1
        if not result.is_valid:
            self.counts["refused by ONNX Runtime"] += 1
            return
        self.counts["run by ONNX Runtime"] += 1
        self.counts["nodes"] += tried.num_nodes
        self.counts["rewritten models"] += result.num_extractions
        self.counts["runs compared"] += result.num_runs
        self.operators.update(tried.operators)
        self.rules |= result.rules
        for kind in {finding.kind for finding in result.findings}:
            self.counts[f"models with: {kind}"] += 1
        self.num_faults += sum(finding.is_fault for finding in result.findings)
        self.findings += [{"seed": tried.seed, **asdict(finding)} for finding in result.findings]

    def document(self, seconds: float) -> dict[str, Any]:
        """Return everything as JSON values."""
        offered = [rule for rule in load_rules().rules if rule.kind is RuleKind.OPT and not rule.tier]
        return {
            "seconds": round(seconds, 1),
            "counts": {**self.counts, **{f"models with: {kind}": self.counts[f"models with: {kind}"] for kind in Kind}},
            "operators": dict(self.operators.most_common()),
            "rules_applied": sorted(self.rules),
            "num_rules_offered": len(offered),
            "findings": self.findings,
        }


def table(document: dict[str, Any]) -> str:
    """Return the counts as a table."""
    rules = f"rules applied, of {document['num_rules_offered']}"
    rows = {**document["counts"], "operators": len(document["operators"]), rules: len(document["rules_applied"])}
    return "\n".join(f"{name:60}{count:>8}" for name, count in rows.items())
