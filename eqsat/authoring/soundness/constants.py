"""Whether a constant that a rule makes still says what its parts said: not infinite, not vanished, not rounded away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

_SLACK: Final = 4.0
"""Roundings, in units of the last place of the largest element, that a constant may be off by."""

_EXACT: Final[Mapping[str, Callable[..., np.ndarray]]] = {
    "Mul": np.multiply,
    "Div": np.divide,
    "Reciprocal": np.reciprocal,
    "Add": np.add,
    "Sub": np.subtract,
}
"""Operators that are worked out once more, in a wider range."""


def loss(operator: str, inputs: Sequence[np.ndarray | None], output: np.ndarray) -> str:
    """Return what is lost of the parts of a constant, one line; empty where nothing is.

    Args:
        operator: What makes the constant.
        inputs: Its parts, None for one that is missing.
        output: The constant.
    """
    parts = [part for part in inputs if part is not None]
    is_square = len(parts) == 2 and parts[0] is parts[1]  # which is small where its root is, and is added to others
    if output.dtype.kind != "f" or not all(part.dtype.kind != "f" or np.isfinite(part).all() for part in parts):
        return ""
    if not np.isfinite(output).all():
        return f"a constant becomes {output[~np.isfinite(output)].reshape(-1)[0]}, though its parts are finite"
    exactly = _EXACT.get(operator)
    if exactly is None or output.size == 0:
        return ""
    kind: Any = np.finfo(output.dtype)
    with np.errstate(all="ignore"):
        wide = exactly(*(part.astype(np.longdouble) for part in parts))
        largest = np.abs(wide).max()
        if largest < kind.tiny:
            is_lost = not is_square and largest > 0 and all(np.abs(part).max() >= kind.tiny for part in parts)
            said = f"a constant vanishes: its largest element is {float(largest):.3g}, and its parts are normal numbers"
            return said if is_lost else ""
        is_off = np.abs(output - wide) > _SLACK * kind.eps * largest
    return "a constant loses what its parts say" if bool(is_off.any()) else ""
