"""Settings come from TOML, name by name; what is no setting is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from eqsat.errors import UsageError
from rl.agent.network import NetworkConfig
from rl.training.config import DEFAULT, TrainConfig, config_of, read_config


def test_what_is_left_out_keeps_its_default(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("seed = 3\ntime_limit_s = 60\n[network]\nnum_rounds = 0\n[tasks]\nmodels = ['a.onnx']\n")
    config = read_config(path)
    assert (config.seed, config.time_limit_s, config.network) == (3, 60.0, NetworkConfig(num_rounds=0))
    assert config.tasks.models == ("a.onnx",)
    assert config.ppo == TrainConfig().ppo


def test_the_settings_of_the_shipped_policy_can_be_read() -> None:
    assert read_config(DEFAULT).time_limit_s <= 3 * 3600


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"sed": 1}, "sed: there is no such setting"),
        ({"ppo": {"clip": "far"}}, "ppo: clip: 'far' is no float"),
        ({"ppo": 1}, "ppo: 1 is no table"),
        ({"num_workers": True}, "num_workers: True is no int"),
        ({"num_workers": -1}, "num_workers: -1 is no int"),
        ({"network": {"has_stop": 1}}, "has_stop: 1 is no bool"),
        ({"tasks": {"models": "a"}}, "models: 'a' is no tuple"),
    ],
)
def test_other_settings_are_refused(tables: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config_of(tables, "x.toml")


@pytest.mark.parametrize("text", [None, "seed ="])
def test_a_file_that_cannot_be_read(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "config.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match="cannot be read as TOML"):
        read_config(path)
