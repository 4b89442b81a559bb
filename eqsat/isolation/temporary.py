"""Temporary folders that do not outlive the process that made them, however it ends.

A folder is locked (``flock``) for as long as its owner lives. The kernel drops the lock with the process, so that what
is not locked belongs to nobody: whoever makes a folder first removes those that a killed process left. Process ids
take no part, since they are used again, and differ between containers that share a folder for temporary files.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, final

from eqsat.errors import StorageError

if TYPE_CHECKING:
    from types import TracebackType

PREFIX: Final = "eqsat-run-"
"""What the names of all such folders begin with."""

_HOME: Final = "TMPDIR"


@final
class TemporaryFolder:
    """A folder that goes when it is closed, when this object goes, or when this process ends.

    Attributes:
        path: Where it is.
        lock: Descriptor that holds its lock, for a child process that works in it; None where there are no locks.
    """

    def __init__(self) -> None:
        """Make the folder where temporary files go, and remove what killed processes have left there.

        Raises:
            StorageError: No folder can be made there.
        """
        try:
            parent = Path(tempfile.gettempdir())
            _clear_abandoned(parent)
            self.path, self.lock = _make(parent)
        except OSError as error:
            said = f"no temporary folder can be made: {error.strerror or error}; set {_HOME} to a folder with room"
            raise StorageError(said) from error
        self._finalizer = weakref.finalize(self, _remove, os.getpid(), self.path, self.lock)

    def __enter__(self) -> TemporaryFolder:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove the folder."""
        self.close()

    def close(self) -> None:
        """Remove the folder; a second call does nothing."""
        self._finalizer()

    def environment(self) -> Mapping[str, str]:
        """Return the environment of a child process whose temporary files go into this folder."""
        return {**os.environ, _HOME: str(self._home())}

    @contextmanager
    def as_home(self) -> Iterator[None]:
        """Have the temporary files of this process and of its children go into this folder."""
        set_before, found_before = os.environ.get(_HOME), tempfile.tempdir
        os.environ[_HOME] = tempfile.tempdir = str(self._home())
        try:
            yield
        finally:
            tempfile.tempdir = found_before
            if set_before is None:
                del os.environ[_HOME]
            else:
                os.environ[_HOME] = set_before

    def _home(self) -> Path:
        home = self.path / "temporary"
        home.mkdir(exist_ok=True)
        return home


def keep_log(log: IO[bytes]) -> str:
    """Copy a log to where it is kept; return what an error says about it, empty where there is nothing to read."""
    first = log.read(1)
    if not first:
        return ""
    try:
        with tempfile.NamedTemporaryFile(prefix="eqsat-", suffix=".log", delete=False) as kept:
            kept.write(first)
            shutil.copyfileobj(log, kept)
    except OSError as error:
        return f"; its log could not be kept: {error.strerror or error}"
    return f"; the log is {kept.name}"


def _make(parent: Path) -> tuple[Path, int | None]:
    """Return a new folder, and what holds its lock: None where this file system has no locks."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        try:
            return path, _lock(path)
        except (BlockingIOError, FileNotFoundError):
            continue  # another process found it before it was locked, and removes it
        except OSError:
            return path, None


def _lock(path: Path) -> int:
    """Return a descriptor that holds the lock of a folder.

    Raises:
        OSError: Another process holds it, it is no folder, or it cannot be locked.
    """
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.stat(path)  # noqa: PTH116 -- a folder that was removed meanwhile is locked in vain
    except OSError:
        os.close(folder)
        raise
    return folder


def _clear_abandoned(parent: Path) -> None:
    """Remove this user's folders that no living process has locked."""
    for path in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            found = path.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                continue
            lock = _lock(path)
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _remove(owner: int, path: Path, lock: int | None) -> None:
    if os.getpid() != owner:
        return  # a fork of the owner has a copy of this, but the folder is not its own
    shutil.rmtree(path, ignore_errors=True)
    if lock is not None:
        os.close(lock)
