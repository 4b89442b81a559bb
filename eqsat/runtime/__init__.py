"""The only door to ONNX Runtime, which runs in a child process; importing this does not import it."""

from eqsat.runtime.batch import ModelRun
from eqsat.runtime.errors import (
    BrokenModelError,
    ChildCrashedError,
    MeasurementError,
    RequestTimeoutError,
    SessionFailedError,
    UnsupportedValueError,
)
from eqsat.runtime.intervals import paired_interval
from eqsat.runtime.measurements import (
    LAYOUT_OPERATORS,
    Comparison,
    Contender,
    ContenderResult,
    Kernel,
    Price,
    Profile,
    StopReason,
)
from eqsat.runtime.runtime import Runtime, require_providers
from eqsat.runtime.settings import CPU_PROVIDER, CUDA_PROVIDER, Device, OptimizationLevel, SessionSettings

__all__ = [
    "CPU_PROVIDER",
    "CUDA_PROVIDER",
    "LAYOUT_OPERATORS",
    "BrokenModelError",
    "ChildCrashedError",
    "Comparison",
    "Contender",
    "ContenderResult",
    "Device",
    "Kernel",
    "MeasurementError",
    "ModelRun",
    "OptimizationLevel",
    "Price",
    "Profile",
    "RequestTimeoutError",
    "Runtime",
    "SessionFailedError",
    "SessionSettings",
    "StopReason",
    "UnsupportedValueError",
    "paired_interval",
    "require_providers",
]
