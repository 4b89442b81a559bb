"""Training: play a little, learn the world, learn to act in it, and play again where the ensemble disagrees.

``python -m rl.world.train --config FILE.toml --output FOLDER``. The folder gets ``world/`` (as it is), ``best/`` (the
one whose policy validates best), both with a policy that needs no world model, and ``curves.jsonl``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import numpy as np
import torch

from eqsat.errors import UsageError
from eqsat.text.shown import one_line, plain
from ir.atomic_file import write_text
from rl.agent import checkpoint as policies
from rl.agent.checkpoint import Checkpoint
from rl.agent.network import Network
from rl.agent.packing import unpack
from rl.agent.statistics import FeatureStatistics
from rl.training.apart import Apart
from rl.training.tasks import TaskSource, source_of
from rl.world.accounts import Account
from rl.world.checkpoint import DESCRIPTION, load, save
from rl.world.collect import choose_tasks, novelties
from rl.world.config import WorldConfig, read_config
from rl.world.fit import Encoded, Fitter
from rl.world.improve import Improvement, Improver
from rl.world.latent import joined
from rl.world.model import WorldModel
from rl.world.reality import Manner, Order, Reality, RealityHere
from rl.world.replay import Replay, Trajectory

if TYPE_CHECKING:
    from rl.training.tasks import TaskSplit

WORLD: Final = "world"
BEST: Final = "best"
CURVES: Final = "curves.jsonl"
SHIPPED: Final = "shipped"
"""Stands for the policy that comes with the package."""


class WorldCurve(StrEnum):
    """The names of all curves; those of the parts of the loss are ``loss/`` and their name."""

    SECONDS = "time/seconds"
    REAL_STEPS = "real/steps"
    REAL_PRICES = "real/prices"
    REAL_GAIN = "real/gain"
    REAL_LENGTH = "real/length"
    IMAGINED_STEPS = "imagined/steps"
    IMAGINED_GAIN = "imagined/gain"
    IMAGINED_LENGTH = "imagined/length"
    IMAGINED_RETURN = "imagined/return"
    UNCERTAINTY = "imagined/uncertainty"
    NOVELTY = "imagined/novelty"
    ENTROPY = "policy/entropy"
    KL = "policy/kl"
    VALIDATION_GAIN = "validation/gain"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a training came to.

    Attributes:
        num_rounds: Rounds.
        account: What reality was asked for; validation apart.
        best_gain: Mean gain of the best validation.
        folder: Where the best world model is.
    """

    num_rounds: int
    account: Account
    best_gain: float
    folder: Path


def train(
    config: WorldConfig,
    source: TaskSource,
    output: Path,
    *,
    clock: Callable[[], float] = time.monotonic,
    tell: Callable[[str], None] = lambda _: None,
    on_validation: Callable[[int, float], None] = lambda _steps, _gain: None,
) -> Summary:
    """Train a world model and a policy in it.

    Args:
        config: How.
        source: Makes the tasks.
        output: Folder of the results.
        clock: Seconds on a clock that only goes forward.
        tell: Is told how it goes.
        on_validation: Is told of each validation: the real steps of training so far, and the mean gain.

    Raises:
        UsageError: The policy to begin with cannot be read, or a task cannot be made.
    """
    with ExitStack() as stack:
        reality = _reality(config, source, clock, stack)
        training = _Training(config, source(), reality, output, clock, tell, on_validation)
        number = 0
        while number < config.num_rounds and training.seconds() < config.time_limit_s:
            training.round(number)
            number += 1
        training.validate(number)
    return Summary(num_rounds=number, account=training.account, best_gain=training.best_gain, folder=output / BEST)


def _reality(config: WorldConfig, source: TaskSource, clock: Callable[[], float], stack: ExitStack) -> Reality:
    if not config.num_workers:
        return RealityHere(config.episodes, source, clock)
    return stack.enter_context(Apart(partial(RealityHere, config.episodes, source), config.num_workers))


