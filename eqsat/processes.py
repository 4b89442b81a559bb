"""Process trees, read from ``/proc``: their memory and their end.

Where there is no ``/proc``, a tree is its root alone and its memory reads as 0.
"""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


def tree(root_pid: int) -> tuple[int, ...]:
    """Return the ids of ``root_pid`` and all its descendants, the root first; processes may end meanwhile."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in _PROC.glob("[0-9]*"):
        with suppress(OSError):
            # "pid (name) state ppid ...": the name may hold spaces and brackets, so count from the last bracket.
            stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            children[int(stat.rpartition(")")[2].split()[1])].append(int(entry.name))
    found = [root_pid]
    for pid in found:
        found.extend(children[pid])
    return tuple(found)


def resident_bytes(pids: Iterable[int]) -> int:
    """Return the sum of the resident memory of ``pids``; a process that has ended counts as 0."""
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    total = 0
    for pid in pids:
        with suppress(OSError, IndexError):
            total += int((_PROC / str(pid) / "statm").read_text(encoding="ascii").split()[1]) * page_bytes
    return total


def kill_tree(root_pid: int) -> None:
    """Kill ``root_pid``, which leads a process group of its own, with its group and all its descendants."""
    pids = tree(root_pid)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(root_pid, signal.SIGKILL)
    for pid in pids[1:]:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
