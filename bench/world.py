"""How well world models foresee: ``python -m bench.world [--shipped] [--seeds N] [--json FILE]``.

``--shipped`` asks the world model that ships about tasks of kinds held out of training, other episodes for each seed,
and times imagined steps against real ones. Without it, kind stands against kind:

Every model learns from the same real episodes of training tasks, encoded by the policy that ships, and is asked about
the same episodes of kinds of tasks held out of training: from a real state on, with the real actions and nothing else.
The kinds are the two ways in which the future is open: a mixture density, and categorical latents. Beside
what is foreseen of the rule mask stands what it is worth to foretell that it does not change (``unchanged_f1``).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from bench.documents import write_results
from rl.agent.checkpoint import shipped
from rl.agent.policy import Policy
from rl.comparison.command import say
from rl.families import Split, make_tasks
from rl.world.assessment import assess
from rl.world.checkpoint import load
from rl.world.config import FitConfig, ModelConfig
from rl.world.evaluate import Evaluation, evaluate, explored
from rl.world.fit import Fitter
from rl.world.model import WorldModel
from rl.world.planning import SHIPPED
from rl.world.replay import Trajectory
from rl.world.stochastic import Openness

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rl.world.assessment import Foresight

GAMMA: Final = 0.99
NUMBERS: Final = (
    "reward_correlation",
    "mean_correlation",
    "constant_correlation",
    "change_area",
    "return_correlation",
    "mask_f1",
    "unchanged_f1",
    "calibration",
)


def episodes(split: Split, num_tasks: int, per_task: int) -> list[Trajectory]:
    """Return real episodes: drawn from the policy that ships and from all candidates, without stopping.

    Args:
        split: Which tasks.
        num_tasks: How many.
        per_task: Episodes of each.
    """
    tasks = make_tasks(range(num_tasks), split=split)
    found, _ = explored(Policy.of(shipped()), tasks, Evaluation(num_episodes=per_task))
    return [each for each in found if each.num_moves]


def fitted(openness: Openness, trajectories: Sequence[Trajectory], seed: int, num_updates: int) -> WorldModel:
    """Return a world model that learnt from real episodes, with the encoder of the policy that ships as it is."""
    torch.manual_seed(seed)
    model = WorldModel(shipped().build(), ModelConfig(openness=openness))
    Fitter(model, FitConfig(num_updates=num_updates)).fit(trajectories, np.random.default_rng(seed))
    return model


def row(openness: str, seed: int, seconds: float, foresights: Sequence[Foresight]) -> dict[str, Any]:
    """Return what one model came to."""
    told = [{name: value for name, value in asdict(each).items() if name != "tallies"} for each in foresights]
    return {"openness": openness, "seed": seed, "seconds": seconds, "foresights": told}


def asked_shipped(num_seeds: int, num_tasks: int) -> list[dict[str, Any]]:
    """Return how well the world model that ships foresees, once for each seed.

    Args:
        num_seeds: Of the episodes.
        num_tasks: Tasks that are played.
    """
    model, _ = load(SHIPPED)
    rows = []
    for seed in range(num_seeds):
        tasks = make_tasks(range(num_tasks * seed, num_tasks * (seed + 1)), split=Split.HELD_OUT)
        report = evaluate(model, tasks, Evaluation(seed=seed))
        told = row("shipped", seed, 0.0, report.foresights)
        speed = {"real_s": report.speed.real_s, "imagined_s": report.speed.imagined_s, "ratio": report.speed.ratio}
        rows.append(told | {"speed": speed, "num_steps": report.num_steps})
        say(
            f"shipped, seed {seed}: {report.num_steps} real steps; imagined ones {report.speed.ratio:.0f} times as fast"
        )
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return medians over the seeds, and ranges, as text."""
    lines = [f"{'future':<12} {'horizon':>7}" + "".join(f" {name:>26}" for name in NUMBERS)]
    for kind in dict.fromkeys(each["openness"] for each in rows):
        by_horizon: dict[int, list[Mapping[str, Any]]] = {}
        for each in rows:
            if each["openness"] == kind:
                for told in each["foresights"]:
                    by_horizon.setdefault(told["horizon"], []).append(told)
        for horizon, told in by_horizon.items():
            cells = "".join(f" {_cell([each[name] for each in told]):>26}" for name in NUMBERS)
            lines.append(f"{kind:<12} {horizon:7d}{cells}")
    return "\n".join(lines)


def _cell(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.world", description=__doc__)
    parser.add_argument("--shipped", action="store_true", help="ask the world model that ships")
    parser.add_argument("--seeds", type=int, default=5, help="models of each kind, or sets of tasks")
    parser.add_argument("--tasks", type=int, default=40, help="training tasks to learn from")
    parser.add_argument("--held-out", type=int, default=12, help="tasks to be asked about")
    parser.add_argument("--episodes", type=int, default=2, help="of each task")
    parser.add_argument("--updates", type=int, default=500, help="gradient steps of each member")
    parser.add_argument("--json", type=Path, help="write everything here")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if given.shipped:
        rows = asked_shipped(given.seeds, given.held_out)
        write_results(given.json, {"rows": rows, "held_out": given.held_out}, "torch")
        say(table(rows))
        return 0
    known = episodes(Split.TRAIN, given.tasks, given.episodes)
    asked = episodes(Split.HELD_OUT, given.held_out, given.episodes)
    num_steps = sum(each.num_steps for each in known)
    say(f"{num_steps} real steps to learn from, {sum(each.num_steps for each in asked)} to be asked about")
    rows = []
    for seed in range(given.seeds):
        for openness in Openness:
            began = time.monotonic()
            model = fitted(openness, known, seed, given.updates)
            seconds = time.monotonic() - began
            rng = np.random.default_rng(seed)
            rows.append(row(str(openness), seed, seconds, assess(model, asked, gamma=GAMMA, rng=rng)))
            say(f"{openness}, seed {seed}: {seconds:.0f} s")
            settings = {"updates": given.updates, "tasks": given.tasks, "held_out": given.held_out}
            write_results(given.json, {"num_steps": num_steps, "rows": rows, **settings}, "torch")
    say(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
