"""Session options under which a model runs faster still: another level, or an optimiser of ONNX Runtime left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from eqsat.runtime.errors import MeasurementError
from eqsat.runtime.measurements import Contender
from eqsat.runtime.settings import OptimizationLevel, SessionSettings

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from eqsat.runtime.measurements import ContenderResult
    from eqsat.runtime.runtime import Runtime

LEVELS: Final = (OptimizationLevel.EXTENDED, OptimizationLevel.BASIC, OptimizationLevel.DISABLED)

OPTIMIZERS: Final = (
    "MatMulAddFusion",
    "SkipLayerNormFusion",
    "NchwcTransformer",
    "GemmActivationFusion",
    "ConvActivationFusion",
    "BiasGeluFusion",
)
"""Optimisers of ONNX Runtime that are known to slow some models down."""

COMPILING_SHARE: Final = 0.3
"""Share of the time that may go into finding out which choices make a difference, seconds each for a large model."""

MIN_GAIN: Final = 1.01
"""Speed-up over the defaults below which a choice is not worth recording."""


def candidates(base: SessionSettings) -> list[SessionSettings]:
    """Return the settings to try, each one change away from ``base``."""
    levels = [replace(base, level=level) for level in LEVELS]
    without = [replace(base, disabled_optimizers=(name,)) for name in OPTIMIZERS]
    return [*levels, *without]


def tune(
    path: Path,
    runtime: Runtime,
    settings: SessionSettings,
    feeds: Mapping[str, np.ndarray],
    *,
    deadline: float,
    clock: Callable[[], float],
    seed: int,
    is_sound: Callable[[SessionSettings], bool],
) -> SessionSettings:
    """Return the settings under which a model runs fastest, ``settings`` where nothing is clearly faster.

    Args:
        path: The model.
        runtime: Measures.
        settings: The defaults to beat.
        feeds: Inputs to measure with.
        deadline: Point on the clock after which nothing more is tried.
        clock: Seconds on the runtime's clock.
        seed: Of the measurements' orders.
        is_sound: Says whether the model computes the same under some settings.
    """
    now = clock()
    until = now + COMPILING_SHARE * (deadline - now)
    tried = _distinct(path, runtime, candidates(settings), settings, lambda: clock() >= until)
    if not tried:
        return settings
    first = _compare(path, runtime, [settings, *tried], feeds, deadline, seed)
    good = [tried[index - 1] for index, result in first.items() if index and result.speedup > MIN_GAIN]
    combined = _combined(settings, good)
    if combined is not None:
        good.append(combined)
    if not good:
        return settings
    second = _compare(path, runtime, [settings, *good], feeds, deadline, seed + 1)
    ranked = sorted(
        ((result.speedup, index) for index, result in second.items() if index and result.speedup_low > 1.0),
        reverse=True,
    )
    for speedup, index in ranked:
        if speedup > MIN_GAIN and is_sound(good[index - 1]):
            return good[index - 1]
    return settings


def _combined(base: SessionSettings, good: list[SessionSettings]) -> SessionSettings | None:
    """All optimisers that are better left out, left out together."""
    names = tuple(name for each in good for name in each.disabled_optimizers)
    return replace(base, disabled_optimizers=names) if len(names) > 1 else None


def _distinct(
    path: Path,
    runtime: Runtime,
    tried: list[SessionSettings],
    base: SessionSettings,
    is_late: Callable[[], bool],
) -> list[SessionSettings]:
    """The settings that make ONNX Runtime run something else than ``base`` does, as far as time allows to see."""
    found: list[SessionSettings] = []
    try:
        seen = {runtime.optimized_fingerprint(path, base)}
    except MeasurementError:
        return tried
    for settings in tried:
        if is_late():
            break
        try:
            fingerprint = runtime.optimized_fingerprint(path, settings)
        except MeasurementError:
            continue
        if fingerprint not in seen:
            seen.add(fingerprint)
            found.append(settings)
    return found


def _compare(
    path: Path,
    runtime: Runtime,
    settings: list[SessionSettings],
    feeds: Mapping[str, np.ndarray],
    deadline: float,
    seed: int,
) -> Mapping[int, ContenderResult]:
    contenders = [Contender(path=path, settings=each) for each in settings]
    try:
        comparison = runtime.compare(contenders, feeds, num_pairs=4, rounds=7, seed=seed, deadline=deadline)
    except MeasurementError:
        return {}
    return comparison.results
