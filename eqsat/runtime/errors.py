"""What can go wrong when ONNX Runtime is asked something.

::

    EqsatError
    ├── MeasurementError            one question that got no answer; the next one may
    │   ├── SessionFailedError      ONNX Runtime refuses the model, or fails while it runs
    │   │   └── BrokenModelError    ... because the model is broken, and would be anywhere
    │   ├── UnsupportedValueError   an input or output that cannot travel: a sequence put in, sparse, 4 bit
    │   ├── RequestTimeoutError     no answer in time; the child process was killed
    │   └── ChildCrashedError       the child process died
    └── ProviderError               the execution provider is not available here (``eqsat.errors``)

After each of them the :class:`~eqsat.runtime.runtime.Runtime` can be used on: a dead child is replaced.
"""

from __future__ import annotations

from eqsat.errors import EqsatError


class MeasurementError(EqsatError):
    """One question to ONNX Runtime got no answer."""


class SessionFailedError(MeasurementError):
    """ONNX Runtime refuses the model, or fails while running it."""


class BrokenModelError(SessionFailedError):
    """ONNX Runtime refuses the model because it is no valid one."""


class UnsupportedValueError(MeasurementError):
    """A graph input that is no tensor, or an output that Python cannot hold."""


class RequestTimeoutError(MeasurementError):
    """ONNX Runtime gave no answer in time."""


class ChildCrashedError(MeasurementError):
    """The process that runs ONNX Runtime died."""
