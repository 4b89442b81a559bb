"""ONNX element types as numpy's."""

from __future__ import annotations

import numpy as np
import onnx_ir


def numpy_dtype(dtype: int) -> np.dtype:
    """Return numpy's element type for an ``onnx.TensorProto.DataType`` number.

    Raises:
        TypeError: numpy has none.
    """
    return np.dtype(onnx_ir.DataType(dtype).numpy())


def itemsize(dtype: int) -> float:
    """Return the bytes of one element; half a byte for 4 bit types."""
    return float(onnx_ir.DataType(dtype).itemsize)


def is_float(dtype: int) -> bool:
    """Return whether elements are floating-point numbers."""
    return bool(onnx_ir.DataType(dtype).is_floating_point())
