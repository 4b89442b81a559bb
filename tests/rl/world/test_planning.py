"""The search that looks ahead: it follows what the world model says, keeps to the budget, and keeps account."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from eqsat.errors import UsageError
from eqsat.search.interface import Arena, SearchBudget, StopReason
from rl.agent.policy import Policy
from rl.agent.statistics import FeatureStatistics
from rl.world.checkpoint import save
from rl.world.model import WorldModel
from rl.world.planning import Foresighted, PlanConfig, best_options, plan, standardised, world_model
from tests.pipeline import models
from tests.rl import worlds
from tests.rl.world import trajectories
from tests.rl.world.test_latent import state

QUICK = PlanConfig(width=3, horizon=2, num_episodes=2)
FAR_SIGHTED = replace(QUICK, foresight=100.0)


def world(drop: float) -> WorldModel:
    """A world in which every candidate makes the price fall by the same factor, and nothing else is worth anything."""
    model = trajectories.model(num_members=2)
    with torch.no_grad():
        for member in (model.member(number) for number in range(2)):
            for head in (member.drop, member.final):
                head[-1].get_parameter("weight").zero_()
            member.drop[-1].get_parameter("bias").copy_(-1e4 * (member.get_buffer("bins") - drop).abs())
            member.final[-1].get_parameter("bias").copy_(-1e4 * member.get_buffer("bins").abs())
        for name in ("weight", "bias"):
            model.network.value[-1].get_parameter(name).zero_()
    return model


def test_it_applies_what_promises_a_gain(tmp_path: Path) -> None:
    arena, told = worlds.arena_of(worlds.branch_task(tmp_path))
    outcome = Foresighted(model=world(0.5), config=QUICK).run(arena, SearchBudget())
    assert outcome.stop_reason is StopReason.SATURATED
    assert outcome.num_steps == len(told) > 1
    assert outcome.num_applied == sum(arena.session.applied.values())
    assert f"world model: {outcome.num_steps} real steps" in outcome.plan
    assert "foreseen -39." in told[0], "exp(-1/2) - 1, to the width of a bin"


def test_it_stops_where_nothing_promises_a_gain(tmp_path: Path) -> None:
    arena, told = worlds.arena_of(worlds.branch_task(tmp_path))
    outcome = Foresighted(model=world(-0.5), config=FAR_SIGHTED).run(arena, SearchBudget())
    assert (outcome.stop_reason, outcome.num_steps, told) == (StopReason.NO_GAIN, 0, [])


@pytest.mark.parametrize(
    ("budget", "times", "reason"),
    [
        (SearchBudget(max_steps=2), None, StopReason.STEP_LIMIT),
        (SearchBudget(max_enodes=12), None, StopReason.ENODE_LIMIT),
        (SearchBudget(deadline=3.0), map(float, itertools.count()), StopReason.TIME_LIMIT),
    ],
)
def test_it_keeps_to_the_budget(
    tmp_path: Path, budget: SearchBudget, times: Iterator[float] | None, reason: StopReason
) -> None:
    arena, _ = worlds.arena_of(worlds.task(tmp_path, models.chain(1, "Abs"), worlds.GROW), times)
    outcome = Foresighted(model=world(0.5), config=QUICK).run(arena, budget)
    assert outcome.stop_reason is reason
    assert outcome.num_steps < 6


def test_many_candidates_at_once_keep_to_the_limit(tmp_path: Path) -> None:
    arena, _ = worlds.arena_of(worlds.task(tmp_path, models.chain(30), worlds.ABS))
    limit = arena.size().num_enodes + 5
    config = PlanConfig(width=8, horizon=1, num_episodes=1, commit=8)
    outcome = Foresighted(model=world(0.5), config=config).run(arena, SearchBudget(max_enodes=limit))
    assert (outcome.stop_reason, outcome.num_applied) == (StopReason.ENODE_LIMIT, 5)
    assert arena.size().num_enodes == limit


def test_a_seed_plans_the_same(tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        arena, told = worlds.arena_of(worlds.branch_task(tmp_path))
        outcome = Foresighted(model=trajectories.model(), config=QUICK).run(arena, SearchBudget())
        found.append((replace(outcome, session=None), told))
    assert found[0] == found[1]


def test_it_can_commit_to_several(tmp_path: Path) -> None:
    steps = []
    for commit in (1, 3):
        arena, _ = worlds.arena_of(worlds.branch_task(tmp_path, 3))
        config = PlanConfig(width=3, horizon=1, num_episodes=1, commit=commit)
        steps.append(Foresighted(model=world(0.5), config=config).run(arena, SearchBudget()).num_steps)
    assert steps[1] < steps[0]


def test_a_plan_names_the_candidate_that_promises_most() -> None:
    """The price falls by what the first column of the chosen candidate says."""
    model, where = world(0.0), state([6])
    found = set()
    for seed in range(3):
        made = plan(model, where, PlanConfig(width=6, horizon=1), np.inf, torch.Generator().manual_seed(seed))
        assert made.num_imagined == 7 * 4 * 2
        found.add(made.places)
    assert found == {()}
    better = plan(world(0.3), where, PlanConfig(width=2, horizon=1, commit=1), np.inf, torch.Generator().manual_seed(0))
    assert better.drop == pytest.approx(0.3, abs=0.02)
    assert better.uncertainty == pytest.approx(0.0, abs=1e-6)
    assert len(better.places) == 1


def test_the_policy_names_and_weighs_the_options() -> None:
    model, where = world(0.3), state([6])
    log_probs = torch.tensor([-4.0, -3.0, -0.5, -3.0, -3.0, -3.0, -3.0])
    for width, foresight, expected in ((6, 0.0, (1,)), (1, 100.0, (1,)), (6, 100.0, None)):
        config = PlanConfig(width=width, horizon=1, foresight=foresight)
        made = plan(model, where, config, np.inf, torch.Generator().manual_seed(0), log_probs)
        assert expected is None or made.places == expected
    certain = torch.tensor([-0.1, -9.0, -9.0, -9.0, -9.0, -9.0, -9.0])
    assert plan(model, where, PlanConfig(), np.inf, torch.Generator().manual_seed(0), certain).places == ()


def test_a_policy_beside_the_world_model_decides_too(tmp_path: Path) -> None:
    """A policy that always stops outweighs what a world promises."""
    network = trajectories.model().network
    with torch.no_grad():
        network.stop[-1].get_parameter("bias").fill_(50.0)
    for policy, num_steps in ((Policy(network), 0), (None, 1)):
        arena, _ = worlds.arena_of(worlds.branch_task(tmp_path))
        found = Foresighted(model=world(0.5), policy=policy, config=QUICK).run(arena, SearchBudget())
        assert min(found.num_steps, 1) == num_steps


@pytest.mark.parametrize(
    ("scores", "commit", "expected"),
    [
        ([0.1, 0.0, 0.05], 2, []),
        ([0.0, 0.2, 0.3], 1, [2]),
        ([0.0, 0.2, 0.3, 0.1], 3, [2, 1, 3]),
        ([0.0, 0.2, 0.3, 0.1], 2, [2, 1]),
        ([0.25, 0.2, 0.3, 0.28], 3, [2, 3]),
        ([-5.0, -0.9, 0.0, -0.6], 3, [2, 3]),
    ],
)
def test_which_options_are_committed_to(scores: list[float], commit: int, expected: list[int]) -> None:
    assert best_options(np.array(scores), commit) == expected


def test_returns_count_in_their_own_spread() -> None:
    assert standardised(np.array([1.0, 3.0])).tolist() == [-1.0, 1.0]
    assert standardised(np.array([0.1, 0.3])) == pytest.approx([-1.0, 1.0])
    assert np.abs(standardised(np.array([0.0, 1e-6]))).max() < 0.01, "as good as the same"


def test_it_needs_the_surroundings(tmp_path: Path) -> None:
    arena, _ = worlds.arena_of(worlds.chain_task(tmp_path))
    bare = Arena(session=arena.session, build_problem=arena.build_problem, clock=arena.clock, rng=arena.rng)
    with pytest.raises(UsageError, match="surroundings"):
        Foresighted(model=trajectories.model()).run(bare, SearchBudget())


def test_options_are_text(tmp_path: Path) -> None:
    save(trajectories.model(), FeatureStatistics.nothing(), tmp_path, {})
    made = world_model({"world": str(tmp_path), "width": "3", "episodes": "2"})
    assert isinstance(made, Foresighted)
    assert (made.config.width, made.config.num_episodes, made.config.horizon) == (3, 2, PlanConfig().horizon)
    assert isinstance(made.policy, Policy)
    own = world_model({"world": str(tmp_path), "policy": "own"})
    assert isinstance(own, Foresighted)
    assert own.policy is None
    wrong = (
        ({"depth": "3"}, "no option"),
        ({"width": "0"}, "above 0"),
        ({"world": "none"}, "none"),
        ({"policy": "mine"}, "'shipped' or 'own'"),
    )
    for options, message in wrong:
        with pytest.raises(UsageError, match=message):
            world_model({"world": str(tmp_path), **options})
