"""Process trees: their memory and their end."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress

import psutil


def tree(root_pid: int) -> Sequence[psutil.Process]:
    """Return ``root_pid`` and all its descendants, the root first; nothing where it has ended."""
    with suppress(psutil.Error):
        root = psutil.Process(root_pid)
        return root, *root.children(recursive=True)
    return ()


def resident_bytes(root_pid: int) -> int:
    """Return the resident memory of a process and its descendants together."""
    total = 0
    for process in tree(root_pid):
        with suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def kill_tree(root_pid: int) -> None:
    """Kill ``root_pid``, which leads a process group of its own, with its group and all its descendants."""
    found = tree(root_pid)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(root_pid, signal.SIGKILL)
    for process in found:
        with suppress(psutil.Error):
            process.kill()
