"""What the values of flags mean; what they may not be is in ``test_run.py``."""

from __future__ import annotations

import pytest

from eqsat import arguments
from eqsat.errors import UsageError
from eqsat.job import Growth, Job


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


@pytest.mark.parametrize(
    ("text", "limit_bytes"),
    [
        ("0", 0),
        ("0%", 0),
        ("1x", 0),
        ("10%", 100),
        ("2.5 %", 25),
        ("1.5x", 500),
        ("3X", 2000),
        ("7", 7),
        ("2 kB", 2000),
    ],
)
def test_growths(text: str, limit_bytes: int) -> None:
    assert arguments.parse_growth(text).limit_bytes(1000) == limit_bytes


@pytest.mark.parametrize("text", ["", "-1", "0.5x", "10%%", "much", "1e3", "10 s", "%", "nan%"])
def test_what_is_no_growth(text: str) -> None:
    with pytest.raises(UsageError, match=r"write 0, 10%, 1\.5x or 64MiB"):
        arguments.parse_growth(text)


def test_the_default_growth_lets_small_models_grow() -> None:
    assert Growth().limit_bytes(1000) == 2**20
    assert Growth().limit_bytes(10**9) == 10**8


def test_a_growth_travels_with_its_job() -> None:
    job = Job(input_path="a.onnx", max_growth=Growth(share=0.25, num_bytes=7))
    assert Job.from_json(job.to_json()) == job


def test_shapes() -> None:
    shapes = arguments.parse_input_shapes(["a:1,3,224,224", "b:1x3", "c:0:7"])
    assert shapes == {"a": (1, 3, 224, 224), "b": (1, 3), "c:0": (7,)}


def test_providers() -> None:
    names = arguments.provider_names(["CUDA, cpu", "CPUExecutionProvider", "OwnExecutionProvider"])
    assert names == ("CUDAExecutionProvider", "CPUExecutionProvider", "OwnExecutionProvider")
