"""What can be wrong with a model."""

from __future__ import annotations


class InvalidModelError(Exception):
    """The file is no ONNX model that can be read safely; the message is one line."""