@final
class _Training:
    """The loop, a round at a time."""

    def __init__(
        self,
        config: WorldConfig,
        split: TaskSplit,
        reality: Reality,
        output: Path,
        clock: Callable[[], float],
        tell: Callable[[str], None],
        on_validation: Callable[[int, float], None],
    ) -> None:
        self.account = Account()
        self.best_gain = -np.inf
        self._config = config
        self._output = output
        self._clock = clock
        self._tell = tell
        self._on_validation = on_validation
        self._began = clock()
        torch.manual_seed(config.seed)
        self._training_names = [task.name for task in split.training]
        self._validation_names = [task.name for task in split.validation]
        self._reality = reality
        self._replay = Replay(config.max_replay_steps)
        self._statistics = FeatureStatistics.nothing()
        self._model = self._begin()
        self._fitter = Fitter(self._model, config.fit)
        self._improver = Improver(self._model, config.imagine)
        self._novelty: dict[str, float] = {}
        output.mkdir(parents=True, exist_ok=True)
        write_text(output / CURVES, "")

    def seconds(self) -> float:
        return self._clock() - self._began

    def round(self, number: int) -> None:
        """Play, learn the world, learn to act in it."""
        config = self._config
        if number % config.validate_every == 0 and (number or config.start):
            self.validate(number)
        rng = np.random.default_rng([config.seed, number])
        trajectories = self._collect(rng)
        self._replay.add(trajectories)
        began = self._clock()
        encoded, losses = self._fitter.fit(self._learnable(), rng)
        fitted = self._clock()
        told = self._imagine(encoded, rng)
        self.account = self.account.plus(
            Account(
                fit_s=fitted - began,
                imagined_s=self._clock() - fitted,
                num_imagined_steps=sum(each.num_steps for each in told),
            )
        )
        self._write(number, _curves(trajectories, told, self.account, self.seconds()), losses)
        save(self._model, self._statistics, self._output / WORLD, self._notes(number))

    def validate(self, number: int) -> None:
        """Keep the world model where its policy is the best so far."""
        orders = [Order(task=name, seed=0, manner=Manner.GREEDY) for name in self._validation_names]
        gains = [each.trajectory.gain for each in self._reality.play(self._policy(), orders)]
        gain = float(np.mean(gains))
        self._write(number, {WorldCurve.VALIDATION_GAIN: gain}, {})
        self._on_validation(self.account.num_steps, gain)
        if gain > self.best_gain:
            self.best_gain = gain
            save(self._model, self._statistics, self._output / BEST, self._notes(number))

    def _begin(self) -> WorldModel:
        """Return the world model to begin with; a new policy first looks at a few episodes for its statistics."""
        config = self._config
        device = torch.device(
            ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device
        )
        start = policies.SHIPPED if config.start == SHIPPED else Path(config.start)
        if config.start and (start / DESCRIPTION).exists():
            model, self._statistics = load(start, device)
            return model
        if config.start:
            checkpoint = policies.load(start)
            self._statistics = checkpoint.statistics
            return WorldModel(checkpoint.build(), config.model).to(device)
        network = Network(config.network)
        rng = np.random.default_rng([config.seed, _LOOK])
        names = rng.permutation(self._training_names)[: config.tasks_per_round].tolist()
        orders = [Order(task=name, seed=seed, manner=Manner.AT_RANDOM) for seed, name in enumerate(names)]
        trajectories = self._play(Checkpoint.of(network, self._statistics), orders)
        self._replay.add(trajectories)
        seen = [unpack(packed) for each in trajectories for packed in each.observations]
        self._statistics = FeatureStatistics.nothing().with_observations(seen)
        network.normalise_by(self._statistics)
        return WorldModel(network, config.model).to(device)

    def _collect(self, rng: np.random.Generator) -> list[Trajectory]:
        config = self._config
        names = choose_tasks(self._training_names, self._novelty, config.tasks_per_round, config.novel_share, rng)
        orders = [
            Order(
                task=name,
                seed=int(rng.integers(2**31)),
                manner=Manner.EXPLORING,
                random_share=config.random_share,
            )
            for name in names
            for _ in range(config.episodes_per_task)
        ]
        return self._play(self._policy(), orders)

    def _play(self, policy: Checkpoint, orders: Sequence[Order]) -> list[Trajectory]:
        """Play, and keep account."""
        played = self._reality.play(policy, orders)
        for each in played:
            self.account = self.account.plus(each.account)
        return [each.trajectory for each in played]

    def _policy(self) -> Checkpoint:
        return Checkpoint.of(self._model.network, self._statistics)

    def _learnable(self) -> list[Trajectory]:
        """Return the trajectories that went somewhere, or all where none did."""
        return [each for each in self._replay.trajectories if each.num_moves] or self._replay.trajectories

    def _imagine(self, encoded: Encoded, rng: np.random.Generator) -> list[Improvement]:
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        starts = joined([state for states in encoded.states for state in states])
        told = [self._improver.improve(starts, generator) for _ in range(self._config.imagine.num_updates)]
        self._novelty = novelties(self._model, encoded, self._config.imagine.horizon, generator)
        return told

    def _notes(self, number: int) -> dict[str, object]:
        return {"config": asdict(self._config), "round": number, "account": asdict(self.account)}

    def _write(self, number: int, curves: dict[WorldCurve, float], losses: dict[str, float]) -> None:
        point = {"round": number, **{str(name): value for name, value in curves.items()}}
        point |= {f"loss/{name}": value for name, value in losses.items()}
        with (self._output / CURVES).open("a", encoding="utf-8") as file:
            file.write(json.dumps(point) + "\n")
        self._tell(", ".join(f"{name} {value:.4g}" for name, value in point.items()))


_LOOK: Final = 2**31
"""Stands for the round that only looks."""


def _curves(
    trajectories: Sequence[Trajectory], told: Sequence[Improvement], account: Account, seconds: float
) -> dict[WorldCurve, float]:
    def mean(name: str) -> float:
        return float(np.mean([getattr(each, name) for each in told])) if told else 0.0

    return {
        WorldCurve.SECONDS: seconds,
        WorldCurve.REAL_STEPS: account.num_steps,
        WorldCurve.REAL_PRICES: account.num_prices,
        WorldCurve.REAL_GAIN: float(np.mean([each.gain for each in trajectories])),
        WorldCurve.REAL_LENGTH: float(np.mean([each.num_steps for each in trajectories])),
        WorldCurve.IMAGINED_STEPS: account.num_imagined_steps,
        WorldCurve.IMAGINED_GAIN: mean("gain"),
        WorldCurve.IMAGINED_LENGTH: mean("length"),
        WorldCurve.IMAGINED_RETURN: mean("mean_return"),
        WorldCurve.UNCERTAINTY: mean("uncertainty"),
        WorldCurve.NOVELTY: mean("novelty"),
        WorldCurve.ENTROPY: mean("entropy"),
        WorldCurve.KL: mean("kl"),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m rl.world.train", description="Train a world model and a policy.")
    parser.add_argument("--config", type=Path, help="settings in TOML; the defaults where it is left out")
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")
    options = parser.parse_args(arguments)
    try:
        config = read_config(options.config) if options.config else WorldConfig()
        summary = train(config, source_of(config.tasks), options.output, tell=_say)
    except UsageError as error:
        sys.stderr.write(f"error: {one_line(str(error))}\n")
        return 2
    _say(json.dumps({**asdict(summary.account), "rounds": summary.num_rounds, "best_gain": summary.best_gain}))
    return 0


def _say(line: str) -> None:
    sys.stdout.write(plain(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
