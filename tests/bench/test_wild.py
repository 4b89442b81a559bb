"""The models out of packages: what goes into them, and the table of what came out."""

from __future__ import annotations

import numpy as np
import pytest

from bench import wild
from bench.contest import OURS
from bench.results import ContenderRow, ModelRow, Speedup, Standing
from bench.wildlife import MODELS, Feed, Fill


@pytest.mark.parametrize("name", MODELS)
def test_inputs_are_drawn_the_same_each_time(name: str) -> None:
    one, two, other = (MODELS[name].feeds(seed) for seed in (0, 0, 1))
    assert {key: array.shape for key, array in one.items()} == {key: array.shape for key, array in other.items()}
    assert all(np.array_equal(one[key], two[key]) for key in one)
    assert any(not np.array_equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("fill", Fill)
def test_an_input_holds_what_it_says(fill: Fill) -> None:
    array = Feed((2, 300), fill, "int64" if fill is Fill.IDS else "float32", 50 if fill is Fill.IDS else 1.0).array(
        np.random.default_rng(0)
    )
    low, high = {
        Fill.UNIT: (0, 1),
        Fill.SIGNED: (-6, 6),
        Fill.BYTE: (0, 255),
        Fill.SOUND: (-1, 1),
        Fill.ZERO: (0, 0),
        Fill.ONE: (1, 1),
        Fill.IDS: (1, 49),
    }[fill]
    assert array.shape == (2, 300)
    assert low <= array.min() <= array.max() <= high


def test_the_table_says_status_gain_and_error() -> None:
    gain = Speedup(ratio=1.25, low=1.2, high=1.3, num_pairs=8)
    ours = ContenderRow(name=OURS, standing=Standing.TIMED, speedup=gain, relative_error=1e-7)
    good = ModelRow(
        name="a",
        model_class="c",
        original_us=1500.0,
        contenders=(ours,),
        best_peer="onnxsim",
        over_best_peer=gain,
        report={"status": "optimized"},
    )
    bad = ModelRow(
        name="b",
        model_class="c",
        original_us=None,
        contenders=(ContenderRow(name=OURS, standing=Standing.FAILED, message="exit code 1"),),
    )
    lines = wild.markdown([good, bad], {"a": "exit 0", "b": "exit 3: no"}).splitlines()
    assert lines[2] == "| a | 1.5 | optimized | 1.25 (1.20, 1.30) | 1.25 (1.20, 1.30) (onnxsim) | 1.0e-07 |"
    assert lines[3] == "| b |  | failed |  |  |  |"
    assert lines[-1] == "b alone: exit 3: no"


def test_shapes_are_told_without_what_they_hold() -> None:
    feeds = {"x": np.zeros((1, 2)), "rate": np.array(16_000)}
    assert wild._shapes(feeds) == ("--input-shape", "x:1,2")
