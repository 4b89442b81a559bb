"""What the values of flags mean; what they may not be is in ``test_run.py``."""

from __future__ import annotations

import pytest

from eqsat import arguments


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("90s", 90.0), ("10m", 600.0), ("1.5h", 5400.0), (" .5 S ", 0.5), ("2min", 120.0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert arguments.parse_duration_s(text) == seconds


@pytest.mark.parametrize(
    ("text", "num_bytes"), [("6GiB", 6 * 2**30), ("500MB", 500_000_000), ("1.5 gib", 3 * 2**29), ("7", 7)]
)
def test_sizes(text: str, num_bytes: int) -> None:
    assert arguments.parse_bytes(text) == num_bytes


def test_shapes() -> None:
    shapes = arguments.parse_input_shapes(["a:1,3,224,224", "b:1x3", "c:0:7"])
    assert shapes == {"a": (1, 3, 224, 224), "b": (1, 3), "c:0": (7,)}


def test_providers() -> None:
    names = arguments.provider_names(["CUDA, cpu", "CPUExecutionProvider", "OwnExecutionProvider"])
    assert names == ("CUDAExecutionProvider", "CPUExecutionProvider", "OwnExecutionProvider")
