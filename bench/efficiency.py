"""What a world model saves of reality: ``python -m bench.efficiency --models NAMES [--seeds N] [--json FILE]``.

Agents get to know one model at a time (:mod:`bench.learners`), some of them after the other models of the list. What
the model-free agent, which begins with nothing, gains at its best is the mark. The table says for each agent in how
many seeds it reached the mark, and by how many real steps, measured prices and seconds, as shares of what the
model-free agent had needed: medians over the seeds, whose ranges are in the file.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from bench.documents import ONNX_RUNTIMES, write_results
from bench.learners import Effort, Kind, Way, add_flags, exported_task, train
from bench.models import UnknownModelError, UnsupportedVariantError
from eqsat.errors import EqsatError
from rl.comparison.command import say
from rl.env.device import Device
from rl.families.regimes import Regime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eqsat.prices.beliefs import Kernel
    from rl.comparison.ledger import PriceBook
    from rl.env.tasks import Task

GROWTH: Final = 1.4
"""Room: enough to gain, too little to try everything."""

MODELS: Final = ("roberta-2l", "gpt2-2l", "phi-2l", "vit-2l", "t5-encoder-2l", "wav2vec2-2l")

EFFORTS: Final[Mapping[Kind, Effort]] = {
    Kind.MODEL_FREE: Effort(num_updates=10, num_episodes=8, growth=GROWTH),
    Kind.IMAGINING: Effort(num_updates=4, num_episodes=2, growth=GROWTH),
    Kind.SHIPPED_MODEL_FREE: Effort(num_updates=3, num_episodes=2, growth=GROWTH),
    **dict.fromkeys(
        (
            *(Kind.SHIPPED_PLANNING, Kind.SHIPPED_POLICY, Kind.FRUGAL_PLANNING, Kind.FRUGAL_POLICY),
            *(Kind.LATER_PLANNING, Kind.LATER_POLICY),
        ),
        Effort(num_updates=0, num_episodes=0, growth=GROWTH),
    ),
}


def shares(way: Way, mark: Way) -> dict[str, float] | None:
    """Return what an agent had needed when it reached the mark, as shares of what the mark's own had needed.

    None where it never did. Steps are counted from the first: what is reached without any counts as one.

    Args:
        way: The agent's.
        mark: The model-free agent's, whose best gain is the mark.
    """
    there, first = way.reached(mark.gain), mark.reached(mark.gain)
    if there is None or first is None:
        return None
    return {
        "steps": max(there.num_steps, 1) / max(first.num_steps, 1),
        "prices": there.num_prices / max(first.num_prices, 1),
        "seconds": there.seconds / first.seconds,
    }


def rows(ways: Sequence[Way]) -> list[dict[str, Any]]:
    """Return one row for each model and agent."""
    marks = {(way.model, way.seed): way for way in ways if way.agent == Kind.MODEL_FREE}
    found: list[dict[str, Any]] = []
    for model in dict.fromkeys(way.model for way in ways):
        for agent in dict.fromkeys(way.agent for way in ways):
            own = [way for way in ways if (way.model, way.agent) == (model, agent)]
            if not own:
                continue
            told = [shares(way, marks[model, way.seed]) for way in own]
            reached = [each for each in told if each is not None]
            medians = {
                name: statistics.median(each[name] for each in reached) if reached else None
                for name in ("steps", "prices", "seconds")
            }
            ranges = {
                name: [min(each[name] for each in reached), max(each[name] for each in reached)] if reached else None
                for name in medians
            }
            last = [way.points[-1] for way in own]
            found.append(
                {
                    "model": model,
                    "agent": str(agent),
                    "num_seeds": len(own),
                    "num_reached": len(reached),
                    "gain": statistics.median(way.gain for way in own),
                    "first_gain": statistics.median(way.points[0].gain for way in own),
                    "num_steps": statistics.median(each.num_steps for each in last),
                    "num_prices": statistics.median(each.num_prices for each in last),
                    "seconds": statistics.median(each.seconds for each in last),
                    "shares": medians,
                    "ranges": ranges,
                }
            )
    return found


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as text."""

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    head = (
        f"{'model':<14} {'agent':<20} {'gain':>6} {'at first':>8} {'steps':>6} {'prices':>6} {'s':>6}  "
        f"{'reached':>7} {'x steps':>7} {'x prices':>8} {'x s':>6}"
    )
    lines = [
        f"{row['model']:<14} {row['agent']:<20} {row['gain']:6.1%} {row['first_gain']:8.1%} {row['num_steps']:6.0f} "
        f"{row['num_prices']:6.0f} {row['seconds']:6.1f}  {row['num_reached']:3d}/{row['num_seeds']:<3d} "
        f"{share(row['shares']['steps']):>7} {share(row['shares']['prices']):>8} {share(row['shares']['seconds']):>6}"
        for row in found
    ]
    return "\n".join([head, *lines])


def others(offers: Sequence[tuple[Task, PriceBook]], own: int) -> dict[str, tuple[Kernel, float]]:
    """Return what a database knows in which all models of the benchmark but one were priced, and what it is of.

    Args:
        offers: The models.
        own: Number of the one that is new.
    """
    books = [book for number, (_, book) in enumerate(offers) if number != own]
    return {digest: told for book in books for digest, told in book.described().items()}


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(prog="python -m bench.efficiency", description=__doc__)
    add_flags(made, MODELS)
    made.add_argument("--agents", nargs="+", type=Kind, choices=list(EFFORTS), default=list(EFFORTS), help="which ones")
    made.add_argument("--seeds", type=int, default=5, help="trainings of each agent on each model")
    made.add_argument("--growth", type=float, default=GROWTH, help="room, as a multiple of the model's own size")
    made.add_argument("--updates", type=int, help="updates or rounds of every agent, where other than its own")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    given = parser().parse_args(arguments)
    torch.set_num_threads(1)
    ways: list[Way] = []
    kinds = dict.fromkeys((Kind.MODEL_FREE, *given.agents))
    try:
        with Device(given.database, threads=given.threads) as device:
            offers = [exported_task(name, given.size, device, Regime.ALL) for name in given.models]
            for is_later in (False, True):
                for number, (task, book) in enumerate(offers):
                    book.others = others(offers, number) if is_later else {}
                    due = [kind for kind in kinds if kind.is_later == is_later]
                    for seed, kind in product(range(given.seeds), due):
                        effort = replace(
                            EFFORTS[kind],
                            num_updates=given.updates or EFFORTS[kind].num_updates,
                            growth=given.growth,
                        )
                        with tempfile.TemporaryDirectory() as folder:
                            way = train(kind, task, book, seed, effort, Path(folder))
                        ways.append(way)
                        last = way.points[-1]
                        say(
                            f"{task.name}  {kind}  seed {seed}: {way.gain:.1%}, {last.num_steps} steps, "
                            f"{last.num_prices} prices, {last.seconds:.0f} s"
                        )
                    write_results(given.json, document(ways, device.name, given.growth), "torch", *ONNX_RUNTIMES)
    except (EqsatError, UnknownModelError, UnsupportedVariantError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    say(table(rows(ways)))
    return 0


def document(ways: Sequence[Way], device: str, growth: float) -> dict[str, Any]:
    """Return the results for JSON."""
    return {"device": device, "growth": growth, "rows": rows(ways), "ways": [asdict(way) for way in ways]}


if __name__ == "__main__":
    sys.exit(main())
