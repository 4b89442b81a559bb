from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from eqsat.prices.beliefs import KERNEL_VERSION, Kernel
from eqsat.prices.database import SCHEMA_VERSION, PriceDatabase, PriceKey, StoredPrice, default_path

ROOT = Path(__file__).parents[2]

WRITER = """
import sys
from pathlib import Path
from tests.prices.test_database import key, price
from eqsat.prices.database import PriceDatabase
name, count, path = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
with PriceDatabase(path, on_warning=sys.exit) as database:
    index = 0
    while count == 0 or index < count:
        database.put_many({key(f"{name}-{index}-{part}"): price(index) for part in range(5)})
        print(index, flush=True)
        index += 1
"""

OPENER = """
import sys, time
from pathlib import Path
from eqsat.prices.database import PriceDatabase
folder, start = Path(sys.argv[1]), float(sys.argv[2])
for index in range(100):
    while time.time() < start + 0.02 * index:
        pass
    PriceDatabase(folder / f"{index}.sqlite", on_warning=sys.exit).close()
"""

BASE = PriceKey(
    signature="MatMul",
    provider="CPUExecutionProvider",
    device="Some CPU",
    threads=2,
    level="ORT_ENABLE_ALL",
    ort_version="1.31.1",
)


def key(signature: str = "MatMul") -> PriceKey:
    return replace(BASE, signature=signature)


def price(latency_us: float) -> StoredPrice:
    return StoredPrice(latency_us=latency_us, spread=0.1, num_runs=20, measured_at=1.7e9)


