"""Latent rollouts against real ones, and the seconds that a step of each takes.

``python -m rl.world.evaluate --world FOLDER`` plays held-out tasks by the world model's policy, mixed with chance and
without stopping, and says for each horizon how well the world model foresees what came.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import numpy as np
import torch

from eqsat.errors import UsageError
from eqsat.rules.book import load_rules
from eqsat.text.shown import one_line, plain
from ir.atomic_file import write_text
from rl.agent.policy import Policy
from rl.env.environment import EGraphEnv, Settings
from rl.env.observation import NUM_RULE_BUCKETS, bucket
from rl.families import Split, make_tasks
from rl.world.assessment import HORIZONS, Foresight, Story, assess, stories
from rl.world.checkpoint import load
from rl.world.collect import explorer
from rl.world.fit import encode_all
from rl.world.imagination import Terms, imagine
from rl.world.latent import joined
from rl.world.page import write_page
from rl.world.replay import Choose, Trajectory, play

if TYPE_CHECKING:
    from rl.env.observation import Observation
    from rl.env.tasks import Task
    from rl.world.model import WorldModel

_GAMMA: Final = 0.99
_NUM_STORIES: Final = 12


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What a step takes.

    Attributes:
        real_s: Seconds of a step of the environment, without choosing.
        imagined_s: Seconds of an imagined step, choosing included, in a batch.
        num_states: Episodes of the batch.
    """

    real_s: float
    imagined_s: float
    num_states: int

    @property
    def ratio(self) -> float:
        """How many imagined steps a real one takes the time of."""
        return self.real_s / self.imagined_s


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an evaluation found.

    Attributes:
        foresights: Horizon by horizon.
        speed: Seconds of a step.
        num_episodes: Real episodes.
        num_steps: Real steps.
        stories: Some of the episodes beside what was foreseen of them.
    """

    foresights: Sequence[Foresight]
    speed: Speed
    num_episodes: int
    num_steps: int
    stories: Sequence[Story]

    def table(self) -> str:
        """Return the report as text."""
        head = (
            "horizon  pieces  reward rho  (unchanged)  change area  return rho  mask F1  (unchanged)  calibration"
            "  uncertainty rho"
        )
        rows = [
            f"{each.horizon:7d}  {each.num_pieces:6d}  {each.reward_correlation:10.3f}"
            f"  {each.constant_correlation:11.3f}  {each.change_area:11.3f}  {each.return_correlation:10.3f}"
            f"  {each.mask_f1:7.3f}  {each.unchanged_f1:11.3f}  {each.calibration:11.3f}"
            f"  {each.uncertainty_correlation:15.3f}"
            for each in self.foresights
        ]
        speed = self.speed
        told = (
            f"real step {1e3 * speed.real_s:.2f} ms, imagined step {1e3 * speed.imagined_s:.4f} ms "
            f"(batch of {speed.num_states}): {speed.ratio:.0f} times as fast"
        )
        return "\n".join([head, *rows, told])

    def described(self, rules: Mapping[int, str]) -> dict[str, object]:
        """Return the report for JSON.

        Args:
            rules: Name of each rule by its bucket; a rule without one keeps its number.
        """
        described = [asdict(each) for each in self.foresights]
        for each in described:
            each["tallies"] = {rules.get(rule, str(rule)): tally for rule, tally in each["tallies"].items()}
        return {
            "foresights": described,
            "speed": {**asdict(self.speed), "ratio": self.speed.ratio},
            "num_episodes": self.num_episodes,
            "num_steps": self.num_steps,
            "stories": [asdict(each) for each in self.stories],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How a world model is evaluated.

    Attributes:
        max_steps: Steps of a real episode.
        max_enodes: Size of the e-graph at which one ends.
        num_episodes: Episodes of each task.
        random_share: Chance that a step takes any candidate.
        num_states: Imagined episodes at once, for the speed.
        seed: Seed of every draw.
    """

    max_steps: int = 24
    max_enodes: int = 4_000
    num_episodes: int = 2
    random_share: float = 0.3
    num_states: int = 256
    seed: int = 0


