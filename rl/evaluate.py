"""Policies against searches: ``python -m rl.evaluate [--policies NAME=FOLDER,...] [MODEL.onnx ...]``.

Without models the tasks are small ones of kinds that no policy was trained on, at the prices of training, which need no
device. Models are priced by measurements on this machine. Every contender gets the same budget: of e-nodes, and of wall
time (``--seconds``) or of measured prices (``--measurements``), beyond which prices are estimates. All end with the
same exact extraction, and what they find is then priced by measurements.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eqsat.errors import EqsatError
from eqsat.verify.sizes import default_sizes
from ir.errors import InvalidModelError
from ir.inner_sizes import inner_sizes
from ir.reader import read
from rl.comparison.command import add_arguments, run, say
from rl.comparison.ledger import PriceBook
from rl.env.device import Device
from rl.env.tasks import Task
from rl.families import Split, make_tasks
from rl.families.regimes import Regime, rules_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def small_tasks(split: Split, count: int) -> list[tuple[Task, PriceBook]]:
    """Return small tasks with their own prices."""
    return [(task, PriceBook(source=task.prices)) for task in make_tasks(range(count), split=split)]


def model_task(path: Path, device: Device, regime: Regime) -> tuple[Task, PriceBook]:
    """Return the task of a model file, with measured prices.

    Args:
        path: ONNX file; every size of it must be known.
        device: Measures.
        regime: Rules that may be used.

    Raises:
        InvalidModelError: The model cannot be read.
        UnsupportedInputError: An input has no shape to price at.
    """
    graph = read(path)
    prices = device.prices(graph.opset)
    task = Task(
        name=path.stem,
        graph=graph,
        rules=rules_of(regime, graph.opset),
        prices=prices,
        sizes=inner_sizes(graph, default_sizes(graph, {})),
    )
    return task, PriceBook(source=prices)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(prog="python -m rl.evaluate", description=__doc__)
    made.add_argument("models", nargs="*", type=Path, metavar="MODEL.onnx", help="models instead of small tasks")
    made.add_argument("--tasks", type=int, default=10, help="number of small tasks")
    made.add_argument("--split", choices=tuple(Split), default=Split.HELD_OUT, type=Split, help="which small tasks")
    made.add_argument("--rules", choices=tuple(Regime), default=Regime.ALL, type=Regime, help="rules for models")
    made.add_argument("--database", type=Path, help="price database; the user's own by default")
    add_arguments(made, max_enodes=2_000)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given = parser().parse_args(arguments)
    notes: Mapping[str, Any] = {"tasks": [str(path) for path in given.models] or f"{given.tasks} of {given.split}"}
    try:
        if not given.models:
            run(small_tasks(given.split, given.tasks), given, notes=notes)
            return 0
        with Device(given.database) as device:
            tasks = [model_task(path, device, given.rules) for path in given.models]
            run(tasks, given, notes={**notes, "rules": given.rules, "device": device.name})
    except (EqsatError, InvalidModelError) as error:
        say(f"error: {error}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
