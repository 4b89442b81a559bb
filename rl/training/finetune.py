"""A policy that gets to know one model: it plays on it, learns from that, and the best policy on the way is kept."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, final

from rl.agent.checkpoint import load
from rl.training.config import EpisodeConfig, PpoConfig, TrainConfig
from rl.training.loop import train
from rl.training.tasks import TaskSplit

if TYPE_CHECKING:
    from eqsat.search.interface import SearchBudget
    from rl.agent.checkpoint import Checkpoint
    from rl.env.tasks import Task


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FineTune:
    """Trains a policy further, on one task.

    Attributes:
        ppo: How it learns: with smaller steps than at first.
        max_steps: Actions of an episode.
        episodes_per_update: Episodes from one update to the next.
        max_updates: Updates, at most.
        patience: Updates in a row that bring no better policy, after which it ends: time is then left for the rest.
        clock: Seconds on a clock that only goes forward.
    """

    ppo: PpoConfig = field(default_factory=lambda: PpoConfig(learning_rate=3e-4, entropy_start=0.003, num_epochs=2))
    max_steps: int = 40
    episodes_per_update: int = 4
    max_updates: int = 200
    patience: int = 25
    clock: Callable[[], float] = time.monotonic

    def __call__(
        self, checkpoint: Checkpoint, task: Task, budget: SearchBudget, tell: Callable[[str], None]
    ) -> Checkpoint:
        """Return the best policy found for a task within ``budget.training_s`` seconds.

        Args:
            checkpoint: The policy to begin with; it is returned where none is better.
            task: The model.
            budget: Limits.
            tell: Is told how it goes.
        """
        config = TrainConfig(
            time_limit_s=budget.training_s,
            num_updates=self.max_updates,
            patience=self.patience,
            num_workers=0,
            tasks_per_update=1,
            episodes_per_task=self.episodes_per_update,
            validate_every=1,
            device="cpu",
            network=checkpoint.network,
            ppo=self.ppo,
            episodes=EpisodeConfig(max_steps=self.max_steps, max_enodes=budget.max_enodes),
        )
        split = TaskSplit(training=[task], validation=[task])
        with tempfile.TemporaryDirectory(prefix="eqsat-finetune-") as folder:
            summary = train(config, lambda: split, Path(folder), start=checkpoint, clock=self.clock, tell=tell)
            found = load(summary.folder)
        return replace(found, notes=checkpoint.notes)
