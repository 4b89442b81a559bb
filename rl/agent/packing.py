"""Observations kept by the thousand: half the bytes a number, so that a rollout fits into memory."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, final

import numpy as np

from rl.env.observation import Observation

_LARGEST: Final = float(np.finfo(np.float16).max)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PackedObservation:
    """An observation with float16 features and the narrowest indices that hold it.

    Attributes:
        arrays: The observation's arrays by name.
    """

    arrays: dict[str, np.ndarray]

    @property
    def num_bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays.values())


def pack(observation: Observation) -> PackedObservation:
    """Return an observation in fewer bytes; features lose all but three digits, and nothing else is lost."""
    return PackedObservation(
        arrays={field.name: _narrowed(getattr(observation, field.name)) for field in fields(Observation)}
    )


def unpack(packed: PackedObservation) -> Observation:
    """Return the observation that was packed."""
    return Observation(**{name: _widened(array) for name, array in packed.arrays.items()})


def _narrowed(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.float32:
        halved: np.ndarray = np.clip(array, -_LARGEST, _LARGEST).astype(np.float16)
        return halved
    if array.dtype == np.int64:
        largest = int(array.max(initial=0))
        return array.astype(np.uint8 if largest < 2**8 else np.uint16 if largest < 2**16 else np.int64)
    return array


def _widened(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.float16:
        return array.astype(np.float32)
    return array if array.dtype == np.bool_ else array.astype(np.int64)
