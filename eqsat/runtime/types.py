"""Types of ONNX Runtime by which layers above annotate; nothing is imported when a program runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    __all__ = ["InferenceSession"]
