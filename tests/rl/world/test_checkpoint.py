"""A world model comes back from its folder as it was, and what is broken is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from eqsat.errors import UsageError
from rl import world_model
from rl.agent import checkpoint as policies
from rl.agent.statistics import FeatureStatistics
from rl.world.checkpoint import DESCRIPTION, WEIGHTS, load, save
from rl.world.imagination import Terms, imagine
from rl.world.model import Scale
from rl.world.stochastic import Openness
from tests.rl.world import trajectories
from tests.rl.world.test_latent import state


@pytest.mark.parametrize("openness", list(Openness))
def test_a_model_comes_back(tmp_path: Path, openness: Openness) -> None:
    model, start = trajectories.model(openness), state([3, 4])
    model.learn_rules({5, 900, *start.rules.tolist()})
    model.rescale("summary", Scale(mean=torch.ones(8), std=2 * torch.ones(8), change=3 * torch.ones(8)))
    save(model, FeatureStatistics.nothing(), tmp_path, {"why": "a test"})
    again, statistics = load(tmp_path)
    assert again.config == model.config
    assert statistics == FeatureStatistics.nothing()
    assert again.num_known_rules == model.num_known_rules
    one, two = (
        imagine(each, start, Terms(horizon=3, gamma=0.9), torch.Generator().manual_seed(0)) for each in (model, again)
    )
    assert torch.equal(one.last.summaries, two.last.summaries)


def test_its_policy_is_a_policy_like_any_other(tmp_path: Path) -> None:
    model = trajectories.model()
    save(model, FeatureStatistics.nothing(), tmp_path, {})
    policy = policies.load(tmp_path).build()
    for name, each in policy.named_parameters():
        assert torch.equal(each, model.network.get_parameter(name))


def test_what_is_broken_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no policy"):
        load(tmp_path)
    save(trajectories.model(), FeatureStatistics.nothing(), tmp_path, {})
    described = json.loads((tmp_path / DESCRIPTION).read_text())
    for change, message in (
        ({"format": 0}, "another version"),
        ({"model": {**described["model"], "hidden": 20}}, "broken"),
        ({"model": {**described["model"], "openness": "wide"}}, "broken"),
        ({"model": {**described["model"], "num_members": 4}}, "broken"),
        ({"model": {**described["model"], "num_members": -1}}, "broken"),
        ({"model": {**described["model"], "num_rules": "512"}}, "broken"),
        ({"model": None}, "broken"),
    ):
        (tmp_path / DESCRIPTION).write_text(json.dumps({**described, **change}))
        with pytest.raises(UsageError, match=message):
            load(tmp_path)
    (tmp_path / DESCRIPTION).write_text("[" * 50_000)
    with pytest.raises(UsageError, match="no world model"):
        load(tmp_path)
    (tmp_path / DESCRIPTION).write_text(json.dumps(described))
    (tmp_path / WEIGHTS).write_bytes(b"nothing")
    with pytest.raises(UsageError, match="is broken"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"), [("rule_numbers", -1), ("rule_buckets", 10**6), ("summary_std", 0.0), ("candidate_change", -1.0)]
)
def test_numbers_that_lead_nowhere_are_refused(tmp_path: Path, name: str, value: float) -> None:
    model = trajectories.model()
    model.get_buffer(name)[1] = value
    save(model, FeatureStatistics.nothing(), tmp_path, {})
    with pytest.raises(UsageError, match=f"is broken: {name}"):
        load(tmp_path)


def test_the_face_offers_what_it_says() -> None:
    assert all(hasattr(world_model, name) for name in world_model.__all__)
