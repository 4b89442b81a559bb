"""Trajectories for tests: made of random numbers, or played in a tiny environment."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import torch

from rl.agent.network import Network, NetworkConfig
from rl.agent.packing import pack
from rl.env.environment import EGraphEnv, Settings
from rl.env.observation import FIRST_CANDIDATE, STOP, Observation
from rl.world.config import ModelConfig
from rl.world.identity import NEW
from rl.world.model import WorldModel
from rl.world.replay import Choose, Trajectory, play
from rl.world.stochastic import Openness
from tests.rl import worlds
from tests.rl.observations import observation

TINY = NetworkConfig(hidden=8, embedding=4, num_rounds=1)


def model(openness: Openness = Openness.MIXTURE, seed: int = 0, num_members: int = 3) -> WorldModel:
    """A small world model with random weights, some of which would else be zero."""
    torch.manual_seed(seed)
    config = ModelConfig(
        num_members=num_members,
        hidden=16,
        candidate_hidden=8,
        embedding=4,
        num_rules=64,
        openness=openness,
        num_components=3,
        num_groups=2,
        num_classes=3,
    )
    made = WorldModel(Network(TINY), config)
    for parameter in made.members.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return made


def drawn(seed: int, num_steps: int = 4, *, is_terminated: bool = True) -> Trajectory:
    """A trajectory of random observations, each with a candidate at least; candidates continue others at random."""
    rng = np.random.default_rng(seed)
    seen: list[Observation] = []
    while len(seen) <= num_steps:
        each = observation(int(rng.integers(2**31)))
        if each.num_candidates:
            seen.append(each)
    if is_terminated:
        seen[-1] = seen[-2]
    actions = [FIRST_CANDIDATE + int(rng.integers(each.num_candidates)) for each in seen[:-1]]
    if is_terminated:
        actions[-1] = STOP
    links = [_links(one.num_candidates, two.num_candidates, rng) for one, two in itertools.pairwise(seen)]
    costs_us = 100.0 * np.exp(-np.cumsum(rng.random(num_steps + 1) * 0.1))
    return Trajectory(
        task=f"drawn-{seed}",
        observations=tuple(pack(each) for each in seen),
        actions=np.array(actions),
        rewards=rng.normal(size=num_steps) * 0.01,
        predecessors=tuple(links),
        costs_us=costs_us,
        num_enodes=rng.integers(10, 100, num_steps + 1),
        is_terminated=is_terminated,
    )


def _links(num_before: int, num_after: int, rng: np.random.Generator) -> np.ndarray:
    order = rng.permutation(max(num_before, num_after))[:num_after]
    return np.where(order < num_before, order, NEW)


def at_random(seed: int) -> Choose:
    """Chooses any allowed action but STOP, which it takes where nothing else is left."""
    rng = np.random.default_rng(seed)

    def choose(observation: Observation) -> int:
        return int(rng.choice(worlds.allowed(observation)[1:] or [STOP]))

    return choose


def env(folder: Path, max_steps: int = 6) -> EGraphEnv:
    """An environment of two tiny tasks."""
    tasks = [worlds.chain_task(folder / "chain"), worlds.branch_task(folder / "branches")]
    return EGraphEnv(tasks, Settings(max_steps=max_steps))


def played(folder: Path, num_episodes: int = 4) -> list[Trajectory]:
    """Episodes of that environment, actions drawn."""
    made = env(folder)
    names = ("chain", "branches")
    return [play(made, at_random(seed), names[seed % 2], seed) for seed in range(num_episodes)]
