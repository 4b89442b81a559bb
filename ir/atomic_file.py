"""Files that are there whole or not at all: the one way in which this project writes a file that a user names."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEW_MODE: Final = 0o666
"""Permissions of a new file, less what the user's umask takes away."""

_PRIVATE_MODE: Final = 0o600

_STREAMS: Final = (1, 2)
"""Descriptors of standard output and standard error."""


@contextmanager
def replacing(target: Path, *, is_durable: bool = True) -> Iterator[Path]:
    """Yield a temporary file whose content takes the place of ``target`` once the block has ended well.

    A regular file is replaced in one step and keeps its permissions; a new one gets those of the user's umask. Where
    ``target`` is a symbolic link, the file that it leads to is replaced and the link stays. A pipe, a character device
    and the standard streams of this process are never replaced: the content is written into them.

    Args:
        target: The file to write.
        is_durable: Wait until the elements are on the disk; scratch files need not.

    Raises:
        OSError: The file or its folder cannot be written.
    """
    status = _status(target)
    if status is not None and _is_written_into(status):
        with _private_file() as temporary:
            yield temporary
            _write_into(target, status, temporary)
        return
    goal = Path(os.path.realpath(target))
    temporary = _new_file(goal.parent, _NEW_MODE if status is None else _PRIVATE_MODE)
    mode = stat.S_IMODE((temporary.stat() if status is None else status).st_mode)
    try:
        yield temporary
        if is_durable:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(goal)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(target: Path, text: str, *, is_durable: bool = True) -> None:
    """Put a text in UTF-8 into a file, as :func:`replacing` does.

    Raises:
        OSError: The file or its folder cannot be written.
    """
    with replacing(target, is_durable=is_durable) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_writable(target: Path) -> None:
    """Check that :func:`replacing` can write a file; what stands there is not opened.

    Raises:
        OSError: It cannot; the file name of the error is the folder's where that is at fault.
    """
    status = _status(target)
    if status is not None and _is_written_into(status):
        if _stream_of(status) is None and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
        return
    folder = Path(os.path.realpath(target)).parent
    with tempfile.TemporaryFile(dir=folder):
        pass


def _status(target: Path) -> os.stat_result | None:
    """What stands at a path, links followed; None where nothing does."""
    try:
        return target.stat()
    except FileNotFoundError:
        return None


def _is_written_into(status: os.stat_result) -> bool:
    """Whether the content is written into what stands there; False for a regular file, which is replaced.

    Raises:
        OSError: It is a folder, a socket or a disk.
    """
    kind = stat.S_IFMT(status.st_mode)
    if _stream_of(status) is not None or kind in {stat.S_IFCHR, stat.S_IFIFO}:
        return True
    if kind != stat.S_IFREG:
        raise OSError(errno.EINVAL, f"it is a {_KINDS.get(kind, 'special file')}")
    return False


_KINDS: Final = {stat.S_IFDIR: "folder", stat.S_IFSOCK: "socket", stat.S_IFBLK: "block device"}


def _stream_of(status: os.stat_result) -> int | None:
    """The descriptor of the standard stream that leads to the same file, where there is one."""
    for descriptor in _STREAMS:
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), status):
                return descriptor
    return None


def _new_file(folder: Path, mode: int) -> Path:
    """Make an empty file under a name that nobody has."""
    path = folder / f".eqsat-{secrets.token_hex(8)}.tmp"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    return path


@contextmanager
def _private_file() -> Iterator[Path]:
    path = _new_file(Path(tempfile.gettempdir()), _PRIVATE_MODE)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _write_into(target: Path, status: os.stat_result, source: Path) -> None:
    with source.open("rb") as content, _opened(target, status) as stream:
        shutil.copyfileobj(content, stream)


def _opened(target: Path, status: os.stat_result) -> BinaryIO:
    """Open what is written into, without waiting for the other end of a pipe.

    Raises:
        OSError: It cannot be written, or nobody reads the pipe.
    """
    descriptor = _stream_of(status)
    if descriptor is not None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, ValueError, OSError):  # a stream that is closed has nothing to say
                stream.flush()
        return os.fdopen(os.dup(descriptor), "wb")
    try:
        opened = os.open(target, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, "nobody reads it") from error
        raise
    os.set_blocking(opened, True)
    return os.fdopen(opened, "wb")
