"""Where to go in reality: to what the ensemble disagrees about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from rl.env.observation import FIRST_CANDIDATE, STOP, Observation
from rl.world.imagination import Terms, imagine
from rl.world.latent import LatentState, joined
from rl.world.replay import Choose

if TYPE_CHECKING:
    from rl.agent.policy import Policy
    from rl.world.fit import Encoded
    from rl.world.model import WorldModel


def explorer(policy: Policy, seed: int, *, random_share: float, may_stop: bool = True) -> Choose:
    """Return what draws from a policy, and now and then from all candidates alike.

    Args:
        policy: Decides.
        seed: Seed of every draw.
        random_share: Chance that a step takes any allowed candidate.
        may_stop: Whether it stops as long as a candidate is allowed.
    """
    rng = np.random.default_rng(seed)

    def choose(observation: Observation) -> int:
        candidates = FIRST_CANDIDATE + np.flatnonzero(observation.action_mask[FIRST_CANDIDATE:])
        if not len(candidates):
            return STOP
        if rng.random() < random_share:
            return int(rng.choice(candidates))
        probabilities = policy.probabilities(observation)
        if not may_stop:
            probabilities[STOP] = 0.0
        return int(rng.choice(len(probabilities), p=probabilities / probabilities.sum()))

    return choose


def novelties(
    model: WorldModel, encoded: Encoded, horizon: int, generator: torch.Generator, num_episodes: int = 4
) -> dict[str, float]:
    """Return how far the members are apart, for each task of trajectories: about what the policy would do.

    The sum over an imagined episode of the disagreement about the change of the summary (Sekar et al. 2020).

    Args:
        model: The world model.
        encoded: Trajectories; the first state of each is where imagination starts.
        horizon: Steps of an imagined episode.
        generator: The only source of chance, on the CPU.
        num_episodes: Imagined for each task.
    """
    starts: dict[str, LatentState] = {}
    for trajectory, states in zip(encoded.trajectories, encoded.states, strict=True):
        starts.setdefault(trajectory.task, states[0])
    places = torch.arange(len(starts)).repeat_interleave(num_episodes).to(model.device)
    state = joined(list(starts.values())).select(places)
    terms = Terms(horizon=horizon, gamma=1.0, penalty=_ASK_ALL)
    totals = imagine(model, state, terms, generator).total("novelties").reshape(-1, num_episodes).mean(dim=1)
    return dict(zip(starts, totals.tolist(), strict=True))


_ASK_ALL: Final = 1e-9
"""A penalty that changes nothing, but has every member asked."""


def choose_tasks(
    names: Sequence[str], novelty: Mapping[str, float], num_tasks: int, novel_share: float, rng: np.random.Generator
) -> list[str]:
    """Return tasks to play: some drawn evenly, the others where there is most to be learnt.

    Args:
        names: All tasks.
        novelty: Of the tasks that were played; one that never was counts as the most novel of all.
        num_tasks: How many, at most all of them.
        novel_share: Share that is chosen for novelty.
        rng: Draws, and breaks ties.
    """
    num_novel = round(novel_share * min(num_tasks, len(names))) if novelty else 0
    order = rng.permutation(len(names)).tolist()
    by_novelty = sorted(order, key=lambda place: -novelty.get(names[place], np.inf))
    chosen = by_novelty[:num_novel]
    others = [place for place in order if place not in set(chosen)]
    return [names[place] for place in [*chosen, *others[: num_tasks - num_novel]]]
