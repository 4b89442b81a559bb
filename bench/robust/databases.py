"""Price databases that nobody would wish for: none of them stops a run, and none that is not ours is changed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Final

Spoil = Callable[[Path], None]
"""Makes a database of a sound one, which is there and holds the prices that the next run will ask for."""


def _with(*statements: str) -> Spoil:
    def spoil(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            for statement in statements:
                connection.execute(statement)

    return spoil


def _prices(value: str) -> Spoil:
    """Every price is a value that none can be; the table is made anew, without its constraints."""
    columns = ", ".join(
        f"{value} AS latency_us" if column == "latency_us" else column
        for column in [
            "signature",
            "provider",
            "device",
            "threads",
            "level",
            "ort_version",
            "latency_us",
            "spread",
            "num_runs",
            "measured_at",
        ]
    )
    return _with(
        f"CREATE TABLE loose AS SELECT {columns} FROM prices",  # noqa: S608  # the values are those below
        "DROP TABLE prices",
        "ALTER TABLE loose RENAME TO prices",
    )


def _kept_prices(value: str) -> Spoil:
    """The same in the table as it is, which holds whatever its type may be turned into."""
    return _with(f"UPDATE prices SET latency_us = {value}")  # noqa: S608  # the values are those below


def _text(path: Path) -> None:
    path.write_text("These are no prices.\n" * 50)


def _garbage(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00" + os.urandom(8192))


def _torn(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:6000] = b"\xff" * (6000 - 4096)
    path.write_bytes(bytes(data[: len(data) - 2000]))


def _anew(make: Spoil) -> Spoil:
    def spoil(path: Path) -> None:
        path.unlink()
        make(path)

    return spoil


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/full")


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere/at/all")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _readonly(path: Path) -> None:
    path.chmod(0o400)


DATABASES: Final[Mapping[str, Spoil]] = MappingProxyType(
    {
        "text": _text,
        "empty": _anew(Path.touch),
        "random bytes": _garbage,
        "a torn file": _torn,
        "a folder": _anew(Path.mkdir),
        "a FIFO": _anew(_fifo),
        "a full device": _anew(_device),
        "a link to nowhere": _anew(_dangling),
        "a link to itself": _anew(_loop),
        "read only": _readonly,
        "a newer version": _with("PRAGMA user_version = 999"),
        "an older version": _with("PRAGMA user_version = 0"),
        "another program's": _with("PRAGMA application_id = 12345", "CREATE TABLE bookmarks (url TEXT)"),
        "no table": _with("DROP TABLE prices"),
        "a view for a table": _with("DROP TABLE prices", "CREATE VIEW prices AS SELECT 1 AS signature"),
        "a trigger": _with("CREATE TRIGGER t AFTER INSERT ON prices BEGIN DELETE FROM prices; END"),
        "prices of text": _kept_prices("'many'"),
        "prices that are blobs": _kept_prices("x'00ff'"),
        "prices of 1e308": _kept_prices("1e308"),
        "prices of infinity": _kept_prices("9e999"),
        "prices below zero": _kept_prices("-1.0"),
        "no prices but NULL": _prices("NULL"),
        "loose prices of text": _prices("'many'"),
    }
)
"""What makes each of a sound one, by name."""

UNTOUCHED: Final = frozenset({"text", "random bytes", "a newer version", "another program's"})
"""Those that must be the same bytes afterwards."""
