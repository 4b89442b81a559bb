"""What an end-to-end reward is worth: ``python -m bench.endings [--models NAMES] [--seeds N] [--json FILE]``.

Two agents get to know one model from nothing, at prices measured on this machine. One is paid at STOP what the prices
say; the other what the finalist gains by the clock, measured in pairs of fresh sessions. What each finds in the end, by
its likeliest actions, is then measured by the clock for both, in more pairs than training had.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from bench.documents import ONNX_RUNTIMES, write_results
from bench.learners import Effort, add_flags, exported_task, model_free_config
from bench.models import UnknownModelError, UnsupportedVariantError
from eqsat.errors import EqsatError
from rl.agent.checkpoint import load
from rl.agent.policy import Policy
from rl.comparison.command import say
from rl.env.device import Device
from rl.env.measured_gain import MeasuredGain
from rl.families.regimes import Regime
from rl.training import loop as model_free
from rl.training.rollout import Order, play
from rl.training.tasks import TaskSplit, make_env

if TYPE_CHECKING:
    from rl.env.tasks import Task

MODELS: Final = ("roberta-2l", "gpt2-2l")
NUM_PAIRS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What one agent found.

    Attributes:
        model: What it trained on.
        is_measured: Whether STOP paid by the clock.
        seed: Seed of its draws.
        priced_gain: Relative drop of the sum of prices.
        gain: Relative drop of the latency from end to end.
    """

    model: str
    is_measured: bool
    seed: int
    priced_gain: float
    gain: float


def train(task: Task, effort: Effort, seed: int, *, is_measured: bool, clock: MeasuredGain) -> Ended:
    """Train on a task, and return what the best policy finds.

    Args:
        task: With prices measured on this machine.
        effort: How much is trained.
        seed: Seed of every draw.
        is_measured: Whether STOP pays by the clock.
        clock: Measures what is found.
    """
    config = model_free_config(seed, effort)
    config = replace(config, episodes=replace(config.episodes, is_measured=is_measured))
    split = TaskSplit(training=[task], validation=[task])
    with tempfile.TemporaryDirectory() as folder:
        model_free.train(config, lambda: split, Path(folder))
        policy = Policy.of(load(Path(folder) / model_free.BEST))
    env = make_env(replace(config.episodes, is_measured=False), lambda: split)
    episode = play(env, policy, Order(task=task.name, seed=seed, is_greedy=True))
    gain = max(0.0, clock(env.ending))
    return Ended(model=task.name, is_measured=is_measured, seed=seed, priced_gain=episode.gain, gain=gain)


def table(found: Sequence[Ended]) -> str:
    """Return medians over the seeds, and ranges, as text."""
    lines = [f"{'model':<14} {'STOP pays':<12} {'by prices':>9} {'by the clock':>12}  range"]
    for model in dict.fromkeys(each.model for each in found):
        for is_measured in (False, True):
            own = [each for each in found if (each.model, each.is_measured) == (model, is_measured)]
            gains = [each.gain for each in own]
            lines.append(
                f"{model:<14} {'by the clock' if is_measured else 'by prices':<12} "
                f"{statistics.median(each.priced_gain for each in own):9.1%} {statistics.median(gains):12.1%}  "
                f"{min(gains):.1%} to {max(gains):.1%}"
            )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.endings", description=__doc__)
    add_flags(parser, MODELS)
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each agent on each model")
    parser.add_argument("--updates", type=int, default=4, help="updates of a training, of 6 episodes each")
    parser.add_argument("--growth", type=float, default=1.4, help="room, as a multiple of the model's own size")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    effort = Effort(num_updates=given.updates, num_episodes=6, growth=given.growth)
    found: list[Ended] = []
    try:
        with Device(given.database, threads=given.threads) as device:
            clock = MeasuredGain(num_pairs=NUM_PAIRS)
            for name in given.models:
                task, _ = exported_task(name, given.size, device, Regime.DEFAULT)
                for seed in range(given.seeds):
                    for is_measured in (False, True):
                        found.append(train(task, effort, seed, is_measured=is_measured, clock=clock))
                        last = found[-1]
                        say(f"{name}, seed {seed}, measured {is_measured}: {last.priced_gain:.1%}, {last.gain:.1%}")
                    notes = {"device": device.name, "updates": given.updates, "growth": given.growth}
                    ended = {"ended": [asdict(each) for each in found]}
                    write_results(given.json, notes | ended, "torch", *ONNX_RUNTIMES)
    except (EqsatError, UnknownModelError, UnsupportedVariantError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    say(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
