"""The harness of disturbed runs sees what it is there to see."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest

from bench import robustness
from bench.robust import damage, victim
from bench.robust.databases import DATABASES, UNTOUCHED
from bench.robust.whole import End, Place
from eqsat.errors import INTERRUPTED_EXIT_CODE
from eqsat.prices.database import PriceDatabase, PriceKey, StoredPrice


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(root=tmp_path / "place")


@pytest.fixture
def one_model(monkeypatch: pytest.MonkeyPatch) -> onnx.ModelProto:
    model = victim.model()
    monkeypatch.setattr(damage, "models", lambda: (model,))
    return model


def run(place: Place, code: str, **options: object) -> End:
    return place.run([sys.executable, "-c", code], **options)  # type: ignore[arg-type]


def test_a_run_that_ends_well_has_no_fault(place: Place) -> None:
    end = run(place, "import sys; sys.stderr.write('said\\n')")
    assert (end.exit_code, end.fault, end.said) == (0, "", ("said",))


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("1 / 0", "a traceback"),
        ("import tempfile; tempfile.mkdtemp()", "left TMPDIR/tmp"),
        ("open('half.onnx', 'w').close()", "left half.onnx"),
        (
            "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
            " stderr=subprocess.DEVNULL, start_new_session=True)",
            "1 processes left",
        ),
    ],
)
def test_a_fault_is_seen(code: str, fault: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.robust.whole.LINGER_S", 0.5)
    assert run(place, code).fault.startswith(fault)


def test_what_was_there_before_counts_as_no_fault(place: Place) -> None:
    (place.temporary / "old").touch()
    (place.work / "out.onnx").touch()
    assert not run(place, "", allowed=("out.onnx",)).fault


def test_a_damage_is_the_same_each_time_and_changes_the_model(one_model: onnx.ModelProto) -> None:
    found = dict(map(damage.damaged, range(200)))
    assert found.keys() == damage.DAMAGES.keys()
    assert found == dict(map(damage.damaged, range(200)))
    sound = one_model.SerializeToString()
    assert sum(data != sound for data in found.values()) > 0.9 * len(found)
    assert one_model.SerializeToString() == victim.model().SerializeToString()


def primed(path: Path) -> None:
    key = PriceKey(signature="s", provider="p", device="d", threads=1, level="l", ort_version="1")
    with PriceDatabase(path) as database:
        database.put_many({key: StoredPrice(latency_us=1.0, spread=0.1, num_runs=3, measured_at=1.0)})


@pytest.mark.parametrize("name", DATABASES)
def test_a_hostile_database_can_be_made(name: str, tmp_path: Path) -> None:
    sound, path = tmp_path / "sound.sqlite", tmp_path / "prices.sqlite"
    primed(sound)
    shutil.copy(sound, path)
    DATABASES[name](path)
    assert path.exists() or path.is_symlink()
    if name.startswith(("prices", "no prices", "loose")):
        with closing(sqlite3.connect(path)) as connection:
            ((price,),) = connection.execute("SELECT latency_us FROM prices").fetchall()
        assert not isinstance(price, float) or price < 0 or price > 1e300
    if name in UNTOUCHED:
        assert path.read_bytes() != sound.read_bytes()


def test_what_did_not_hold_is_counted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    held = robustness.Row(part="full disks", name="one", end="exit 0")
    fell = robustness.Row(part="full disks", name="two", end="exit 1", fault="exit code 1")
    monkeypatch.setattr(robustness, "full_disks", lambda: iter([held, fell]))
    assert robustness.main(["--parts", "disks"]) == 1
    said = capsys.readouterr().out
    assert "two: exit 1: exit code 1" in said
    assert "      2      1  1 exit 0, 1 exit 1" in said


def test_a_wrong_output_of_the_victim_is_seen(tmp_path: Path) -> None:
    from eqsat.runtime import Runtime

    place = Place(root=tmp_path / "place")
    victim.write(place.work / "model.onnx")
    wrong = victim.model()
    wrong.graph.node[-1].op_type = "Tanh"
    with Runtime() as runtime:
        check: Callable[[], str] = lambda: robustness.wrong_output(place, runtime)  # noqa: E731
        assert check() == "no output"
        victim.write(place.work / "out.onnx")
        assert check() == ""
        (place.work / "out.onnx").write_bytes(wrong.SerializeToString())
        assert check() == "an output that computes something else"
        (place.work / "out.onnx").write_bytes(b"half")
        assert check().startswith("an output that does not run")
    assert all(np.isfinite(array).all() for array in victim.feeds().values())


@pytest.mark.parametrize(
    ("exit_code", "said", "fault"),
    [
        (-signal.SIGUSR1, (), ""),
        (-signal.SIGUSR1, ("load: reading model.onnx",), "exit code -10"),
        (-signal.SIGSEGV, (), "exit code -11"),
        (INTERRUPTED_EXIT_CODE, ("eqsat: error: interrupted",), ""),
    ],
)
def test_a_signal_before_python_has_loaded_us_ends_python(
    exit_code: int, said: tuple[str, ...], fault: str, tmp_path: Path
) -> None:
    from eqsat.runtime import Runtime

    place = Place(root=tmp_path / "place")
    end = End(exit_code=exit_code, said=said, seconds=0.1)
    with Runtime() as runtime:
        assert robustness._fault_of_killed(end, signal.SIGUSR1, place, runtime) == fault


@pytest.mark.slow
def test_what_must_hold_holds_for_some_damaged_files() -> None:
    rows = [*robustness.damaged_files(20, 0, 10, 2)]
    assert len(rows) == 22
    assert not [row for row in rows if row.fault]
