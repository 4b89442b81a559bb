"""Keeps measured prices between runs and shares them between processes.

A price database is a cache: losing it costs time, never correctness. So nothing that can be wrong with the file
reaches the caller as an exception; the prices then live in memory only, and one warning says so. A file is looked at
without being opened for writing first: what is no price database of this version or an older one is never changed.
"""

from __future__ import annotations

import math
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, final

from eqsat.prices.beliefs import KERNEL_VERSION, Kernel

SCHEMA_VERSION: Final = 2
"""Stored in the file; a file of an older one is emptied, one of a newer one is left alone. Since 2 prices are told next
to the yardstick."""

BUSY_TIMEOUT_S: Final = 10.0
"""How long to wait for another process to finish writing; a price takes it milliseconds."""

_RETRY_S: Final = 0.01
"""Pause before a question is asked again that SQLite answered with busy at once."""

MAX_US: Final = 1e12
"""No price is longer: eleven days."""

_MAX_TEXT_BYTES: Final = 2**24
"""Longer texts are not read; a signature takes some hundred bytes."""

_CREATE: Final = """
CREATE TABLE prices (
    signature TEXT NOT NULL,
    provider TEXT NOT NULL,
    device TEXT NOT NULL,
    threads INTEGER NOT NULL,
    level TEXT NOT NULL,
    ort_version TEXT NOT NULL,
    latency_us REAL NOT NULL CHECK (latency_us >= 0),
    spread REAL NOT NULL,
    num_runs INTEGER NOT NULL,
    measured_at REAL NOT NULL,
    PRIMARY KEY (signature, provider, device, threads, level, ort_version)
) WITHOUT ROWID
"""
_SELECT: Final = """
SELECT latency_us, spread, num_runs, measured_at FROM prices
WHERE signature = ? AND provider = ? AND device = ? AND threads = ? AND level = ? AND ort_version = ?
"""
_UPSERT: Final = "INSERT OR REPLACE INTO prices VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

_CREATE_KERNELS: Final = """
CREATE TABLE kernels (
    signature TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    roofline_us REAL NOT NULL,
    version INTEGER NOT NULL
) WITHOUT ROWID
"""
_SCHEMA: Final = {
    "prices": _CREATE,
    "kernels": _CREATE_KERNELS,
    "kernels_by_name": "CREATE INDEX kernels_by_name ON kernels (name)",
}
"""Everything that a price database consists of, by name."""

_MAGIC: Final = b"SQLite format 3\0"
"""Begins every file of SQLite (sqlite.org/fileformat.html, section 1.3); SQLite takes a file of one byte for empty."""

