"""Names of the processors that providers run on."""

from __future__ import annotations

import ctypes
import platform
import sys
from pathlib import Path

from eqsat.runtime.providers import provider_row
from eqsat.runtime.settings import CPU_PROVIDER

_CPU_INFO = Path("/proc/cpuinfo")
_NAME_LENGTH = 256


def device_name(provider: str) -> str:
    """Return the model name of the device a provider runs on: the graphics card for CUDA and TensorRT, else the CPU."""
    if provider_row(provider).needs_cuda:
        return cuda_name()
    if provider == CPU_PROVIDER:
        return cpu_name()
    return f"{provider} on {cpu_name()}"


def cpu_name(cpu_info: Path = _CPU_INFO) -> str:
    """Return the CPU's model name, or at least its architecture."""
    if cpu_info.exists():
        for line in cpu_info.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine() or "unknown CPU"


def has_cuda() -> bool:
    """Return whether a driver for CUDA devices is installed; nothing is started."""
    return _cuda_driver() is not None


def _cuda_driver() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None


def cuda_name(ordinal: int = 0) -> str:
    """Return the name of a CUDA device as its driver tells it."""
    driver = _cuda_driver()
    if driver is None:
        return "unknown GPU"
    device = ctypes.c_int()
    name = ctypes.create_string_buffer(_NAME_LENGTH)
    is_found = (
        driver.cuInit(0) == 0
        and driver.cuDeviceGet(ctypes.byref(device), ordinal) == 0
        and driver.cuDeviceGetName(name, _NAME_LENGTH, device) == 0
    )
    return name.value.decode(errors="replace") if is_found else "unknown GPU"
