"""Imagined episodes keep the rules of real ones, never touch the real world, and make a policy better."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from eqsat.egraph.session import Session
from rl.env.environment import EGraphEnv
from rl.env.prices import TablePrices
from rl.env.tracker import Tracker
from rl.world.config import FitConfig, ImagineConfig
from rl.world.fit import Fitter
from rl.world.imagination import Terms, imagine, judge
from rl.world.improve import Improver, returns_of
from rl.world.latent import LatentState, joined
from rl.world.stochastic import Openness
from tests.rl.world import trajectories
from tests.rl.world.test_latent import state

OPEN = pytest.mark.parametrize("openness", list(Openness))
TERMS = Terms(horizon=6, gamma=0.9)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@OPEN
def test_episodes_are_whole(openness: Openness) -> None:
    model, start = trajectories.model(openness), state([3, 0, 5, 1, 2, 2])
    model.learn_rules(start.rules.tolist())
    imagined = imagine(model, start, TERMS, seeded())
    assert imagined.last.num_states == 6
    seen = [set(each.episodes.tolist()) for each in imagined.steps]
    assert seen[0] == set(range(6))
    for one, two, step in zip(seen, seen[1:], imagined.steps, strict=False):
        assert two == one - set(step.episodes[step.continues == 0].tolist())
    first = imagined.steps[0]
    assert first.continues[1] == 0, "nothing is left to be done but to stop"
    assert torch.equal(imagined.last.summaries[1], start.summaries[1])
    for step in imagined.steps:
        is_stop = step.actions < step.state.num_states
        assert torch.equal(is_stop, step.continues == 0)
        assert not step.next_values[is_stop].any()
        assert (step.log_probs <= 0).all()


def test_rewards_add_up_to_the_gain() -> None:
    model, start = trajectories.model(), state([3, 4, 5])
    for member in (model.member(number) for number in range(3)):
        for name in ("weight", "bias"):
            torch.nn.init.zeros_(member.final[-1].get_parameter(name))
    terms = Terms(horizon=5, gamma=1.0)
    imagined = imagine(model, start, terms, seeded())
    assert torch.allclose(imagined.total("rewards"), imagined.last.potentials - start.potentials, atol=1e-5)
    assert imagined.num_steps == sum(len(step.episodes) for step in imagined.steps)


def test_a_policy_that_stops_at_once_earns_nothing() -> None:
    model, start = trajectories.model(), state([3, 4, 5])
    with torch.no_grad():
        model.network.stop[-1].get_parameter("bias").fill_(100.0)
    for member in (model.member(number) for number in range(3)):
        for name in ("weight", "bias"):
            torch.nn.init.zeros_(member.final[-1].get_parameter(name))
    imagined = imagine(model, start, TERMS, seeded())
    assert imagined.num_steps == 3
    assert imagined.total("rewards").tolist() == pytest.approx([0.0, 0.0, 0.0], abs=1e-6)


def test_disagreement_is_paid_for() -> None:
    model, start = trajectories.model(), state([3, 4, 5])
    free = imagine(model, start, Terms(horizon=1, gamma=1.0), None)
    paid = imagine(model, start, Terms(horizon=1, gamma=1.0, penalty=2.0), None)
    uncertainties = paid.steps[0].uncertainties
    assert uncertainties.any()
    assert torch.allclose(paid.steps[0].rewards, free.steps[0].rewards - 2.0 * uncertainties, atol=1e-6)


def test_an_episode_ends_where_the_egraph_is_too_large() -> None:
    model, start = trajectories.model(), state([3, 4, 5])
    with torch.no_grad():
        model.network.stop[-1].get_parameter("bias").fill_(-100.0)
        for number in range(3):
            model.member(number).growth[-1].get_parameter("bias").fill_(20.0)
    imagined = imagine(model, start, Terms(horizon=5, gamma=1.0, max_enodes=100.0), seeded())
    assert len(imagined.steps) == 1
    assert imagined.steps[0].continues.all()
    assert imagined.steps[0].next_values.any()
    room = imagine(model, start, Terms(horizon=5, gamma=1.0, max_enodes=100.0, is_room=True), seeded())
    assert room.steps[0].continues.all()
    assert not room.steps[0].next_values.any(), "nothing comes after the room that a task gives"


def test_the_first_action_can_be_given() -> None:
    model, start = trajectories.model(), state([3, 2])
    imagined = imagine(model, start, TERMS, seeded(), first=torch.tensor([0, 2 + 3 + 1]))
    assert imagined.steps[0].actions.tolist() == [0, 6]
    assert imagined.steps[0].continues.tolist() == [0.0, 1.0]


@OPEN
def test_a_seed_imagines_the_same(openness: Openness) -> None:
    model, start = trajectories.model(openness), state([3, 4, 5])
    one, two, other = (imagine(model, start, TERMS, seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(one.last.summaries, two.last.summaries)
    assert not torch.equal(one.last.summaries, other.last.summaries)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_cuda_imagines_the_same() -> None:
    model, start = trajectories.model(), state([3, 4, 5])
    here = imagine(model, start, TERMS, None)
    device = torch.device("cuda")
    moved = LatentState(**{each.name: getattr(start, each.name).to(device) for each in fields(LatentState)})
    there = imagine(model.to(device), moved, TERMS, None)
    assert there.num_steps == here.num_steps
    assert torch.allclose(there.last.summaries.cpu(), here.last.summaries, atol=1e-3)
    assert imagine(model, moved, TERMS, seeded()).num_steps


def test_the_real_world_takes_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever touches an environment, a session or a price from here on fails."""
    model = trajectories.model(Openness.CATEGORICAL)
    encoded, _ = Fitter(model, FitConfig(num_updates=2, num_windows=4)).fit(
        trajectories.played(tmp_path, 2), np.random.default_rng(0)
    )
    start = joined([each for states in encoded.states for each in states[:-1]])

    def touched(*_: object, **__: object) -> None:
        raise AssertionError("the real world was touched")

    for owner in (EGraphEnv, Session, Tracker, TablePrices):
        for name in [name for name, each in vars(owner).items() if callable(each) and not name.startswith("__")]:
            monkeypatch.setattr(owner, name, touched)
        monkeypatch.setattr(owner, "__init__", touched)
    with pytest.raises(AssertionError, match="was touched"):
        trajectories.env(tmp_path)
    imagined = imagine(model, start, Terms(horizon=8, gamma=0.99, penalty=1.0), seeded())
    assert imagined.num_steps > start.num_states
    Improver(model, ImagineConfig(num_states=16, horizon=4)).improve(start, seeded())


