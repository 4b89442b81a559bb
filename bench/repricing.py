"""How far prices can be trusted: ``python -m bench.repricing [--models NAMES] [--times N] [--json FILE]``.

The e-graph of each model is priced some times, each time by a new process with an empty database. The cheapest graph by
each set of prices promises a gain; what is left of it by the other sets is what it keeps. A choice that rests
on a price which was measured wrongly promises much and keeps little.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bench.documents import ONNX_RUNTIMES, write_results
from bench.learners import exported_task
from bench.models import UnknownModelError, UnsupportedVariantError
from eqsat.egraph.session import Session
from eqsat.errors import EqsatError
from eqsat.extraction.cpsat import solve
from eqsat.extraction.problem import forbid, select
from eqsat.prices.micro import MicroMaker
from eqsat.prices.pricing import micro_or_price
from eqsat.prices.problem import lay_out
from rl.comparison.command import say
from rl.env.device import Device
from rl.families.regimes import Regime

if TYPE_CHECKING:
    from eqsat.extraction.problem import ExtractionProblem, Selection
    from eqsat.prices.problem import Layout, PricedProblem

MODELS: Final = ("roberta-2l", "vit-2l", "gpt2-2l")
MAX_ROUNDS: Final = 6
MAX_ENODES: Final = 1_500
"""E-nodes at which no further round of rewrites is made."""

MIN_US: Final = 5.0
"""Prices below are mostly what ONNX Runtime takes for a run, taken off again: they count in no sum."""

SOLVE_S: Final = 20.0
SOLVE_WORK: Final = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Repricing:
    """A model that was priced some times.

    Attributes:
        model: Its name.
        num_prices: Distinct prices.
        seconds: Of one pricing, on average.
        deviation: Root of the mean variance of the logarithm of a price, of those of 5 us or more.
        promised: Mean gain of the cheapest graph, by the prices that it was chosen by.
        kept: Mean gain of the same graphs by the other prices.
    """

    model: str
    num_prices: int
    seconds: float
    deviation: float
    promised: float
    kept: float


def reprice(name: str, size: str, threads: int, times: int) -> Repricing:
    """Price a model some times over.

    Args:
        name: Name of the model.
        size: ``small`` or ``full``.
        threads: Of ONNX Runtime; 0 is its own default.
        times: How often; at least 2.

    Raises:
        UnknownModelError: No model has that name.
        UnsupportedVariantError: The model cannot be exported in that form.
    """
    layout: Layout | None = None
    pricings: list[PricedProblem] = []
    tables: list[dict[str, float]] = []
    spent_s = 0.0
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder, Device(Path(folder) / "prices.sqlite", threads=threads) as device:
            task, book = exported_task(name, size, device, Regime.ALL)
            if layout is None:
                session = grown(Session(task.graph, task.rules))
                layout = lay_out(session, MicroMaker(session, task.sizes), task.provider)
            maker = MicroMaker(layout.session, task.sizes)
            began = time.monotonic()
            prices = book.source.price(layout.session, layout.wanted(), maker)
            spent_s += time.monotonic() - began
            pricings.append(layout.priced(prices))
            micros = {cluster: micro_or_price(cluster, maker) for cluster in prices}
            tables.append(
                {micro.signature: prices[each] for each, micro in micros.items() if not isinstance(micro, float)}
            )
    assert layout is not None
    others = pricings[0].rewritten(layout.session.model_nodes())
    promised, kept = gains([priced.problem for priced in pricings], others)
    return Repricing(
        model=name,
        num_prices=len(tables[0]),
        seconds=spent_s / times,
        deviation=deviation(tables),
        promised=promised,
        kept=kept,
    )


def grown(session: Session) -> Session:
    """Apply all there is, a few rounds of it, and return the session."""
    for _ in range(MAX_ROUNDS):
        candidates = session.candidates()
        if not candidates or session.size().num_enodes >= MAX_ENODES:
            break
        session.apply(candidates)
    return session


def gains(problems: Sequence[ExtractionProblem], others: Collection[int]) -> tuple[float, float]:
    """Return the mean gain of the cheapest graphs by their own prices, and by those of the other problems.

    Args:
        problems: One e-graph with different prices.
        others: E-nodes that are not the model's own.
    """
    chosen = [_solved(problem) for problem in problems]
    before_us = [_solved(forbid(problem, others)).cost_us for problem in problems]
    table = np.array(
        [
            [1.0 - select(problem, each.choice).cost_us / us for problem, us in zip(problems, before_us, strict=True)]
            for each in chosen
        ]
    )
    promised, everything = float(np.trace(table)), float(table.sum())
    count = len(problems)
    return promised / count, (everything - promised) / (count * (count - 1))


def deviation(tables: Sequence[dict[str, float]]) -> float:
    """Return the root of the mean variance of the logarithm of a price, of those that count.

    What all prices of a table have in common does not count: no choice depends on it.

    Args:
        tables: Prices in microseconds by signature, the same signatures in each.
    """
    rows = [[table[signature] for table in tables] for signature in tables[0]]
    counting = [row for row in rows if all(MIN_US <= price_us < math.inf for price_us in row)]
    if not counting:
        return 0.0
    logs = np.log(counting)
    return float(np.sqrt(np.var(logs - logs.mean(axis=0), axis=1, ddof=1).mean()))


def _solved(problem: ExtractionProblem) -> Selection:
    return solve(problem, time_limit_s=SOLVE_S, work_limit=SOLVE_WORK).selection


def table(found: Sequence[Repricing]) -> str:
    """Return rows as text."""
    lines = [
        f"{each.model:<14} {each.num_prices:6d} {each.seconds:6.1f} {each.deviation:9.3f} {each.promised:8.1%} "
        f"{each.kept:6.1%}"
        for each in found
    ]
    return "\n".join([f"{'model':<14} prices      s deviation promised   kept", *lines])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.repricing", description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(MODELS), metavar="NAME", help="models of bench.models")
    parser.add_argument("--size", default="full", choices=("small", "full"), help="size of models")
    parser.add_argument("--threads", type=int, default=1, help="threads of ONNX Runtime; 0 is its own default")
    parser.add_argument("--times", type=int, default=4, help="how often each model is priced; at least 2")
    parser.add_argument("--json", type=Path, help="write everything here")
    given = parser.parse_args(arguments)
    if given.times < 2:
        parser.error("--times must be 2 or more")
    found: list[Repricing] = []
    try:
        for name in given.models:
            found.append(reprice(name, given.size, given.threads, given.times))
            document: dict[str, Any] = {
                "threads": given.threads,
                "times": given.times,
                "rows": [asdict(each) for each in found],
            }
            write_results(given.json, document, *ONNX_RUNTIMES, "ortools")
    except (EqsatError, UnknownModelError, UnsupportedVariantError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    say(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
