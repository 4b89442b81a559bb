"""The methods of RLFlow and X-RLflow on real exports of their papers' models: ``python -m bench.papers``.

RLFlow (Parker et al. 2022) trains a policy for one model inside a recurrent world model with a mixture density;
X-RLflow (He et al. 2023) trains a model-free policy over a graph network for one model. Both rewrote one graph at a
time; neither's code runs on today's exports. What is compared here is the method: trained from nothing for one model,
on our e-graph, with our rules, prices and extraction, beside searches that need no training and the agents that ship.
Real steps and distinct prices of the training count, and so do its seconds, those of measuring left out.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import torch

from bench.documents import git
from bench.learners import Effort, Kind, TrainedContender, add_flags, exported_task
from bench.models import UnknownModelError, UnsupportedVariantError
from eqsat.errors import EqsatError
from rl.agent.checkpoint import shipped
from rl.comparison.attempts import Limits
from rl.comparison.baselines import baselines
from rl.comparison.command import REFERENCE, say, write
from rl.comparison.contenders import SearchContender
from rl.comparison.contest import Comparison, compare, line
from rl.comparison.summary import gain_table, standings, table
from rl.env.device import Device
from rl.families.prices import CalibratedPrices, measured_fits
from rl.families.regimes import Regime
from rl.search.learned import Learned
from rl.world.planning import foresighted

if TYPE_CHECKING:
    from rl.comparison.attempts import Attempt, Contender
    from rl.env.prices import PriceSource

MODELS: Final = (
    "inception-v3",
    "resnet18",
    "resnet50",
    "squeezenet",
    "bert",
    "vit",
    "resnext50",
    "transformer-transducer",
    "dalle",
)
"""The first six are RLFlow's; X-RLflow has Inception v3, SqueezeNet, BERT, ViT, ResNet-18 and the last three."""

NUM_EPISODES: Final = 4
"""Real episodes of an update of a training."""


def untrained(fallback: PriceSource, searches: Sequence[str]) -> list[Contender]:
    """Return the searches, and the agents that ship as ``eqsat run`` has them."""
    return [
        *baselines(fallback, searches),
        SearchContender(name="ppo", search=Learned(checkpoint=shipped()), is_random=False, fallback=fallback),
        SearchContender(name="world-model", search=foresighted(), is_random=True, fallback=fallback),
    ]


def trained(fallback: PriceSource, num_updates: int) -> list[Contender]:
    """Return the papers' methods."""
    effort = Effort(num_updates=num_updates, num_episodes=NUM_EPISODES, growth=math.inf)
    return [
        TrainedContender(name="X-RLflow", kind=Kind.MODEL_FREE, effort=effort, fallback=fallback),
        TrainedContender(name="RLFlow", kind=Kind.IMAGINING_MIXTURE, effort=effort, fallback=fallback),
    ]


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(prog="python -m bench.papers", description=__doc__)
    add_flags(made, MODELS)
    made.add_argument("--searches", default="greedy,saturate,mcts", help="searches beside the agents")
    made.add_argument("--seconds", type=float, default=10.0, help="of a search; trainings end by themselves")
    made.add_argument("--growth", type=float, default=math.inf, help="room, as a multiple of the model's own size")
    made.add_argument("--max-enodes", type=int, default=10_000, help="the same as e-nodes; the smaller one counts")
    made.add_argument("--seeds", type=int, default=5, help="seeds of what draws")
    made.add_argument("--trainings", type=int, default=5, help="trainings of each of the papers' methods")
    made.add_argument("--updates", type=int, default=6, help=f"updates of a training, of {NUM_EPISODES} episodes each")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    given = parser().parse_args(arguments)
    torch.set_num_threads(1)
    fallback = CalibratedPrices(measured_fits())
    limits = Limits(max_enodes=given.max_enodes, growth=given.growth, max_seconds=given.seconds)
    attempts: list[Attempt] = []
    try:
        with Device(given.database, threads=given.threads) as device:
            for name in given.models:
                tasks = [exported_task(name, given.size, device, Regime.ALL)]
                searches = untrained(fallback, given.searches.split(","))
                attempts += compare(tasks, searches, limits, num_seeds=given.seeds, tell=_tell)
                methods = trained(fallback, given.updates)
                attempts += compare(tasks, methods, limits, num_seeds=given.trainings, tell=_tell)
                comparison = Comparison(limits=limits, attempts=attempts, best_us={})
                write([comparison], notes_of(attempts, given, device.name), json_file=given.json)
    except (EqsatError, UnknownModelError, UnsupportedVariantError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    say(f"\n{gain_table(attempts)}\n")
    say(table(standings(attempts, reference=REFERENCE, best_us={})))
    return 0


def notes_of(attempts: Sequence[Attempt], given: argparse.Namespace, device: str) -> dict[str, object]:
    """Return what the document says besides the attempts."""
    return {
        "tasks": list(dict.fromkeys(each.task for each in attempts)),
        "size": given.size,
        "updates": given.updates,
        "device": device,
        "commit": git("rev-parse", "HEAD"),
    }


def _tell(attempt: Attempt) -> None:
    say(line(attempt))


if __name__ == "__main__":
    sys.exit(main())
