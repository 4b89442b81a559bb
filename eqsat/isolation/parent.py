"""The end of a process with the one that started it, however that ends."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import threading
import time
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_POLL_S: Final = 1.0


def die_with_parent() -> None:
    """Have this process end when its parent ends.

    On Linux the kernel kills it; elsewhere, as on macOS, a thread looks each second.
    """
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        return
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    os._exit(1)
