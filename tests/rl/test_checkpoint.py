"""A checkpoint acts as the network did, wherever it is read; what is no checkpoint is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from eqsat.errors import UsageError
from rl.checkpoint import DESCRIPTION, WEIGHTS, Checkpoint, load, save
from rl.network import Network, NetworkConfig
from rl.policy import Policy
from rl.statistics import FeatureStatistics
from tests.rl.observations import observation

SMALL = NetworkConfig(hidden=16, embedding=8, num_rounds=1)


def checkpoint(seed: int = 0) -> Checkpoint:
    torch.manual_seed(seed)
    statistics = FeatureStatistics.nothing().with_observations([observation(seed)])
    return Checkpoint.of(Network(SMALL), statistics, {"update": 3})


def test_it_acts_the_same_after_a_way_through_a_folder(tmp_path: Path) -> None:
    saved = checkpoint()
    save(saved, tmp_path / "deep" / "policy")
    back = load(tmp_path / "deep" / "policy")
    assert (back.network, back.statistics, back.notes) == (saved.network, saved.statistics, {"update": 3})
    one, two = Policy.of(saved), Policy.of(back)
    for seed in range(3):
        assert (one.probabilities(observation(seed)) == two.probabilities(observation(seed))).all()
    assert one.act([observation(0)]) == two.act([observation(0)])


def test_it_is_a_copy() -> None:
    torch.manual_seed(0)
    network = Network(SMALL)
    saved = Checkpoint.of(network, FeatureStatistics.nothing())
    before = Policy.of(saved).probabilities(observation(0))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    assert (Policy.of(saved).probabilities(observation(0)) == before).all()


def test_a_later_save_replaces_an_earlier_one(tmp_path: Path) -> None:
    for seed in (0, 1):
        save(checkpoint(seed), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([WEIGHTS, DESCRIPTION])
    expected = Policy.of(checkpoint(1)).probabilities(observation(0))
    assert (Policy.of(load(tmp_path)).probabilities(observation(0)) == expected).all()


def test_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no policy that can be read"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 0}, "another version"),
        ({"network": {"hidden": 16, "width": 3}}, "is broken"),
        ({"statistics": {}}, "is broken"),
    ],
)
def test_other_descriptions_are_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    save(checkpoint(), tmp_path)
    path = tmp_path / DESCRIPTION
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(UsageError, match=message):
        load(tmp_path)


def test_broken_weights_are_refused(tmp_path: Path) -> None:
    save(checkpoint(), tmp_path)
    (tmp_path / WEIGHTS).write_bytes(b"not weights")
    with pytest.raises(UsageError, match="holds no policy that can be read"):
        load(tmp_path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save(checkpoint(), tmp_path)
    path = tmp_path / DESCRIPTION
    described = json.loads(path.read_text())
    described["network"]["hidden"] = 24
    path.write_text(json.dumps(described))
    with pytest.raises(UsageError, match="not those of the network"):
        load(tmp_path).build()
