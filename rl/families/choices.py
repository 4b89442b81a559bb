"""Draws among a few things."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

_Thing = TypeVar("_Thing")


def pick(rng: np.random.Generator, things: Sequence[_Thing]) -> _Thing:
    """Return one of several things, each as likely as it is often there."""
    return things[int(rng.integers(len(things)))]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Return True with a probability."""
    return bool(rng.random() < probability)
