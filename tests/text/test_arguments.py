"""What the values of flags mean; what they may not be is in ``test_run.py``."""

from __future__ import annotations

import pytest

from eqsat.errors import UsageError
from eqsat.pipeline.job import Job
from eqsat.text import arguments
from eqsat.text.arguments import Growth


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


@pytest.mark.parametrize(("text", "seconds"), [("1m30s", 90.0), ("2h 5m", 7500.0), ("1.5m0.5s", 90.5)])
def test_durations_of_several_parts(text: str, seconds: float) -> None:
    assert arguments.parse_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["1m30", "1x", "m", "1m-3s", "", "1mm", "0s0m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="write 90, 90s"):
        arguments.parse_duration_s(text)


@pytest.mark.parametrize(("text", "num_bytes"), [("6g", 6 * 2**30), ("2G", 2**31), ("512m", 2**29), ("3k", 3072)])
def test_short_sizes_are_binary(text: str, num_bytes: int) -> None:
    assert arguments.parse_bytes(text) == num_bytes


@pytest.mark.parametrize(
    ("text", "name", "shape"),
    [
        ("n:1,3", "n", (1, 3)),
        ("n:1x3", "n", (1, 3)),
        ("n=1,3", "n", (1, 3)),
        ("n=1x3x224", "n", (1, 3, 224)),
        ("1,3", "", (1, 3)),
        ("7", "", (7,)),
        ("batch=4", "batch", (4,)),
        ("ids:batch,128", "ids", (arguments.FREE, 128)),
        ("a:0:N, 21", "a:0", (arguments.FREE, 21)),
    ],
)
def test_shapes_as_people_write_them(text: str, name: str, shape: tuple[int, ...]) -> None:
    assert arguments.parse_input_shapes([text]) == {name: shape}


@pytest.mark.parametrize("text", ["n:", "n", "n:a,b", ":", "n:1,,3", "1,-3", "n=-1"])
def test_what_is_no_shape(text: str) -> None:
    with pytest.raises(UsageError, match="is no shape; write name:1,3,224,224, or batch=4"):
        arguments.parse_input_shapes([text])


def test_shapes_in_python() -> None:
    assert arguments.checked_shapes({"x": [1, 3], "batch": 4, "s": ()}) == {"x": (1, 3), "batch": (4,), "s": ()}


@pytest.mark.parametrize("shape", ["1,3", (1, 0), (1, 2.0), None, True, {"a": 1}])
def test_what_is_no_shape_in_python(shape: object) -> None:
    with pytest.raises(UsageError, match=r"input_shapes\['x'\] is"):
        arguments.checked_shapes({"x": shape})  # type: ignore[dict-item]


def test_sizes_of_several_dimensions_at_once() -> None:
    assert arguments.parse_input_shapes(["b=2,len=9", "x:2,9"]) == {"b": (2,), "len": (9,), "x": (2, 9)}
    with pytest.raises(UsageError, match="'b' twice"):
        arguments.parse_input_shapes(["b=2,b=3"])
