"""Imports egglog on a stack of its own.

egglog keeps the frame that it was imported in, and with it the frames of all callers and what their variables hold: a
result, and the folder that goes with it, would never go. A thread has no callers.
"""

from __future__ import annotations

import importlib
import threading

_importing = threading.Thread(target=importlib.import_module, args=("egglog",), name="import of egglog")
_importing.start()
_importing.join()
