"""ONNX Runtime's telemetry, which is off wherever this project runs ONNX Runtime.

From the import of ``onnxruntime`` on it would keep a database and an identity in the user's cache folder and truncate
the file ``.ses`` in the folder for temporary files, through a link too (privacy notes: Privacy.md of ONNX Runtime).
"""

from __future__ import annotations

import os
from typing import Final

SWITCH: Final = {"ORT_DISABLE_TELEMETRY": "1"}
"""Environment variable that switches it off; it is read when ``onnxruntime`` is imported."""


def switch_off() -> None:
    """Switch it off in this process and its children, unless the user has set the variable; call before the import."""
    for name, value in SWITCH.items():
        os.environ.setdefault(name, value)
