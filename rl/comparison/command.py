"""What the commands that compare searches have in common: their flags, and what they write."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from eqsat.errors import UsageError
from eqsat.text.shown import plain
from ir.atomic_file import write_text
from rl.agent.checkpoint import load, shipped
from rl.comparison.attempts import Limits
from rl.comparison.baselines import BASELINES, baselines
from rl.comparison.contenders import PolicyContender, SearchContender
from rl.comparison.contest import Comparison, compare, document, line
from rl.comparison.plot import budget, write_plot
from rl.comparison.summary import gain_table, standings, table
from rl.families.prices import CalibratedPrices, measured_fits
from rl.search.learned import DEFAULT_WIDTH, Learned
from rl.world import planning

if TYPE_CHECKING:
    from rl.agent.checkpoint import Checkpoint
    from rl.comparison.attempts import Contender
    from rl.comparison.ledger import PriceBook
    from rl.env.tasks import Task

REFERENCE = "saturate"
SHIPPED = "shipped"
"""Name of the policy that comes with the package."""
SHIPPED_WORLD = "world-model"
"""Name of the world model that comes with the package."""


def add_arguments(parser: argparse.ArgumentParser, *, max_enodes: int) -> None:
    """Add the flags of every comparison."""
    parser.add_argument(
        "--policies",
        default="",
        metavar="NAME=FOLDER,...",
        help=f"policies that take part; '{SHIPPED}' is the one that comes with the package, 'none' leaves it out",
    )
    parser.add_argument(
        "--worlds",
        default="",
        metavar="NAME=FOLDER,...",
        help=f"world models that take part, as `--search world-model`; '{SHIPPED_WORLD}' is the one of the package",
    )
    parser.add_argument(
        "--episodes",
        type=int,
        default=0,
        help="let policies play so many episodes of the environment they were trained in, the likeliest first, then "
        "draws; by default they act as `--search ppo` does",
    )
    parser.add_argument("--width", type=int, default=DEFAULT_WIDTH, help="groups that a policy applies at a step")
    parser.add_argument(
        "--searches",
        default=",".join(BASELINES),
        metavar="NAMES",
        help="searches that take part; options follow after colons, as in saturate:restarts=16",
    )
    parser.add_argument("--seeds", type=int, default=5, help="seeds of what draws; the rest runs once")
    parser.add_argument("--max-enodes", type=int, default=max_enodes, help="size at which nothing more is applied")
    parser.add_argument(
        "--growth",
        type=float,
        default=math.inf,
        help="the same as a multiple of the model's own size; the smaller one counts",
    )
    parser.add_argument("--max-steps", type=int, default=1_000, help="choices")
    parser.add_argument(
        "--seconds", type=float, nargs="*", default=[10.0], help="comparisons at equal wall time, one for each number"
    )
    parser.add_argument(
        "--measurements", type=int, nargs="*", default=[], help="comparisons at equally many measured prices"
    )
    parser.add_argument("--cap", type=float, default=120.0, help="seconds at most where measurements are equal")
    parser.add_argument("--json", type=Path, help="write everything here")
    parser.add_argument("--plot", type=Path, help="write charts here, as HTML")


def contenders(given: argparse.Namespace) -> list[Contender]:
    """Return who takes part: policies first.

    Raises:
        UsageError: There is no such search, policy or world model, or two have one name.
    """
    fallback = CalibratedPrices(measured_fits())
    found: list[Contender] = []
    for name, checkpoint in policies(given.policies).items():
        if given.episodes:
            found.append(
                PolicyContender(name=name, checkpoint=checkpoint, num_episodes=given.episodes, fallback=fallback)
            )
        else:
            search = Learned(checkpoint=checkpoint, width=given.width)
            found.append(SearchContender(name=name, search=search, is_random=False, fallback=fallback))
    for name, folder in worlds(given.worlds).items():
        found.append(SearchContender(name=name, search=planning.foresighted(folder), is_random=True, fallback=fallback))
    found += baselines(fallback, [name for name in given.searches.split(",") if name])
    names = [contender.name for contender in found]
    if len(set(names)) < len(names):
        raise UsageError(f"two contenders have one name: {', '.join(names)}")
    if not names:
        raise UsageError("nobody takes part: name searches or policies")
    return found


def policies(text: str) -> dict[str, Checkpoint]:
    """Return the policies that a flag names; the one that ships, where it names none and one is there.

    Raises:
        UsageError: A policy cannot be read.
    """
    if text == "none":
        return {}
    if not text:
        try:
            return {SHIPPED: shipped()}
        except UsageError:
            return {}
    return {name: load(folder) if folder else shipped() for name, folder in _folders(text, SHIPPED).items()}


def worlds(text: str) -> dict[str, Path]:
    """Return the folders of the world models that a flag names."""
    if not text:
        return {}
    return {name: folder or planning.SHIPPED for name, folder in _folders(text, SHIPPED_WORLD).items()}


def _folders(text: str, name_of_shipped: str) -> dict[str, Path | None]:
    """Return the folders of ``NAME=FOLDER,...`` by name; a folder alone has its own name, what ships has no folder."""
    found: dict[str, Path | None] = {}
    for part in text.split(","):
        name, is_named, folder = part.partition("=")
        if not is_named and name != name_of_shipped:
            name, folder = Path(part).name, part
        found[name] = Path(folder) if folder else None
    return found


def budgets(given: argparse.Namespace) -> list[Limits]:
    """Return the budgets that flags ask for."""
    common = {"max_enodes": given.max_enodes, "growth": given.growth, "max_steps": given.max_steps}
    by_time = [Limits(max_seconds=seconds, **common) for seconds in given.seconds]
    by_count = [Limits(max_measurements=count, max_seconds=given.cap, **common) for count in given.measurements]
    return by_time + by_count or [Limits(max_seconds=math.inf, **common)]


def run(
    tasks: Sequence[tuple[Task, PriceBook]],
    given: argparse.Namespace,
    *,
    notes: Mapping[str, object],
    best_us: Mapping[str, float] | None = None,
) -> list[Comparison]:
    """Compare, print, and write what the flags ask for; networks use one thread, as in a run of the product.

    Args:
        tasks: Tasks with their prices.
        given: The flags.
        notes: What the document says besides.
        best_us: Cheapest graph known of each task.

    Raises:
        UsageError: A flag asks for what there is not.
    """
    torch.set_num_threads(1)
    who = contenders(given)
    found = []
    for limits in budgets(given):
        attempts = compare(tasks, who, limits, num_seeds=given.seeds, tell=lambda attempt: say(line(attempt)))
        found.append(Comparison(limits=limits, attempts=attempts, best_us=best_us or {}))
        write(found, notes, json_file=given.json, plot=given.plot)
    for comparison in found:
        say(f"\n{budget(comparison)}; better and worse than {REFERENCE}\n{gain_table(comparison.attempts)}\n")
        say(table(standings(comparison.attempts, reference=REFERENCE, best_us=comparison.best_us)))
    return found


def write(
    found: Sequence[Comparison], notes: Mapping[str, object], *, json_file: Path | None, plot: Path | None = None
) -> None:
    """Write what there is so far, where a file is named.

    Args:
        found: The comparisons.
        notes: What the document says besides.
        json_file: For everything.
        plot: For charts.
    """
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document(found, reference=REFERENCE, notes=notes), indent=1)
        write_text(json_file, text + "\n")
    if plot:
        write_plot(found, plot, reference=REFERENCE)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(plain(text) + "\n")
    sys.stdout.flush()