_SELECT_SCHEMA: Final = "SELECT name, sql FROM sqlite_master WHERE substr(name, 1, 7) <> 'sqlite_'"
_UPSERT_KERNEL: Final = "INSERT OR REPLACE INTO kernels VALUES (?, ?, ?, ?)"
_SELECT_OTHERS: Final = """
SELECT signature, roofline_us, latency_us FROM kernels JOIN prices USING (signature)
WHERE name = ? AND version = ? AND provider = ? AND device = ? AND threads = ? AND level = ? AND ort_version = ?
ORDER BY measured_at DESC, signature LIMIT ?
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceKey:
    """What a price is the price of; equal keys may share one measurement.

    Attributes:
        signature: Text that determines the micro-model: operator, attributes, types.
        provider: ONNX Runtime provider name.
        device: Name of the processor or graphics card.
        threads: Intra-op threads; 0 is ONNX Runtime's default.
        level: Graph optimisation level.
        ort_version: Version of ONNX Runtime.
    """

    signature: str
    provider: str
    device: str
    threads: int
    level: str
    ort_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPrice:
    """A price as it is kept.

    Attributes:
        latency_us: Time of the micro-model's nodes; finite, not negative.
        spread: Distance of the quartiles of the runs over their median.
        num_runs: Runs behind it.
        measured_at: When, in seconds since 1970 (UTC).

    Raises:
        ValueError: ``latency_us`` is negative, not finite or above :data:`MAX_US`, or another field is no number.
    """

    latency_us: float
    spread: float
    num_runs: int
    measured_at: float

    def __post_init__(self) -> None:
        others = (self.spread, self.num_runs, self.measured_at)
        if not (_is_time(self.latency_us) and all(map(_is_number, others))):
            raise ValueError(f"{self.latency_us!r:.40} us is no price")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value <= MAX_US


def default_path() -> Path:
    """Return the user's price database: ``eqsat/prices.sqlite`` in ``$XDG_CACHE_HOME``, or in ``~/.cache``.

    Raises:
        RuntimeError: The user has no home.
    """
    configured = os.environ.get("XDG_CACHE_HOME", "")
    cache = Path(configured) if Path(configured).is_absolute() else Path.home() / ".cache"
    return cache / "eqsat" / "prices.sqlite"


@final
class PriceDatabase:
    """Prices by key, in a SQLite file that several processes may use at once, or in memory where the file is no use."""

    def __init__(self, path: Path | None = None, *, on_warning: Callable[[str], None] = lambda _: None) -> None:
        """Open or make the file.

        Args:
            path: The file; :func:`default_path` where it is left out.
            on_warning: Is told, at most once, why prices are kept in memory only.
        """
        self._path = Path("prices.sqlite") if path is None else path
        self._on_warning = on_warning
        self._lock = threading.RLock()
        self._memory: dict[PriceKey, StoredPrice] = {}
        self._connection: sqlite3.Connection | None = None
        with self._falling_back():
            if path is None:
                self._path = default_path()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _check_file(self._path)
            self._connection = _connect(self._path, "rwc")
            _prepare(self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def get_many(self, keys: Iterable[PriceKey]) -> dict[PriceKey, StoredPrice]:
        """Return the prices that are known, by key."""
        wanted = list(keys)
        with self._lock:
            found = {key: self._memory[key] for key in wanted if key in self._memory}
            with self._falling_back():
                if self._connection is not None:
                    for key in wanted:
                        row = self._connection.execute(_SELECT, astuple(key)).fetchone()
                        if row is not None:
                            found[key] = _stored_price(row)
        return found

    def put_many(self, prices: Mapping[PriceKey, StoredPrice]) -> None:
        """Keep prices, all of them or none; a known key gets the new price."""
        with self._lock:
            with self._falling_back():
                if self._connection is not None:
                    rows = [(*astuple(key), *astuple(price)) for key, price in prices.items()]
                    with _transaction(self._connection):
                        self._connection.executemany(_UPSERT, rows)
                    return
            self._memory.update(prices)

    def describe(self, kernels: Mapping[str, Kernel]) -> None:
        """Keep what prices are of.

        Args:
            kernels: By signature.
        """
        with self._lock, self._falling_back():
            if self._connection is not None:
                rows = [
                    (signature, kernel.name, kernel.roofline_us, KERNEL_VERSION)
                    for signature, kernel in kernels.items()
                    if _is_time(kernel.roofline_us)
                ]
                with _transaction(self._connection):
                    self._connection.executemany(_UPSERT_KERNEL, rows)

    def of_kernels(self, like: PriceKey, names: Iterable[str], most: int) -> dict[str, tuple[Kernel, float]]:
        """Return prices of kernels, in microseconds, and what they are of, by signature; none while in memory.

        Args:
            like: Where they were measured; its signature does not count.
            names: Names of the kernels.
            most: Prices of one kernel, at most: the latest ones.
        """
        found: dict[str, tuple[Kernel, float]] = {}
        _, *where = astuple(like)
        with self._lock, self._falling_back():
            if self._connection is not None:
                for name in sorted(names):
                    rows = self._connection.execute(_SELECT_OTHERS, (name, KERNEL_VERSION, *where, most))
                    found |= {signature: _stored_kernel(name, roofline, us) for signature, roofline, us in rows}
        return found

    def close(self) -> None:
        """Close the file; prices put afterwards stay in memory."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    @contextmanager
    def _falling_back(self) -> Iterator[None]:
        """Turn to memory for good when the file cannot be used."""
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, RuntimeError) as error:
            self.close()
            why = " ".join(str(error).split())
            self._on_warning(f"{self._path}: prices are not kept after this run ({why}); give another --cost-db")