def evaluate(
    model: WorldModel, tasks: Sequence[Task], how: Evaluation, clock: Callable[[], float] = time.perf_counter
) -> Report:
    """Play tasks, and return how well a world model foresees what comes.

    Args:
        model: The world model.
        tasks: None that it was trained on.
        how: Settings.
        clock: Seconds on a clock that only goes forward.

    Raises:
        UsageError: There is nothing to foresee.
    """
    trajectories, real_s = explored(Policy(model.network), tasks, how, clock)
    num_steps = sum(each.num_steps for each in trajectories)
    moved = [each for each in trajectories if each.num_moves]
    if not moved:
        raise UsageError("no task has a candidate: there is nothing to foresee")
    return Report(
        foresights=assess(model, moved, gamma=_GAMMA, rng=np.random.default_rng(how.seed), horizons=HORIZONS),
        speed=Speed(
            real_s=real_s / max(num_steps, 1),
            imagined_s=imagined_seconds(model, moved, how, clock),
            num_states=how.num_states,
        ),
        num_episodes=len(trajectories),
        num_steps=num_steps,
        stories=stories(model, moved[:_NUM_STORIES]),
    )


def explored(
    policy: Policy, tasks: Sequence[Task], how: Evaluation, clock: Callable[[], float] = time.perf_counter
) -> tuple[list[Trajectory], float]:
    """Play tasks by a policy mixed with chance, without stopping; return the episodes and the seconds of reality.

    Args:
        policy: Chooses; the time that it takes does not count.
        tasks: What is played.
        how: Settings.
        clock: Seconds on a clock that only goes forward.
    """
    env = EGraphEnv(list(tasks), Settings(max_steps=how.max_steps, max_enodes=how.max_enodes))
    trajectories, real_s = list[Trajectory](), 0.0
    for task in tasks:
        for number in range(how.num_episodes):
            seed = how.seed * 1_000 + number
            choose = _Timed(explorer(policy, seed, random_share=how.random_share, may_stop=False), clock)
            began = clock()
            trajectories.append(play(env, choose, task.name, seed))
            real_s += clock() - began - choose.seconds
    return trajectories, real_s


def imagined_seconds(
    model: WorldModel, trajectories: Sequence[Trajectory], how: Evaluation, clock: Callable[[], float]
) -> float:
    """Return the seconds of an imagined step, from states of real episodes on.

    Args:
        model: The world model.
        trajectories: Real episodes.
        how: Settings.
        clock: Seconds on a clock that only goes forward.
    """
    encoded = encode_all(model.network, trajectories)
    every = joined([state for states in encoded.states for state in states[:-1]])
    generator = torch.Generator().manual_seed(how.seed)
    drawn = torch.randint(every.num_states, (how.num_states,), generator=generator).to(model.device)
    start, terms = every.select(drawn), Terms(horizon=10, gamma=_GAMMA, max_enodes=how.max_enodes)
    imagine(model, start, terms, generator).total("rewards").tolist()
    began = clock()
    imagined = imagine(model, start, terms, generator)
    imagined.total("rewards").tolist()
    return (clock() - began) / max(imagined.num_steps, 1)


@final
class _Timed:
    """Chooses as another does, and counts the seconds."""

    def __init__(self, choose: Choose, clock: Callable[[], float]) -> None:
        self.seconds = 0.0
        self._choose = choose
        self._clock = clock

    def __call__(self, observation: Observation) -> int:
        began = self._clock()
        action = self._choose(observation)
        self.seconds += self._clock() - began
        return action


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    default = Evaluation()
    parser = argparse.ArgumentParser(prog="python -m rl.world.evaluate", description="Imagined against real episodes.")
    parser.add_argument("--world", type=Path, required=True, help="folder of the world model")
    parser.add_argument("--output", type=Path, help="JSON file of the report, rule by rule")
    parser.add_argument("--page", type=Path, help="HTML page that shows it")
    parser.add_argument("--split", type=Split, default=Split.HELD_OUT, choices=list(Split), help="kinds of tasks")
    parser.add_argument("--tasks", type=int, default=12, help="how many")
    parser.add_argument("--episodes", type=int, default=default.num_episodes, help="of each task")
    parser.add_argument("--steps", type=int, default=default.max_steps, help="of an episode")
    parser.add_argument("--seed", type=int, default=default.seed, help="of every draw")
    options = parser.parse_args(arguments)
    try:
        model, _ = load(options.world)
        how = Evaluation(max_steps=options.steps, num_episodes=options.episodes, seed=options.seed)
        report = evaluate(model, make_tasks(range(options.tasks), split=options.split), how)
    except UsageError as error:
        sys.stderr.write(f"error: {one_line(str(error))}\n")
        return 2
    sys.stdout.write(plain(report.table()) + "\n")
    names = {bucket(rule.name, NUM_RULE_BUCKETS): rule.name for rule in load_rules().rules}
    if options.page:
        write_page(report.foresights, report.stories, names, options.page)
    if options.output:
        write_text(options.output, json.dumps(report.described(names), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
