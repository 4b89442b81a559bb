"""The harness of kills: that it holds for a few, and that it notices what does not hold."""

from __future__ import annotations

import random
import signal
import sys
from pathlib import Path

import pytest

from bench.kills import Counts, Place, kill, kill_many
from tests.cli import fake_cli
from tests.conftest import make_model

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(fake_cli.__file__).parents[2]))


def place(folder: Path, *command: str) -> Place:
    """Return where a run takes place: one that leaves a result and files of its own, if no other is given."""
    found = Place(folder=folder, command=(sys.executable, *(command or (fake_cli.__file__, "best+litter"))))
    found.model.write_bytes(make_model().SerializeToString())
    return found


def test_kills_leave_nothing(tmp_path: Path) -> None:
    here, rng, counts = place(tmp_path), random.Random(0), Counts()
    for number, times in ((signal.SIGUSR1, 1), (signal.SIGINT, 3), (signal.SIGKILL, 1), (signal.SIGHUP, 1)):
        kill(here, number, rng.uniform(0.0, 1.5), times=times, counts=counts)
    assert not counts.faults
    assert counts.endings.total() == 4


@pytest.mark.parametrize(
    ("program", "fault"),
    [
        ("import time; time.sleep(60)", "exit code -15"),
        ("import signal, sys; signal.signal(15, lambda *_: sys.exit(0)); signal.pause()", "without OUTPUT"),
        ("import pathlib, sys; pathlib.Path(sys.argv[2]).write_bytes(b'half'); sys.exit(130)", "OUTPUT is broken"),
        ("import pathlib, sys; pathlib.Path(sys.argv[2] + '.tmp').touch(); sys.exit(130)", "OUTPUT is broken"),
        ("import tempfile, sys; tempfile.mkdtemp(); sys.exit(130)", "left /"),
        ("raise ZeroDivisionError", "Traceback"),
    ],
)
def test_what_does_not_hold_is_a_fault(tmp_path: Path, program: str, fault: str) -> None:
    counts = Counts()
    kill(place(tmp_path, "-c", program), signal.SIGTERM, 0.0, times=1, counts=counts, begin_s=0.3)
    assert fault in "\n".join(counts.faults)


@pytest.mark.slow
def test_sixty_kills_leave_nothing(tmp_path: Path) -> None:
    counts = kill_many(place(tmp_path), 60, seed=0)
    assert not counts.faults
