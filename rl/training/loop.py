"""Training: play, learn, validate, again and again; ``python -m rl.train --config FILE.toml --output FOLDER``.

A training leaves in its folder ``policy/`` (the policy as it is), ``best/`` (the one with the best validation), what is
needed to go on after an interruption, and ``curves.jsonl``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, final

import numpy as np
import torch

from rl.agent.checkpoint import Checkpoint, load, save
from rl.agent.network import Network
from rl.agent.packing import unpack
from rl.agent.statistics import FeatureStatistics
from rl.training.apart import Apart
from rl.training.curves import Curve, CurveLog
from rl.training.ppo import Learner, Progress, steps_of
from rl.training.rollout import Episode, Order, Players, PlayersHere
from rl.training.state import TrainingState, load_state, save_state
from rl.training.tasks import TaskSource, make_env

if TYPE_CHECKING:
    from pathlib import Path

    from rl.env.environment import EGraphEnv
    from rl.training.config import TrainConfig

POLICY: Final = "policy"
BEST: Final = "best"

_NOTHING: Final = TrainingState(update=0, seconds=0.0, num_steps=0, best_gain=-np.inf, first_gains={}, best_gains={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a training came to.

    Attributes:
        state: Where it stands.
        folder: Where its policy is.
    """

    state: TrainingState
    folder: Path

    def table(self) -> str:
        """Return the gains by validation task, before and after, as text."""
        first, best = self.state.first_gains, self.state.best_gains
        width = max((len(name) for name in best), default=4)
        rows = [f"{'task':<{width}}  at first  trained"]
        rows += [f"{name:<{width}}  {first.get(name, 0.0):8.1%}  {gain:7.1%}" for name, gain in best.items()]
        rows.append(f"{'mean':<{width}}  {_mean(first):8.1%}  {_mean(best):7.1%}")
        return "\n".join(rows)


def train(
    config: TrainConfig,
    source: TaskSource,
    output: Path,
    *,
    start: Checkpoint | None = None,
    is_resumed: bool = False,
    clock: Callable[[], float] = time.monotonic,
    tell: Callable[[str], None] = lambda _: None,
    on_validation: Callable[[int, float], None] = lambda _steps, _gain: None,
) -> Summary:
    """Train a policy.

    Args:
        config: How.
        source: Makes the tasks, here and in every process that plays.
        output: Folder of the results.
        start: The policy to begin with; a new one where it is left out.
        is_resumed: Go on with the training that ``output`` holds, whatever ``start`` is.
        clock: Seconds on a clock that only goes forward.
        tell: Is told how it goes.
        on_validation: Is told of each validation: the steps that were learnt from so far, and the mean gain.

    Raises:
        UsageError: There is nothing to go on with, or a task cannot be made.
    """
    with ExitStack() as stack:
        training = _Training(config, source, stack, output, clock, tell, on_validation)
        if is_resumed:
            training.resume()
        else:
            training.begin(start)
        log = stack.enter_context(CurveLog(output, first_update=training.state.update))
        while not training.is_over:
            log.write(training.state.update, training.step())
            training.save()
        training.finish()
    return Summary(state=training.state, folder=output / BEST)