def test_returns_belong_to_their_steps() -> None:
    model, start = trajectories.model(), state([3, 4, 5, 6])
    imagined = imagine(model, start, TERMS, seeded(1))
    returns = returns_of(imagined, 0.9, 0.8)
    for episode in range(4):
        own = [
            (step, int((each.episodes == episode).nonzero()))
            for step, each in enumerate(imagined.steps)
            if episode in each.episodes.tolist()
        ]
        following = float(imagined.steps[own[-1][0]].next_values[own[-1][1]])
        for step, row in reversed(own):
            each = imagined.steps[step]
            mixed = 0.2 * float(each.next_values[row]) + 0.8 * following
            following = float(each.rewards[row]) + 0.9 * float(each.continues[row]) * mixed
            assert float(returns[step][row]) == pytest.approx(following, abs=1e-6)


def test_the_policy_learns_what_pays_in_the_model() -> None:
    """In this world every candidate makes the graph dearer: the policy must learn to stop. The encoder stays."""
    model, start = trajectories.model(num_members=1), state([3] * 16)
    member = model.member(0)
    with torch.no_grad():
        torch.nn.init.zeros_(member.final[-1].get_parameter("weight"))
        torch.nn.init.zeros_(member.final[-1].get_parameter("bias"))
        torch.nn.init.zeros_(member.drop[-1].get_parameter("weight"))
        member.drop[-1].get_parameter("bias").copy_(-20.0 * (member.get_buffer("bins") + 0.5).abs())
    encoder = [each.detach().clone() for each in model.encoder_parameters()]
    improver = Improver(model, ImagineConfig(num_states=64, horizon=4, learning_rate=2e-2, penalty=0.0, gamma=1.0))
    before = _chance_to_stop(model.network, start)
    told = [improver.improve(start, seeded(seed)) for seed in range(25)]
    assert _chance_to_stop(model.network, start) > max(0.8, before)
    assert told[-1].mean_return > told[0].mean_return + 0.1
    assert all(torch.equal(one, two) for one, two in zip(encoder, model.encoder_parameters(), strict=True))


def _chance_to_stop(network: object, start: LatentState) -> float:
    from rl.agent.network import Network

    assert isinstance(network, Network)
    with torch.no_grad():
        return float(judge(network, start).assessment.log_probs[: start.num_states].exp().mean())
