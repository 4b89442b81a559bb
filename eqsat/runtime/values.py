"""What a session gives back that is no tensor, as tensors: these travel and are compared like any others.

==========================  ======================================================================
value of the output ``y``   tensors
==========================  ======================================================================
sequence of tensors         ``y[length]`` and the elements ``y[0]``, ``y[1]``, ...
map                         ``y[keys]`` and ``y[values]``
sequence of maps            ``y[keys]`` and ``y[values]`` of all, and ``y[lengths]`` of each
optional                    that of what it holds; ``y[absent]`` where it holds nothing
==========================  ======================================================================
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain

import numpy as np

from eqsat.runtime.errors import UnsupportedValueError


def tensors_of(name: str, value: object, type_name: str) -> dict[str, np.ndarray]:
    """Return an output as tensors by name.

    Args:
        name: Name of the output.
        value: As ``InferenceSession.run`` returns it.
        type_name: ONNX Runtime's name of its type, such as ``seq(map(string,tensor(float)))``.

    Raises:
        UnsupportedValueError: It is sparse, or of another kind that is not listed above.
    """
    match value:
        case np.ndarray():
            return {name: value}
        case None:
            return {f"{name}[absent]": np.array(True)}
        case dict():
            return _entries(name, [value], type_name)
        case list() if value and isinstance(value[0], dict):
            lengths = np.array([len(each) for each in value], np.int64)
            return {f"{name}[lengths]": lengths} | _entries(name, value, type_name)
        case list():
            found = {f"{name}[length]": np.array(len(value), np.int64)}
            for place, each in enumerate(value):
                found |= tensors_of(f"{name}[{place}]", each, type_name)
            return found
        case _:
            raise UnsupportedValueError(f"output {name!r} is a {type_name}, which cannot be compared")


def output_of(name: str, outputs: Collection[str]) -> str:
    """Return the output that a tensor of :func:`tensors_of` is a part of.

    Args:
        name: Name of the tensor.
        outputs: Names of the outputs.
    """
    return name if name in outputs else name.rpartition("[")[0]


def _entries(name: str, maps: Sequence[Mapping[object, object]], type_name: str) -> dict[str, np.ndarray]:
    keys = list(chain.from_iterable(each.keys() for each in maps))
    values = list(chain.from_iterable(each.values() for each in maps))
    single = np.float64 if "double" in type_name else np.float32
    return {f"{name}[keys]": _column(keys, single), f"{name}[values]": _column(values, single)}


def _column(scalars: Sequence[object], float_type: type[np.floating]) -> np.ndarray:
    if any(isinstance(each, str) for each in scalars):
        return np.array(scalars, dtype=object)
    return np.array(scalars, dtype=float_type if any(isinstance(each, float) for each in scalars) else np.int64)
