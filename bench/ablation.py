"""What each part of the agent is worth: ``python -m bench.ablation [--updates N] [--only NAMES] [--json FILE]``.

Every variant is trained by the settings of the policy that ships, with one thing left out or added, for the same number
of updates from the same seed, and then plays the validation tasks by its likeliest actions: half of them of kinds that
training never saw, all of them with room for 1.15 to 2.5 times the model. Nothing is measured, prices are those of
training, so that the table comes out the same on every machine but for rounding.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bench.documents import write_results
from rl.training.config import DEFAULT, TrainConfig, read_config
from rl.training.loop import train
from rl.training.tasks import source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NUM_UPDATES: Final = 15

VARIANTS: Final[Mapping[str, Callable[[TrainConfig], TrainConfig]]] = {
    "full": lambda config: config,
    "no messages": lambda config: replace(config, network=replace(config.network, num_rounds=0)),
    "rules only": lambda config: replace(config, network=replace(config.network, is_rule_only=True)),
    "no shaping": lambda config: replace(config, episodes=replace(config.episodes, is_shaped=False)),
    "no STOP": lambda config: replace(config, network=replace(config.network, has_stop=False)),
    "exact end": lambda config: replace(config, episodes=replace(config.episodes, is_exact=True)),
}
"""By name: what is changed. ``exact end`` pays at STOP what the exact extraction gains, not the greedy one."""


def measure(name: str, config: TrainConfig, num_updates: int, folder: Path) -> dict[str, Any]:
    """Train a variant and return what it came to.

    Args:
        name: Name of the variant.
        config: Settings of the full agent.
        num_updates: Updates of the training.
        folder: Folder of the training.
    """
    changed = replace(VARIANTS[name](config), num_updates=num_updates, validate_every=num_updates, time_limit_s=1e9)
    summary = train(changed, source_of(changed.tasks), folder / name.replace(" ", "-"), tell=say)
    state = summary.state
    return {
        "name": name,
        "gain": float(np.mean(list(state.last_gains.values()))),
        "gains": state.last_gains,
        "first_gain": float(np.mean(list(state.first_gains.values()))),
        "num_steps": state.num_steps,
        "seconds": state.seconds,
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the results as text."""
    lines = [f"{'variant':<12}  {'gain':>6}  {'held out':>8}  {'real steps':>10}  {'seconds':>7}"]
    for row in rows:
        held_out = np.mean([gain for task, gain in row["gains"].items() if task.startswith("held-out")])
        lines.append(
            f"{row['name']:<12}  {row['gain']:6.1%}  {held_out:8.1%}  {row['num_steps']:10d}  {row['seconds']:7.0f}"
        )
    return "\n".join(lines)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.ablation", description=__doc__)
    parser.add_argument("--updates", type=int, default=NUM_UPDATES, help="updates of each training")
    parser.add_argument("--only", nargs="+", choices=tuple(VARIANTS), default=list(VARIANTS), help="some of them")
    parser.add_argument("--seed", type=int, default=0, help="seed of every training")
    parser.add_argument("--json", type=Path, help="where the results go")
    given = parser.parse_args(arguments)
    config = replace(read_config(DEFAULT), seed=given.seed)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in given.only:
            say(name)
            rows.append(measure(name, config, given.updates, Path(folder)))
            document = {"updates": given.updates, "seed": given.seed, "variants": rows}
            write_results(given.json, document, "torch")
    say(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
