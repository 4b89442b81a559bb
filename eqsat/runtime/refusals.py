"""What ONNX Runtime means when it refuses a model: that the model is broken, or that it cannot run it here."""

from __future__ import annotations

import re
from typing import Final

import onnxruntime as ort

_STATE = ort.capi.onnxruntime_pybind11_state
_ALWAYS_BROKEN: Final = (_STATE.InvalidArgument, _STATE.InvalidGraph, _STATE.InvalidProtobuf)
_WHILE_LOADING: Final = re.compile(r"Load model from .*? failed:", re.DOTALL)
"""Before kernels and devices are asked: what fails here is the model's own fault."""

_NOT_HERE: Final = (
    "is not a registered function/op",
    "No Op registered for",
    "Unsupported model IR version",
    "only *guarantees* support for models stamped",
)
"""An operator or a version that this build does not know: another one may."""

_NOISE: Final = (
    re.compile(r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : "),
    _WHILE_LOADING,
    re.compile(r"/onnxruntime_src/\S+:\d+ [^(]*\((?:[^()]|\([^()]*\))*\) (?:const )?(?:\[with [^\]]*\] )?"),
    re.compile(r"\b\w+\.cc:\d+ \w+ "),
)
"""Codes, paths of source files and signatures of functions around the fact."""

_MAX_LENGTH: Final = 300


def is_broken(error: Exception) -> bool:
    """Return whether an error says that no build of ONNX Runtime could take the model."""
    text = str(error)
    if any(sign in text for sign in _NOT_HERE):
        return False
    if isinstance(error, UnicodeDecodeError):
        return True  # the binding cannot pass on a refusal that quotes a name of the model
    return isinstance(error, _ALWAYS_BROKEN) or (
        isinstance(error, _STATE.Fail) and _WHILE_LOADING.search(text) is not None
    )


def fact(error: Exception) -> str:
    """Return what an error of ONNX Runtime says, on one line of readable length."""
    if isinstance(error, UnicodeDecodeError):
        return "a name in it is no UTF-8 text"
    text = " ".join(str(error).split())
    for noise in _NOISE:
        text = noise.sub("", text)
    return text if len(text) <= _MAX_LENGTH else f"{text[: _MAX_LENGTH - 3]}..."
