"""Inputs in the layout of ONNX's own test data: ``input_0.pb``, ``input_1.pb`` and so on, one tensor each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import onnx.numpy_helper
from google.protobuf.message import DecodeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np


def read_test_data(folder: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the tensors of a folder by input name; empty where it holds none.

    Args:
        folder: Where ``input_0.pb`` is.
        names: Inputs of the model in order: a tensor without a name belongs to the input of its number.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is no dense tensor, or there are more of them than inputs.
    """
    found: dict[str, np.ndarray] = {}
    number = 0
    while (path := folder / f"input_{number}.pb").is_file():
        tensor = onnx.TensorProto()
        try:
            tensor.ParseFromString(path.read_bytes())
            array = onnx.numpy_helper.to_array(tensor)
        except (DecodeError, TypeError, ValueError) as error:
            raise ValueError(f"{path.name} is no tensor") from error
        if tensor.name not in names and number >= len(names):
            raise ValueError(f"{path.name} is one tensor more than the model has inputs")
        found[tensor.name if tensor.name in names else names[number]] = array
        number += 1
    return found
