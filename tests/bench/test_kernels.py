"""Prices of reference: far apart in size, and in the order in which they are read."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from bench import kernels
from eqsat.prices.beliefs import KERNEL_VERSION
from eqsat.runtime import CPU_PROVIDER


def test_what_is_kept_is_far_apart_and_has_both_ends() -> None:
    prices = [(8.0, 80.0), (1.0, 10.0), (1.1, 11.0), (4.0, 40.0), (64.0, 640.0), (60.0, 600.0), (2.0, math.inf)]
    assert kernels.spread_out(prices, 4) == [(1.0, 10.0), (4.0, 40.0), (8.0, 80.0), (64.0, 640.0)]
    assert kernels.spread_out(prices[:2], 4) == [(1.0, 10.0), (8.0, 80.0)]


def test_the_command_measures_and_writes(
    tmp_path: Path, offer_one: Callable[[ModuleType], None], capsys: pytest.CaptureFixture[str]
) -> None:
    offer_one(kernels)
    assert kernels.main(["--models", "one", "--json", str(tmp_path / "out.json")]) == 0
    document = json.loads((tmp_path / "out.json").read_text())
    assert (document["version"], document["provider"], document["models"]) == (KERNEL_VERSION, CPU_PROVIDER, ["one"])
    assert document["kernels"]
    assert all(len(pair) == 2 for pairs in document["kernels"].values() for pair in pairs)
    assert "one: " in capsys.readouterr().out
