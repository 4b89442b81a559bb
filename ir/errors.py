"""What can be wrong with a model."""

from __future__ import annotations


class InvalidModelError(Exception):
    """The file is no ONNX model that can be read safely; the message is one line."""


class UnsupportedModelError(InvalidModelError):
    """The model has a part that this package cannot rewrite, which ONNX Runtime may still run.

    Only a session tells whether it is broken: where one accepts it, the model can be kept as it is.
    """
