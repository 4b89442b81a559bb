"""What stands at the path of a file that is written: replaced in one step, or written into, or left alone."""

from __future__ import annotations

import os
import select
import socket
import stat
import subprocess
import sys
import threading
import tty
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ir.atomic_file import check_writable, replacing, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0o027, 0o640)])
def test_a_new_file_gets_what_the_umask_leaves(tmp_path: Path, mask: int, expected: int) -> None:
    with umask(mask):
        write_text(tmp_path / "new", "text")
    assert mode(tmp_path / "new") == expected


@pytest.mark.parametrize("kept", [0o600, 0o640, 0o755, 0o444])
def test_a_file_keeps_its_permissions(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(kept)
    with umask(0o022):
        write_text(path, "new")
    assert (mode(path), path.read_text()) == (kept, "new")


def test_content_is_private_until_it_stands_where_a_private_file_stood(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch(0o600)
    with umask(0o000), replacing(path) as temporary:
        assert mode(temporary) == 0o600


def test_a_writer_that_replaces_the_temporary_file_does_not_choose_the_permissions(tmp_path: Path) -> None:
    with umask(0o022), replacing(tmp_path / "file") as temporary:
        temporary.unlink()
        temporary.touch(0o600)
    assert mode(tmp_path / "file") == 0o644


def test_a_link_stays_and_the_file_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    file = tmp_path / "folder" / "file"
    file.write_text("old")
    first, second = tmp_path / "first", tmp_path / "second"
    second.symlink_to("folder/file")
    first.symlink_to(second)
    before = file.stat().st_ino
    write_text(first, "new")
    assert (first.is_symlink(), second.is_symlink(), file.read_text()) == (True, True, "new")
    assert file.stat().st_ino != before, "replaced in one step"
    assert [path.name for path in file.parent.iterdir()] == ["file"]


def test_a_link_that_leads_nowhere_makes_its_file(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("file")
    write_text(link, "text")
    assert link.is_symlink()
    assert (tmp_path / "file").read_text() == "text"


def test_a_link_into_itself_is_an_error(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("link")
    for put in (check_writable, lambda path: write_text(path, "")):
        with pytest.raises(OSError, match="symbolic links"):
            put(link)
    assert link.is_symlink()


def test_a_device_is_written_into(tmp_path: Path) -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    device = Path(os.ttyname(slave))
    link = tmp_path / "link"
    link.symlink_to(device)
    check_writable(link)
    write_text(link, "text")
    assert os.read(master, 100) == b"text"
    assert stat.S_ISCHR(device.stat().st_mode)
    assert link.is_symlink()
    os.close(master)
    os.close(slave)


def test_a_pipe_is_written_into_where_somebody_reads_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_writable(pipe)
    read: list[str] = []
    text = "text" * 100_000
    with pytest.raises(OSError, match="nobody reads it"):
        write_text(pipe, text)
    open_end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    reader = threading.Thread(target=lambda: read.append(_all(open_end)))
    reader.start()
    write_text(pipe, text)
    reader.join()
    assert read == [text]
    assert pipe.is_fifo()


def _all(descriptor: int) -> str:
    select.select([descriptor], [], [])  # before somebody writes, a pipe looks as if it had ended
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor) as stream:
        return stream.read()


def test_standard_output_is_written_into_whatever_it_is(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from ir.atomic_file import check_writable, write_text\n"
        "print('before'); check_writable(Path('/dev/stdout'))\n"
        "write_text(Path('/dev/stdout'), 'text\\n'); print('after')"
    )
    expected = "before\ntext\nafter\n"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == expected
    file = tmp_path / "file"
    with file.open("w") as stream:
        subprocess.run(command, cwd=ROOT, stdout=stream, check=True)
    assert file.read_text() == expected


def test_folders_and_sockets_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for name in ("folder", "socket"):
            for put in (check_writable, lambda path: write_text(path, "")):
                with pytest.raises(OSError, match=f"it is a {name}"):
                    put(tmp_path / name)
        assert (tmp_path / "socket").is_socket()


def test_nothing_is_left_of_a_writer_that_failed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")

    def fail() -> None:
        with replacing(tmp_path / "file") as temporary:
            temporary.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    write_text(tmp_path / ("n" * 255), "text")
    assert [len(path.name) for path in tmp_path.iterdir()] == [255]


def test_checking_changes_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        check_writable(tmp_path / "missing" / "file")
