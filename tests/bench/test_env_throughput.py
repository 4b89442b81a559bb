"""The throughput bench measures every part of a step and says how far the target is."""

from __future__ import annotations

import pytest

from bench.env_throughput import PARTS, measure, table


def test_every_part_is_measured() -> None:
    result = measure(num_enodes=60, num_steps=2, seed=0)
    steps_ms, parts_ms = result["steps_ms"], result["parts_ms_median"]
    assert isinstance(steps_ms, list)
    assert isinstance(parts_ms, dict)
    assert len(steps_ms) == 2
    assert tuple(parts_ms) == PARTS
    assert result["steps_per_s"] == pytest.approx(2e3 / sum(steps_ms))
    head, line = table([{**result, "target_steps_per_s": 30.0}]).splitlines()
    assert len(head.split("  ")) >= 7 + len(PARTS)
    assert "30.0" in line
