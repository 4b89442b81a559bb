"""Files of a checkpoint, which may come from anywhere: whatever is in them, they are read within bounds or refused."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from safetensors import SafetensorError, safe_open

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

_MAX_DESCRIPTION_BYTES: Final = 2**24


class StoredError(ValueError):
    """A file is missing, or is not what it should be; the message says why, as the end of a sentence."""


def read_description(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        StoredError: There is none.
    """
    try:
        if not path.is_file():
            raise StoredError(f"{path} is no file")
        if path.stat().st_size > _MAX_DESCRIPTION_BYTES:
            raise StoredError(f"{path} is too large")
        found = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise StoredError(f"{path} is nested too deeply") from None
    except (OSError, ValueError) as error:
        raise error if isinstance(error, StoredError) else StoredError(f"{path}: {error}") from error
    if not isinstance(found, dict):
        raise StoredError(f"{path} is no JSON object")
    return found


def read_tensors(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors in a file; none is read before the file is known to hold what is expected.

    Args:
        path: A safetensors file.
        expected: A tensor of the shape and the element type of each, by name; it may be one without values.

    Raises:
        StoredError: There are others, or one holds a value that is not finite.
    """
    if not path.is_file():
        raise StoredError(f"{path} is no file")
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            for name in sorted(shapes.keys() | expected.keys()):
                wanted = tuple(expected[name].shape) if name in expected else None
                if shapes.get(name) != wanted:
                    raise StoredError(f"{path}: {name} is {_named(shapes.get(name))}, not {_named(wanted)}")
            found: dict[str, Tensor] = {name: file.get_tensor(name) for name in shapes}
    except (OSError, SafetensorError) as error:
        raise StoredError(f"{path}: {error}") from error
    for name, tensor in found.items():
        if tensor.dtype != expected[name].dtype:
            raise StoredError(f"{path}: {name} holds {tensor.dtype} instead of {expected[name].dtype}")
        if not tensor.isfinite().all():
            raise StoredError(f"{path}: {name} holds values that are not finite")
    return found


def check_range(owner: str, values: Mapping[str, float], low: float, high: float) -> None:
    """Check that numbers are in a range.

    Raises:
        ValueError: One is not.
    """
    for name, value in values.items():
        if not math.isfinite(value) or not low <= value <= high:
            raise ValueError(f"{name} of {owner} is {value}; it can be {low:g} to {high:g}")


def _named(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else f"of shape {list(shape)}"