def write_elsewhere(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, name, str(count), str(path)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "prices.sqlite"


def fail(message: str) -> None:
    pytest.fail(message)


def test_prices_come_back_from_the_file(path: Path) -> None:
    with PriceDatabase(path, on_warning=fail) as database:
        database.put_many({key("a"): price(1.5), key("b"): price(2.5)})
    with PriceDatabase(path, on_warning=fail) as database:
        assert database.get_many([key("a"), key("b"), key("c")]) == {key("a"): price(1.5), key("b"): price(2.5)}
        database.put_many({key("a"): price(9.0)})
        assert database.get_many([key("a")]) == {key("a"): price(9.0)}
        assert database._connection is not None


@pytest.mark.parametrize(
    "other",
    [
        replace(BASE, signature="Gemm"),
        replace(BASE, provider="CUDAExecutionProvider"),
        replace(BASE, device="Other CPU"),
        replace(BASE, threads=1),
        replace(BASE, level="ORT_DISABLE_ALL"),
        replace(BASE, ort_version="1.32.0"),
    ],
)
def test_a_price_holds_only_where_it_was_measured(path: Path, other: PriceKey) -> None:
    with PriceDatabase(path, on_warning=fail) as database:
        database.put_many({BASE: price(1.0)})
        assert database.get_many([other]) == {}


@pytest.mark.parametrize("latency_us", [-1.0, float("nan"), float("inf")])
def test_no_time_but_a_finite_one_is_a_price(latency_us: float) -> None:
    with pytest.raises(ValueError, match="no price"):
        price(latency_us)


def test_prices_of_a_kernel_come_back_with_what_they_are_of(path: Path) -> None:
    sizes = {"a": ("MatMul", 10.0), "b": ("MatMul", 20.0), "c": ("Add", 1.0), "d": ("Add", 2.0)}
    kernels = {name: Kernel(*size) for name, size in sizes.items()}
    with PriceDatabase(path, on_warning=fail) as database:
        database.put_many({key(name): price(number + 1.0) for number, name in enumerate("abc")})
        database.put_many({key("b"): replace(price(5.0), measured_at=1.8e9), replace(key("a"), threads=1): price(7.0)})
        database.describe(kernels)
        assert database.of_kernels(key(), ["Mul"], 9) == {}
    with PriceDatabase(path, on_warning=fail) as database:
        matmuls = {"b": (Kernel("MatMul", 20.0), 5.0), "a": (Kernel("MatMul", 10.0), 1.0)}
        assert database.of_kernels(key(), ["MatMul"], 9) == matmuls
        assert database.of_kernels(key(), ["MatMul", "Add"], 9) == matmuls | {"c": (Kernel("Add", 1.0), 3.0)}
        assert list(database.of_kernels(key(), ["MatMul"], 1)) == ["b"], "the latest one"
        elsewhere = database.of_kernels(replace(BASE, threads=1), ["MatMul", "Add"], 9)
        assert elsewhere == {"a": (Kernel("MatMul", 10.0), 7.0)}
        database.describe({"a": Kernel("MatMul/weight", 11.0)})
        assert list(database.of_kernels(key(), ["MatMul"], 9)) == ["b"]


def test_what_another_version_calls_a_kernel_is_not_learnt_from(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with PriceDatabase(path, on_warning=fail) as database:
        database.put_many({key(): price(1.0)})
        database.describe({"MatMul": Kernel("MatMul", 10.0)})
        assert database.of_kernels(key(), ["MatMul"], 9)
        monkeypatch.setattr("eqsat.prices.database.KERNEL_VERSION", KERNEL_VERSION + 1)
        assert not database.of_kernels(key(), ["MatMul"], 9)


def test_a_file_that_does_not_know_kernels_yet_keeps_its_prices(path: Path) -> None:
    with PriceDatabase(path, on_warning=fail) as database:
        database.put_many({key(): price(1.0)})
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE kernels")
    connection.close()
    with PriceDatabase(path, on_warning=fail) as database:
        database.describe({"MatMul": Kernel("MatMul", 10.0)})
        assert database.of_kernels(key(), ["MatMul"], 9) == {"MatMul": (Kernel("MatMul", 10.0), 1.0)}


def test_memory_knows_nothing_of_other_models(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with PriceDatabase(tmp_path / "file" / "prices.sqlite") as database:
        database.put_many({key(): price(1.0)})
        database.describe({"MatMul": Kernel("MatMul", 10.0)})
        assert database.of_kernels(key(), ["MatMul"], 9) == {}


def test_two_processes_write_at_once_and_nothing_is_lost(path: Path) -> None:
    with write_elsewhere(path, "one", 40) as one, write_elsewhere(path, "two", 40) as two:
        assert (one.wait(60), two.wait(60)) == (0, 0)
    wanted = [key(f"{name}-{index}-{part}") for name in ("one", "two") for index in range(40) for part in range(5)]
    with PriceDatabase(path, on_warning=fail) as database:
        assert len(database.get_many(wanted)) == 400


def test_two_processes_make_one_file_at_once(tmp_path: Path) -> None:
    """Most rounds miss the moment in which both change the journal mode; a hundred of them do not."""
    command = [sys.executable, "-c", OPENER, str(tmp_path), str(time.time() + 1.0)]
    with subprocess.Popen(command, cwd=ROOT) as one, subprocess.Popen(command, cwd=ROOT) as two:
        assert (one.wait(60), two.wait(60)) == (0, 0)


def test_a_killed_writer_leaves_whole_rows_and_no_lock(path: Path) -> None:
    with write_elsewhere(path, "victim", 0) as victim:
        assert victim.stdout is not None
        told = [int(victim.stdout.readline()) for _ in range(20)]
        victim.send_signal(signal.SIGKILL)
        told += [int(line) for line in victim.stdout.read().split()]
    with PriceDatabase(path, on_warning=fail) as database:
        stored = database.get_many([key(f"victim-{index}-{part}") for index in told for part in range(5)])
        assert len(stored) == 5 * len(told)
        beyond = database.get_many([key(f"victim-{told[-1] + 1}-{part}") for part in range(5)])
        assert len(beyond) in (0, 5)
        database.put_many({key("after"): price(1.0)})
        assert database._connection is not None


def use(path: Path) -> list[str]:
    """Use a database in every way and return the warnings; what was put is there in any case."""
    warnings: list[str] = []
    with PriceDatabase(path, on_warning=warnings.append) as database:
        database.get_many([key()])
        database.of_kernels(key(), ["MatMul"], 9)
        database.put_many({key("mine"): price(1.0)})
        database.describe({"mine": Kernel("MatMul", 1.0)})
        assert database.get_many([key("mine")]) == {key("mine"): price(1.0)}
        assert (database._connection is None) == bool(warnings)
    return warnings


def run_sql(path: Path, *statements: str, parameters: tuple[object, ...] = ()) -> None:
    path.parent.mkdir(exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement, parameters)
    connection.close()


@pytest.mark.parametrize(
    "content", [b"x", b"this is no database" * 100, b"SQLite format 3\x00", b"SQLite format 3\x00" + b"\xff" * 4000]
)
def test_a_broken_file_means_memory_and_one_warning(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    (warning,) = use(path)
    assert str(path) in warning
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


FOREIGN = {
    "another table": ["CREATE TABLE books (title)"],
    "another table of our version": ["CREATE TABLE books (title)", f"PRAGMA user_version = {SCHEMA_VERSION}"],
    "a table of our name": ["CREATE TABLE prices (item, euros)", "INSERT INTO prices VALUES ('tea', 3)"],
    "a view": ["CREATE VIEW prices AS SELECT 1"],
    "a mark": ["PRAGMA application_id = 12345"],
    "a hidden name": ["CREATE TABLE sqliteXbooks (title)"],
    "a higher version of something else": ["CREATE TABLE moz_places (url)", "PRAGMA user_version = 75"],
}


@pytest.mark.parametrize("statements", FOREIGN.values(), ids=FOREIGN)
def test_what_is_not_ours_is_not_changed(path: Path, statements: list[str]) -> None:
    run_sql(path, *statements)
    before = path.read_bytes()
    (warning,) = use(path)
    assert "it is no price database" in warning
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


MEDDLED = {
    "a trigger": ["CREATE TRIGGER prices AFTER INSERT ON prices BEGIN DELETE FROM prices; END"],
    "an index": ["CREATE INDEX other ON prices (latency_us)"],
    "a column": ["ALTER TABLE prices ADD COLUMN more"],
    "a view in the place of a table": ["DROP TABLE kernels", "CREATE VIEW kernels AS SELECT signature FROM prices"],
}


@pytest.mark.parametrize("statements", MEDDLED.values(), ids=MEDDLED)
def test_a_database_that_somebody_has_rebuilt_is_not_used(path: Path, statements: list[str]) -> None:
    assert not use(path)
    run_sql(path, *statements)
    before = path.read_bytes()
    (warning,) = use(path)
    assert "it is no price database" in warning
    assert path.read_bytes() == before


NO_PRICES = ["dear", b"dear", 1e308, float("inf"), 1e13]


@pytest.mark.parametrize("value", NO_PRICES, ids=repr)
def test_a_row_that_is_no_price_means_memory(path: Path, value: object) -> None:
    with PriceDatabase(path, on_warning=fail) as database:
        database.put_many({key(): price(2.0)})
    run_sql(path, "UPDATE prices SET latency_us = ?", parameters=(value,))
    (warning,) = use(path)
    assert "is no price" in warning
    assert warning.isprintable()


@pytest.mark.parametrize("column", ["spread", "num_runs", "measured_at"])
def test_a_row_without_its_numbers_means_memory(path: Path, column: str) -> None:
    with PriceDatabase(path, on_warning=fail) as database:
        database.put_many({key(): price(2.0)})
    run_sql(path, f"UPDATE prices SET {column} = 'many'")  # noqa: S608 -- the columns above
    (warning,) = use(path)
    assert "is no price" in warning


@pytest.mark.parametrize("value", NO_PRICES, ids=repr)
@pytest.mark.parametrize("change", ["UPDATE kernels SET roofline_us = ?", "UPDATE prices SET latency_us = ?"])
def test_a_kernel_that_is_none_means_memory(path: Path, change: str, value: object) -> None:
    with PriceDatabase(path, on_warning=fail) as database:
        database.put_many({key("other"): price(2.0)})
        database.describe({"other": Kernel("MatMul", 1.0)})
    run_sql(path, change, parameters=(value,))
    (warning,) = use(path)
    assert "is no price" in warning


def test_a_name_that_is_no_text_or_too_long_means_memory(path: Path) -> None:
    with PriceDatabase(path, on_warning=fail) as database:
        database.put_many({key("other"): price(2.0)})
        database.describe({"other": Kernel("MatMul", 1.0)})
    run_sql(path, "UPDATE prices SET signature = CAST(x'fffe' AS TEXT)", "UPDATE kernels SET signature = x'fffe'")
    assert not use(path), "no question has this row as its answer"
    run_sql(path, "UPDATE kernels SET signature = CAST(x'fffe' AS TEXT) WHERE signature = x'fffe'")
    assert len(use(path)) == 1
    path.unlink()
    with PriceDatabase(path, on_warning=fail) as database:
        database.put_many({key("other"): price(2.0)})
        database.describe({"other": Kernel("MatMul", 1.0)})
    run_sql(path, *(f"UPDATE {table} SET signature = printf('%.*c', 17000000, 'x')" for table in ("prices", "kernels")))  # noqa: S608
    (warning,) = use(path)
    assert "too big" in warning


def test_damaged_pages_mean_memory(path: Path) -> None:
    with PriceDatabase(path, on_warning=fail) as database:
        database.put_many({key(f"{index}"): price(1.0) for index in range(2000)})
    content = bytearray(path.read_bytes())
    content[3 * 4096 :] = b"\xa5" * (len(content) - 3 * 4096)
    path.write_bytes(content)
    (warning,) = use(path)
    assert "malformed" in warning


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, 2**31 - 1])
@pytest.mark.parametrize("extra", [[], ["CREATE TABLE batches (number)"], ["PRAGMA journal_mode = DELETE"]], ids=repr)
def test_a_newer_database_is_not_changed(path: Path, version: int, extra: list[str]) -> None:
    assert not use(path)
    run_sql(path, *extra, f"PRAGMA user_version = {version}")
    before = path.read_bytes()
    (warning,) = use(path)
    assert f"newer version, schema {version}" in warning
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_database_that_stays_locked_means_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not use(path)
    run_sql(path, "PRAGMA journal_mode = DELETE")
    monkeypatch.setattr("eqsat.prices.database.BUSY_TIMEOUT_S", 0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    (warning,) = use(path)
    assert "locked" in warning
    other.execute("ROLLBACK")
    other.close()
    assert not use(path)


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    pipe, folder, device = tmp_path / "pipe", tmp_path / "folder", tmp_path / "device"
    os.mkfifo(pipe)
    folder.mkdir()
    device.symlink_to("/dev/null")
    for place in (pipe, folder, device):
        (warning,) = use(place)
        assert "no regular file" in warning
    assert sorted(tmp_path.iterdir()) == [device, folder, pipe]
    assert device.is_char_device()


def test_a_link_to_a_database_stays_a_link(tmp_path: Path) -> None:
    link = tmp_path / "link.sqlite"
    link.symlink_to("real.sqlite")
    assert not use(link)
    assert not use(tmp_path / "real.sqlite")
    assert sorted(tmp_path.iterdir()) == [link, tmp_path / "real.sqlite"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to everything")
def test_a_database_that_may_not_be_written_means_memory(path: Path) -> None:
    assert not use(path)
    path.chmod(0o444)
    (warning,) = use(path)
    assert "cannot be written to" in warning


@pytest.mark.parametrize("name", ["a?mode=ro.sqlite", "a#b%20.sqlite", ":memory:", "ü \n.sqlite"])
def test_every_name_is_a_name(tmp_path: Path, name: str) -> None:
    assert not use(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_that_breaks_while_in_use_means_memory(path: Path) -> None:
    warnings: list[str] = []
    with PriceDatabase(path, on_warning=warnings.append) as database:
        with sqlite3.connect(path) as other:
            other.execute("DROP TABLE prices")
        other.close()
        database.put_many({key(): price(1.0)})
        assert database.get_many([key()]) == {key(): price(1.0)}
    assert len(warnings) == 1


def test_a_place_that_cannot_be_written_means_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    warnings: list[str] = []
    with PriceDatabase(tmp_path / "file" / "prices.sqlite", on_warning=warnings.append) as database:
        database.put_many({key(): price(1.0)})
        assert database.get_many([key()]) == {key(): price(1.0)}
    assert len(warnings) == 1


def test_a_file_of_an_older_schema_is_emptied_and_of_a_newer_one_left_alone(path: Path) -> None:
    PriceDatabase(path, on_warning=fail).close()
    set_version(path, SCHEMA_VERSION - 1)
    with PriceDatabase(path, on_warning=fail) as database:
        database.put_many({key(): price(1.0)})
    set_version(path, SCHEMA_VERSION + 1)
    warnings: list[str] = []
    with PriceDatabase(path, on_warning=warnings.append) as database:
        assert database.get_many([key()]) == {}
    assert "newer" in warnings[0]
    set_version(path, SCHEMA_VERSION)
    with PriceDatabase(path, on_warning=fail) as database:
        assert database.get_many([key()]) == {key(): price(1.0)}


def set_version(path: Path, version: int) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()


def test_the_default_place_is_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_path() == tmp_path / "eqsat" / "prices.sqlite"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_path() == tmp_path / ".cache" / "eqsat" / "prices.sqlite"


def test_a_user_without_a_home_has_prices_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.chdir(tmp_path)
    warnings: list[str] = []
    with PriceDatabase(on_warning=warnings.append) as database:
        database.put_many({key(): price(1.0)})
        assert database.get_many([key()]) == {key(): price(1.0)}
    assert len(warnings) == 1
    assert not list(tmp_path.iterdir())


def test_a_closed_database_is_one_file(path: Path) -> None:
    PriceDatabase(path, on_warning=fail).close()
    assert list(path.parent.iterdir()) == [path]
