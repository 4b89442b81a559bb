"""The agent where it has to matter: ``python -m bench.agent --toys`` and ``python -m bench.agent --models NAMES``.

``--toys`` compares policies and searches on the graphs of :mod:`bench.toys`, with the rules that TASO has, a limit of
2 000 e-nodes and additive prices, measured once and kept in ``bench/results/toy-prices.json``.

``--models`` compares them on models of ``bench.models`` with all rules and a limit of 10 000 e-nodes, where e-graphs do
not end by themselves. The best known graph of a model is the cheapest that any contender found, or that a search of
``--best-searches`` finds with ``--best-factor`` times the e-nodes and the seconds.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.documents import git
from bench.learners import exported_task
from bench.models import UnknownModelError, UnsupportedVariantError
from bench.toys import MAX_ENODES, TOYS, toy_task
from eqsat.errors import EqsatError
from rl.comparison.baselines import baselines
from rl.comparison.command import add_arguments, budgets, run, say
from rl.comparison.contest import compare, line
from rl.comparison.ledger import PriceBook
from rl.env.device import Device
from rl.env.tasks import Task
from rl.families.prices import CalibratedPrices, measured_fits
from rl.families.regimes import Regime
from rl.families.sketch import OPSET

TOY_PRICES: Final = Path(__file__).parent / "results" / "toy-prices.json"
NUM_MODEL_ENODES: Final = 10_000


def toys(given: argparse.Namespace, device: Device) -> None:
    """Compare on toys; prices that were not known yet are added to the file of prices."""
    book = PriceBook(source=device.prices(OPSET))
    book.load(given.prices)
    tasks = [(toy_task(name), book) for name in given.only or TOYS]
    notes = {
        "tasks": [task.name for task, _ in tasks],
        "device": device.name,
        "threads": given.threads,
        "commit": git("rev-parse", "HEAD"),
    }
    num_known = len(book.known)
    try:
        run(tasks, given, notes=notes)
    finally:
        if len(book.known) > num_known:
            book.save(given.prices)


def models(given: argparse.Namespace, device: Device) -> None:
    """Compare on models, node-limited; what is best known comes from searches with a larger budget."""
    tasks = [exported_task(name, given.size, device, Regime.ALL) for name in given.models]
    best_us = best_known(tasks, given) if given.best_factor > 1 else {}
    notes = {
        "tasks": given.models,
        "size": given.size,
        "best_factor": given.best_factor,
        "best_searches": given.best_searches,
        "device": device.name,
        "threads": given.threads,
        "commit": git("rev-parse", "HEAD"),
    }
    run(tasks, given, notes=notes, best_us=best_us)


def best_known(tasks: Sequence[tuple[Task, PriceBook]], given: argparse.Namespace) -> dict[str, float]:
    """Return the price of the cheapest graph that searches with a larger budget find, by task."""
    limits = max(budgets(given), key=lambda each: each.max_seconds)
    larger = replace(
        limits,
        max_enodes=given.best_factor * limits.max_enodes,
        growth=math.inf,
        max_seconds=given.best_factor * limits.max_seconds,
        max_steps=given.best_factor * limits.max_steps,
        max_solve_s=given.best_factor * limits.max_solve_s,
        max_solve_work=given.best_factor * limits.max_solve_work,
    )
    who = baselines(CalibratedPrices(measured_fits()), given.best_searches.split(","))
    attempts = compare(tasks, who, larger, num_seeds=1, tell=lambda attempt: say(f"best known: {line(attempt)}"))
    best: dict[str, float] = {}
    for attempt in attempts:
        best[attempt.task] = min(attempt.cost_us, best.get(attempt.task, attempt.initial_us))
    return best


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(prog="python -m bench.agent", description=__doc__)
    what = made.add_mutually_exclusive_group(required=True)
    what.add_argument("--toys", action="store_true", help="the graphs of bench.toys")
    what.add_argument("--models", nargs="+", metavar="NAME", help="models of bench.models")
    made.add_argument("--only", nargs="+", choices=tuple(TOYS), help="some of the toys")
    made.add_argument("--prices", type=Path, default=TOY_PRICES, help="prices of toys, kept between runs")
    made.add_argument("--size", default="full", choices=("small", "full"), help="size of models")
    made.add_argument("--best-factor", type=int, default=10, help="budget for the best known graph; 1 searches none")
    made.add_argument("--best-searches", default="saturate,beam", help="searches for the best known graph")
    made.add_argument("--database", type=Path, help="price database; the user's own by default")
    made.add_argument("--threads", type=int, default=0, help="threads of ONNX Runtime; 0 is its own default")
    add_arguments(made, max_enodes=0)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given = parser().parse_args(arguments)
    given.max_enodes = given.max_enodes or (MAX_ENODES if given.toys else NUM_MODEL_ENODES)
    try:
        with Device(given.database, threads=given.threads) as device:
            (toys if given.toys else models)(given, device)
    except (EqsatError, UnknownModelError, UnsupportedVariantError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
