"""Work that may run for ever ends by itself alone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eqsat.authoring.tools.isolation import CrashError, LimitError, Limits, isolated
from eqsat.errors import ModelError, UsageError
from ir.errors import InvalidModelError


def counting(end: int) -> Iterator[int]:
    yield from range(end)


def hanging(folder: Path) -> Iterator[int]:
    (folder / "pid").write_text(str(os.getpid()))
    yield 1
    while True:
        time.sleep(0.01)


def greedy() -> Iterator[int]:
    held = bytearray(600 * 2**20)
    held[::4096] = b"x" * len(held[::4096])
    time.sleep(60)
    yield len(held)


def refusing(kind: str) -> Iterator[int]:
    yield 1
    if kind == "usage":
        raise UsageError("said")
    if kind == "model":
        raise InvalidModelError("said")
    if kind == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    raise KeyError("unforeseen")


def test_what_the_work_gives_arrives_in_order() -> None:
    assert list(isolated(counting, 4, limits=Limits())) == [0, 1, 2, 3]


def test_work_without_an_end_is_ended(tmp_path: Path) -> None:
    work = isolated(hanging, tmp_path, limits=Limits(time_s=1.0))
    assert next(work) == 1
    with pytest.raises(LimitError, match="came to no end within 1 s"):
        next(work)
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


def test_work_that_is_not_wanted_any_more_is_ended(tmp_path: Path) -> None:
    work = isolated(hanging, tmp_path, limits=Limits())
    next(work)
    work.close()  # type: ignore[attr-defined]  # it is a generator
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_work_that_takes_too_much_memory_is_ended() -> None:
    with pytest.raises(LimitError, match=r"more than 0\.391 GiB"):
        list(isolated(greedy, limits=Limits(memory_bytes=400 * 2**20)))


@pytest.mark.parametrize(("kind", "error"), [("usage", UsageError), ("model", ModelError)])
def test_errors_for_the_user_are_passed_on(kind: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^said$"):
        list(isolated(refusing, kind, limits=Limits()))


@pytest.mark.parametrize(("kind", "said"), [("crash", "SIGSEGV"), ("other", "KeyError")])
def test_a_crash_leaves_a_log(kind: str, said: str) -> None:
    with pytest.raises(CrashError) as caught:
        list(isolated(refusing, kind, limits=Limits()))
    log = Path(str(caught.value).rpartition(" ")[2])
    assert said in str(caught.value) + log.read_text()
    log.unlink()
