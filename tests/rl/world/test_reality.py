"""Episodes come out as ordered, and the same here and in processes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from rl.agent.checkpoint import Checkpoint
from rl.agent.statistics import FeatureStatistics
from rl.env.observation import STOP
from rl.training.apart import Apart
from rl.training.config import EpisodeConfig
from rl.training.tasks import TaskSplit
from rl.world.reality import Manner, Order, Played, RealityHere
from tests.rl import worlds
from tests.rl.world import trajectories

CONFIG = EpisodeConfig(max_steps=4)


def tasks(folder: Path) -> TaskSplit:
    """Importable, so that a process can make them."""
    return TaskSplit(
        training=[worlds.chain_task(folder / "chain")], validation=[worlds.branch_task(folder / "branches")]
    )


def orders() -> list[Order]:
    return [
        Order(task=task, seed=seed, manner=manner, random_share=0.5)
        for task in ("chain", "branches")
        for seed, manner in enumerate(Manner)
    ]


def policy() -> Checkpoint:
    return Checkpoint.of(trajectories.model().network, FeatureStatistics.nothing())


def test_episodes_come_out_as_ordered(tmp_path: Path) -> None:
    played = RealityHere(CONFIG, partial(tasks, tmp_path)).play(policy(), orders())
    assert [each.trajectory.task for each in played] == [each.task for each in orders()]
    for order, each in zip(orders(), played, strict=True):
        assert each.account.num_steps == each.trajectory.num_steps <= 4
        assert each.account.num_episodes == 1
        assert each.account.real_s >= 0
        if order.manner is Manner.AT_RANDOM:
            assert STOP not in each.trajectory.actions[:-1]
    assert played[0].account.num_prices > 0


@pytest.mark.slow
def test_processes_play_the_same(tmp_path: Path) -> None:
    here = RealityHere(CONFIG, partial(tasks, tmp_path)).play(policy(), orders())
    with Apart[Order, Played](partial(RealityHere, CONFIG, partial(tasks, tmp_path)), 2) as apart:
        there = apart.play(policy(), orders())
    for one, two in zip(here, there, strict=True):
        assert np.array_equal(one.trajectory.actions, two.trajectory.actions)
        assert np.array_equal(one.trajectory.rewards, two.trajectory.rewards)
        assert one.account.num_steps == two.account.num_steps
