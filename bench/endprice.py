"""What sums of prices miss, and whether it can be learnt: ``python -m bench.endprice [--models NAMES] [--json FILE]``.

The policy that ships plays on each model with room for a little more than the model, by chance, so that it ends with
many different graphs. Each graph is measured from end to end against its model. The end-to-end price of the world model
that ships then learns from all models but one what the prices miss, and foretells it for that one. The graphs of which
it was most wrong are measured again, in more pairs, and it learns and foretells once more. ``--fit FILE`` learns from
what such a run has written, and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from bench.documents import ONNX_RUNTIMES, write_results
from bench.learners import add_flags, exported_task
from bench.models import UnknownModelError, UnsupportedVariantError
from eqsat.errors import EqsatError
from rl.agent.checkpoint import shipped
from rl.agent.policy import Policy
from rl.comparison.command import say
from rl.env.device import Device
from rl.env.measured_gain import MeasuredGain
from rl.env.rewards import Ending
from rl.families.regimes import Regime
from rl.training.config import EpisodeConfig
from rl.training.rollout import Order, play
from rl.training.tasks import TaskSplit, make_env
from rl.world import planning
from rl.world.checkpoint import load
from rl.world.endprice import Ended, EndError, cross_validated, end_error, worst

if TYPE_CHECKING:
    from rl.env.tasks import Task
    from rl.world.model import WorldModel

MODELS: Final = (
    *("roberta-2l", "gpt2-2l", "phi-2l", "vit-2l"),
    *("t5-encoder-2l", "wav2vec2-2l", "qwen3-2l", "beit-2l"),
)
MIN_GROWTH: Final = 1.03
MAX_GROWTH: Final = 1.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What was foretold with the measurements so far.

    Attributes:
        name: Which measurements.
        prices: How wrong the prices alone are, by family; ``all`` for all together.
        learned: How wrong the learned price is, likewise.
    """

    name: str
    prices: dict[str, EndError]
    learned: dict[str, EndError]


def gathered(task: Task, model: WorldModel, clock: MeasuredGain, count: int, seed: int) -> list[tuple[Ended, Ending]]:
    """Return different graphs of a model that episodes ended with, measured.

    Args:
        task: The model, with prices measured on this machine; its name is its family.
        model: Encodes the states.
        clock: Measures.
        count: Graphs, at most; three times as many episodes are played.
        seed: Seed of every draw.
    """
    config = EpisodeConfig(min_growth=MIN_GROWTH, max_growth=MAX_GROWTH, max_kept_sessions=0, max_steps=30)
    env = make_env(config, lambda: TaskSplit(training=[task], validation=[task]))
    policy = Policy.of(shipped())
    found: list[tuple[Ended, Ending]] = []
    for episode in range(3 * count):
        played = play(env, policy, Order(task=task.name, seed=seed * 10_000 + episode))
        look, ending = env.look, env.ending
        before = clock.num_measured
        gain = clock(ending)
        if clock.num_measured == before:
            continue
        cost = np.log(look.selection.cost_us / played.initial_us)
        with torch.no_grad():
            state = model.encode([look.observation], np.array([cost]), np.array([played.num_enodes]))
            row = model.ends(state)[0].double().numpy()
        found.append((Ended(family=task.name, row=row, promised=-float(cost), gain=gain), ending))
        say(f"{task.name}: prices {1 - np.exp(cost):.1%}, clock {gain:.1%}")
        if len(found) == count:
            break
    return found


def foretold(name: str, ended: Sequence[Ended]) -> tuple[Round, np.ndarray]:
    """Return how wrong the prices are and how wrong the learned price is, and what it foretells."""
    promised = np.array([each.promised for each in ended])
    foreseen = cross_validated(ended)
    families = sorted({each.family for each in ended})
    places = {family: [place for place, each in enumerate(ended) if each.family == family] for family in families}
    places["all"] = list(range(len(ended)))

    def errors(told: np.ndarray) -> dict[str, EndError]:
        return {family: end_error([ended[place] for place in own], told[own]) for family, own in places.items()}

    return Round(name=name, prices=errors(promised), learned=errors(foreseen)), foreseen


def remeasured(
    found: Sequence[tuple[Ended, Ending]], places: Sequence[int], clock: MeasuredGain
) -> tuple[list[Ended], float]:
    """Return all graphs, those at some places measured once more, and the median change of these, nats."""
    ended = [each for each, _ in found]
    changes = []
    for place in places:
        before, ending = found[place]
        gain = clock(ending)
        ended[place] = before.again(gain)
        changes.append(abs(replace(before, gain=gain).measured - before.measured))
    return ended, statistics.median(changes) if changes else 0.0


def ended_of(path: Path) -> list[Ended]:
    """Return the graphs that a run of this command has written."""
    graphs = json.loads(path.read_text(encoding="utf-8"))["graphs"]
    return [Ended(**{**each, "row": np.array(each["row"])}) for each in graphs]


def table(rounds: Sequence[Round]) -> str:
    """Return rounds as text."""
    lines = [f"{'measured':<16} {'family':<14} {'prices: error':>13} {'order':>6} {'learned: error':>14} {'order':>6}"]
    for each in rounds:
        for family, alone in each.prices.items():
            told = each.learned[family]
            lines.append(
                f"{each.name:<16} {family:<14} {alone.mean:13.4f} {alone.correlation:6.2f} "
                f"{told.mean:14.4f} {told.correlation:6.2f}"
            )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.endprice", description=__doc__)
    add_flags(parser, MODELS)
    parser.add_argument("--graphs", type=int, default=10, help="different graphs of each model, at most")
    parser.add_argument("--pairs", type=int, default=4, help="pairs of sessions of a measurement")
    parser.add_argument("--again", type=int, default=12, help="graphs that are measured again, in twice the pairs")
    parser.add_argument("--fit", type=Path, metavar="FILE", help="results to learn from instead of measuring")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if given.fit is not None:
        say(table([foretold("all", ended_of(given.fit))[0]]))
        return 0
    model, _ = load(planning.SHIPPED)
    found: list[tuple[Ended, Ending]] = []
    try:
        with Device(given.database, threads=given.threads) as device:
            clock = MeasuredGain(num_pairs=given.pairs)
            for number, name in enumerate(given.models):
                task, _ = exported_task(name, given.size, device, Regime.DEFAULT)
                found += gathered(task, model, clock, given.graphs, number)
            ended = [each for each, _ in found]
            first, foreseen = foretold("once", ended)
            places = worst(ended, foreseen, given.again)
            again, change = remeasured(found, places, MeasuredGain(num_pairs=2 * given.pairs))
            second, _ = foretold("worst again", again)
    except (EqsatError, UnknownModelError, UnsupportedVariantError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    say(table([first, second]))
    say(f"measuring the {len(places)} worst again moved them by {change:.4f} nats (median)")
    graphs = [
        {
            "family": each.family,
            "promised": each.promised,
            "gain": each.gain,
            "num_measurements": each.num_measurements,
            "row": [round(number, 5) for number in each.row.tolist()],
        }
        for each in again
    ]
    notes = {"device": device.name, "pairs": given.pairs, "remeasured": len(places), "median_change": change}
    results = {"graphs": graphs, "rounds": [asdict(each) for each in (first, second)]}
    write_results(given.json, notes | results, "torch", *ONNX_RUNTIMES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
