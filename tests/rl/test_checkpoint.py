"""A checkpoint acts as the network did, wherever it is read; what is no checkpoint is refused by name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from eqsat.errors import UsageError
from rl.agent.checkpoint import DESCRIPTION, WEIGHTS, Checkpoint, load, save
from rl.agent.network import Network, NetworkConfig
from rl.agent.policy import Policy
from rl.agent.statistics import FeatureStatistics
from rl.searches import auto
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


def described(folder: Path) -> dict[str, Any]:
    save(checkpoint(), folder)
    found: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text())
    return found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 0}, "another version"),
        ({"network": {"hidden": 16, "width": 3}}, "is broken"),
        ({"network": {"hidden": -7}}, "is broken"),
        ({"network": {"hidden": 0}}, "is broken"),
        ({"network": {"hidden": "16"}}, "is broken"),
        ({"network": {"hidden": 10**12}}, "is broken"),
        ({"network": {"embedding": 2.5}}, "is broken"),
        ({"network": {"num_rounds": 10**9}}, "is broken"),
        ({"network": {"has_stop": "no"}}, "is broken"),
        ({"network": [16, 8]}, "is broken"),
        ({"network": None}, "is broken"),
        ({"statistics": {}}, "is broken"),
        ({"statistics": [1]}, "is broken"),
        ({"notes": 3}, "is broken"),
    ],
)
def test_other_descriptions_are_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    found = described(tmp_path)
    if isinstance(changes.get("network"), dict):
        changes = {"network": found["network"] | changes["network"]}
    (tmp_path / DESCRIPTION).write_text(json.dumps(found | changes))
    with pytest.raises(UsageError, match=message):
        load(tmp_path)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("mean", float("nan")),
        ("mean", 1e39),
        ("mean", "zero"),
        ("mean", None),
        ("squares", -1.0),
        ("squares", float("inf")),
        ("count", -3),
        ("count", "many"),
    ],
)
def test_statistics_that_make_no_numbers_are_refused(tmp_path: Path, part: str, value: object) -> None:
    found = described(tmp_path)
    moments = found["statistics"]["eclass_features"]
    moments[part] = value if part == "count" else [value, *moments[part][1:]]
    (tmp_path / DESCRIPTION).write_text(json.dumps(found))
    with pytest.raises(UsageError, match="is broken"):
        load(tmp_path)


@pytest.mark.parametrize(
    "text", [b"", b"[1, 2]", b"{", b'{"a": "\xff"}', b"[" * 100_000, b'{"format": ' + b"1" * 5000 + b"}"]
)
def test_descriptions_that_are_none_are_refused(tmp_path: Path, text: bytes) -> None:
    described(tmp_path)
    (tmp_path / DESCRIPTION).write_bytes(text)
    with pytest.raises(UsageError, match="holds no policy that can be read"):
        load(tmp_path)


@pytest.mark.parametrize("name", [WEIGHTS, DESCRIPTION])
def test_what_is_no_file_is_not_opened(tmp_path: Path, name: str) -> None:
    described(tmp_path)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(UsageError, match="is no file"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda weight: torch.full_like(weight, float("nan")), "not finite"),
        (lambda weight: torch.full_like(weight, float("-inf")), "not finite"),
        (lambda weight: weight.double(), "torch.float64"),
        (lambda weight: weight.long(), "torch.int64"),
        (lambda weight: weight.T.contiguous(), "of shape"),
        (lambda weight: weight[:0], "of shape"),
    ],
)
def test_other_weights_are_refused(tmp_path: Path, change: Callable[[torch.Tensor], torch.Tensor], said: str) -> None:
    saved = checkpoint()
    save(
        replace(saved, weights=dict(saved.weights) | {"stop.2.weight": change(saved.weights["stop.2.weight"])}),
        tmp_path,
    )
    with pytest.raises(UsageError, match=f"is broken.*stop.2.weight.*{said}"):
        load(tmp_path)


def test_missing_and_unknown_weights_are_refused(tmp_path: Path) -> None:
    saved = checkpoint()
    weights = dict(saved.weights)
    weight = weights.pop("stop.2.weight")
    for changed, said in ((weights, "missing"), ({**saved.weights, "more": weight.clone()}, "more is of shape")):
        save(replace(saved, weights=changed), tmp_path)
        with pytest.raises(UsageError, match=said):
            load(tmp_path)


def test_broken_weights_are_refused(tmp_path: Path) -> None:
    save(checkpoint(), tmp_path)
    (tmp_path / WEIGHTS).write_bytes(b"not weights")
    with pytest.raises(UsageError, match="is broken"):
        load(tmp_path)


def test_weights_that_overflow_are_said_when_they_are_used(tmp_path: Path) -> None:
    saved = checkpoint()
    save(replace(saved, weights={name: each * 1e30 for name, each in saved.weights.items()}), tmp_path)
    with pytest.raises(UsageError, match="gives no probabilities"):
        Policy.of(load(tmp_path)).probabilities(observation(0))


def test_a_policy_that_is_given_is_read_though_it_may_not_be_needed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no policy"):
        auto({"policy": str(tmp_path)})