def _check_file(path: Path) -> None:
    """Check, without changing it, that a file may become a price database: it is one, or empty, or not there.

    Raises:
        ValueError: It is something else, or of a newer version.
        sqlite3.Error: It is damaged, or locked for long.
        OSError: It cannot be read.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no regular file")
    if not os.access(path, os.R_OK | os.W_OK):
        raise PermissionError("it cannot be written to")
    with path.open("rb") as file:
        magic = file.read(len(_MAGIC))
    if not magic:
        return
    if magic != _MAGIC:
        raise ValueError("it is no price database")
    if not Path(f"{path.resolve()}-wal").exists():
        with suppress(sqlite3.Error), closing(_connect(path, "ro&immutable=1")) as connection:
            _check_schema(connection)
            return
    with closing(_connect(path, "ro")) as connection:
        _patiently(lambda: _check_schema(connection))


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """Connect to a file; nothing of it is read yet.

    Args:
        path: The file.
        mode: ``ro`` changes nothing, and with ``immutable=1`` makes no files beside it either, but is wrong where
            another process writes just then; ``rwc`` makes the file where it is missing.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_TEXT_BYTES)
    return connection


def _check_schema(connection: sqlite3.Connection) -> bool:
    """Return whether everything is there that a price database consists of.

    Raises:
        ValueError: It is of a newer version, or holds what no price database does.
    """
    version = _number(connection, "user_version")
    found = connection.execute(_SELECT_SCHEMA).fetchall()
    if version > SCHEMA_VERSION and (not found or "prices" in dict(found)):
        raise ValueError(f"written by a newer version, schema {version}")
    for name, sql in found:
        if name not in _SCHEMA or str(sql).split() != _SCHEMA[name].split():
            raise ValueError(f"it is no price database: it holds {name!r:.40}")
    if _number(connection, "application_id"):
        raise ValueError("it is no price database: another application has marked it as its own")
    return version == SCHEMA_VERSION and len(found) == len(_SCHEMA)


def _prepare(connection: sqlite3.Connection) -> None:
    """Turn to write-ahead logging and make what is missing; an older version is emptied.

    Raises:
        ValueError: Meanwhile it has become something else.
    """
    _patiently(lambda: connection.execute("PRAGMA journal_mode = WAL"))
    connection.execute("PRAGMA synchronous = NORMAL")
    if _check_schema(connection):
        return
    with _transaction(connection):
        _check_schema(connection)
        if _number(connection, "user_version") < SCHEMA_VERSION:
            connection.execute("DROP TABLE IF EXISTS prices")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        found = dict(connection.execute(_SELECT_SCHEMA))
        for name, sql in _SCHEMA.items():
            if name not in found:
                connection.execute(sql)


def _patiently(ask: Callable[[], object]) -> None:
    """Ask SQLite something, and again while another process is in the way.

    SQLite answers busy at once, without the connection's timeout, where two connections change the journal mode
    together.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            ask()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_S)
        else:
            return


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the write lock from the beginning, so that two writers wait for each other and never deadlock."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _stored_price(row: tuple[float, float, int, float]) -> StoredPrice:
    """Return a row as a price.

    Raises:
        ValueError: It is none, whatever the file says.
    """
    latency_us, spread, num_runs, measured_at = row
    return StoredPrice(latency_us=latency_us, spread=spread, num_runs=num_runs, measured_at=measured_at)


def _stored_kernel(name: str, roofline_us: float, latency_us: float) -> tuple[Kernel, float]:
    """Return a row as what a price is of, and the price.

    Raises:
        ValueError: It is neither, whatever the file says.
    """
    if not (_is_time(roofline_us) and _is_time(latency_us)):
        raise ValueError(f"{latency_us!r:.40} us of {roofline_us!r:.40} us is no price")
    return Kernel(name, roofline_us), latency_us