@final
class _Training:
    """The loop, an update at a time."""

    def __init__(
        self,
        config: TrainConfig,
        source: TaskSource,
        stack: ExitStack,
        output: Path,
        clock: Callable[[], float],
        tell: Callable[[str], None],
        on_validation: Callable[[int, float], None],
    ) -> None:
        self.state = _NOTHING
        self._config = config
        self._tasks = source()
        self._players = _players(config, source, stack, self._is_late)
        self._output = output
        self._clock = clock
        self._tell = tell
        self._on_validation = on_validation
        self._began = clock()
        self._is_new = True
        self._num_flat = 0
        torch.manual_seed(config.seed)
        self._statistics = FeatureStatistics.nothing()
        self._learner = self._learner_of(Network(config.network))

    @property
    def is_over(self) -> bool:
        is_flat = 0 < self._config.patience <= self._num_flat
        return self.state.update >= self._config.num_updates or is_flat or self._is_late()

    def begin(self, start: Checkpoint | None) -> None:
        """Take the policy to begin with, or look at a few episodes for the feature statistics of a new one."""
        if start is not None:
            self._is_new = False
            self._statistics = start.statistics
            self._learner = self._learner_of(start.build())
            return
        few = self._orders(_STATISTICS)[:: self._config.episodes_per_task]
        episodes = self._players.play(self._checkpoint(), few)
        seen = [unpack(packed) for episode in episodes for packed in episode.observations]
        self._statistics = FeatureStatistics.nothing().with_observations(seen)
        self._learner.network.normalise_by(self._statistics)

    def resume(self) -> None:
        """Take everything from where the training left it."""
        checkpoint = load(self._output / POLICY)
        self._statistics = checkpoint.statistics
        self._learner = self._learner_of(checkpoint.build())
        self.state = load_state(self._output, self._learner.optimizer)
        self._began -= self.state.seconds

    def step(self) -> dict[Curve, float]:
        """Play, learn, and validate where it is time to; return what the curves show."""
        config, update = self._config, self.state.update
        curves: dict[Curve, float] = {}
        if update % config.validate_every == 0:
            curves[Curve.VALIDATION_GAIN] = self._validate()
        began = self._clock()
        episodes = self._players.play(self._checkpoint(), self._orders(update))
        steps = steps_of(episodes, config.episodes.gamma, config.ppo.lambda_)
        played_s = self._clock() - began
        rng = np.random.default_rng([config.seed, update])
        progress = max(update / config.num_updates, self._seconds() / config.time_limit_s)
        learnt = self._learner.update(steps, progress, rng, self._is_late)
        num_steps = self.state.num_steps + len(steps.actions)
        self.state = replace(self.state, update=update + 1, seconds=self._seconds(), num_steps=num_steps)
        curves |= _curves(episodes, learnt)
        curves[Curve.SECONDS] = self.state.seconds
        curves[Curve.STEPS] = num_steps
        curves[Curve.STEPS_PER_S] = len(steps.actions) / max(played_s, math.ulp(1.0))
        self._tell(
            f"update {update + 1}, {self.state.seconds:.0f} s, {num_steps} steps: gain {curves[Curve.GAIN]:.1%}, "
            f"return {curves[Curve.RETURN]:+.3f}, length {curves[Curve.LENGTH]:.1f}, "
            f"entropy {learnt.entropy:.2f}, kl {learnt.kl:.3f}"
        )
        return curves

    def finish(self) -> None:
        """Validate a last time."""
        self._validate()
        self.save()

    def save(self) -> None:
        """Write where the training stands."""
        save(self._checkpoint(), self._output / POLICY)
        save_state(self._output, self.state, self._learner.optimizer)

    def _orders(self, update: int) -> list[Order]:
        """Return the episodes of an update: it alone decides which."""
        config = self._config
        rng = np.random.default_rng([config.seed, 1, update])
        names = [task.name for task in self._tasks.training]
        num_tasks = min(config.tasks_per_update, len(names))
        drawn = rng.choice(len(names), num_tasks, replace=False)
        seeds = rng.integers(2**31, size=(num_tasks, config.episodes_per_task))
        return [Order(task=names[task], seed=int(seed)) for task, row in zip(drawn, seeds, strict=True) for seed in row]

    def _validate(self) -> float:
        """Keep the policy where it is the best so far; return its mean gain."""
        names = [task.name for task in self._tasks.validation]
        checkpoint = self._checkpoint()
        orders = [Order(task=name, seed=seed, is_greedy=True) for seed, name in enumerate(names)]
        gains = _gains(self._players.play(checkpoint, orders))
        if not self.state.first_gains:
            self.state = replace(self.state, first_gains=self._drawn_gains(names) if self._is_new else gains)
        self.state = replace(self.state, last_gains=gains)
        gain = _mean(gains)
        self._tell(f"validation: gain {gain:.2%} (at first {_mean(self.state.first_gains):.2%})")
        self._on_validation(self.state.num_steps, gain)
        self._num_flat += 1
        if gain > self.state.best_gain:
            self._num_flat = 0
            self.state = replace(self.state, best_gain=gain, best_gains=gains)
            save(checkpoint, self._output / BEST)
        return gain

    def _drawn_gains(self, names: Sequence[str]) -> dict[str, float]:
        """Return the gains of actions drawn about evenly."""
        untrained = Checkpoint.of(Network(self._config.network), self._statistics)
        return _gains(self._players.play(untrained, [Order(task=name, seed=seed) for seed, name in enumerate(names)]))

    def _checkpoint(self) -> Checkpoint:
        notes = {"config": asdict(self._config), "update": self.state.update, "num_steps": self.state.num_steps}
        return Checkpoint.of(self._learner.network, self._statistics, notes)

    def _learner_of(self, network: Network) -> Learner:
        wanted = self._config.device
        name = ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted
        return Learner(network.to(torch.device(name)), self._config.ppo)

    def _seconds(self) -> float:
        return self._clock() - self._began

    def _is_late(self) -> bool:
        return self._seconds() >= self._config.time_limit_s


_STATISTICS: Final = 2**31
"""The number of the update that only looks."""


def _players(config: TrainConfig, source: TaskSource, stack: ExitStack, is_over: Callable[[], bool]) -> Players:
    make = partial(make_env, config.episodes, source)
    if not config.num_workers:
        return PlayersHere(make(), is_over)
    return stack.enter_context(Apart(partial(_player, make), config.num_workers))


def _player(make: Callable[[], EGraphEnv]) -> PlayersHere:
    return PlayersHere(make())


def _curves(episodes: Sequence[Episode], learnt: Progress) -> dict[Curve, float]:
    return {
        Curve.GAIN: float(np.mean([episode.gain for episode in episodes])),
        Curve.RETURN: float(np.mean([episode.rewards.sum() for episode in episodes])),
        Curve.LENGTH: float(np.mean([episode.num_steps for episode in episodes])),
        Curve.ENODES: float(np.mean([episode.num_enodes for episode in episodes])),
        Curve.STOP_SHARE: float(np.mean([episode.is_terminated for episode in episodes])),
        Curve.POLICY_LOSS: learnt.policy_loss,
        Curve.VALUE_LOSS: learnt.value_loss,
        Curve.EXPLAINED_VARIANCE: learnt.explained_variance,
        Curve.ENTROPY: learnt.entropy,
        Curve.KL: learnt.kl,
        Curve.CLIP_FRACTION: learnt.clip_fraction,
        Curve.GRAD_NORM: learnt.grad_norm,
        Curve.NUM_MINIBATCHES: learnt.num_minibatches,
    }


def _gains(episodes: Sequence[Episode]) -> dict[str, float]:
    """Return the mean gain of each task."""
    by_task: dict[str, list[float]] = {}
    for episode in episodes:
        by_task.setdefault(episode.order.task, []).append(episode.gain)
    return {task: float(np.mean(gains)) for task, gains in by_task.items()}


def _mean(gains: dict[str, float]) -> float:
    return float(np.mean(list(gains.values()))) if gains else 0.0
