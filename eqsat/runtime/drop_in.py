"""Opens an optimised model the way it was tuned: a replacement for ``onnxruntime.InferenceSession(path)``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eqsat.errors import ModelError
from eqsat.runtime.settings import OptimizationLevel
from eqsat.runtime.telemetry import switch_off

if TYPE_CHECKING:
    import onnxruntime

LEVEL_KEY = "eqsat.graph_optimization_level"
"""Metadata key of the :class:`~eqsat.runtime.settings.OptimizationLevel` a model was tuned for."""

DISABLED_OPTIMIZERS_KEY = "eqsat.disabled_optimizers"
"""Metadata key of the ONNX Runtime optimizers a model was tuned without, separated by commas."""


def load(
    path: str | Path,
    providers: Sequence[str | tuple[str, dict[str, Any]]] | None = None,
    *,
    threads: int = 0,
    custom_ops: Sequence[str | Path] = (),
    options: onnxruntime.SessionOptions | None = None,
) -> onnxruntime.InferenceSession:
    """Open a model with the session settings written into it; a model without any opens as ONNX Runtime's defaults say.

    ONNX Runtime's telemetry is switched off first, where this is what imports ``onnxruntime``.

    Args:
        path: The model.
        providers: As ``onnxruntime.InferenceSession`` takes them; None is all that ONNX Runtime lists.
        threads: Intra-op threads; 0 is ONNX Runtime's default, or what ``options`` says.
        custom_ops: Libraries of custom operators.
        options: Session options to start from. The level written into the model is set on them.

    Raises:
        ModelError: The settings in the model are of a kind this version does not know.
        Exception: Whatever ONNX Runtime raises for a model it refuses.
    """
    switch_off()
    import onnxruntime

    from ir.metadata import read_metadata

    metadata = read_metadata(Path(path))
    level, disabled_optimizers = session_choice(metadata, path)
    if options is None:
        options = onnxruntime.SessionOptions()
    for library in custom_ops:
        options.register_custom_ops_library(str(Path(library).resolve()))
    if threads:
        options.intra_op_num_threads = threads
    if level is not None:
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level.value)
    names = onnxruntime.get_available_providers() if providers is None else list(providers)
    return onnxruntime.InferenceSession(
        str(path), options, providers=names, disabled_optimizers=list(disabled_optimizers)
    )


def session_choice(metadata: dict[str, str], path: str | Path) -> tuple[OptimizationLevel | None, tuple[str, ...]]:
    """Return the level (None where the model names none) and the optimizers left out, as a model's metadata says.

    Raises:
        ModelError: The level is none that this version knows.
    """
    name = metadata.get(LEVEL_KEY, "")
    disabled = tuple(part for part in metadata.get(DISABLED_OPTIMIZERS_KEY, "").split(",") if part)
    if not name:
        return None, disabled
    try:
        return OptimizationLevel(name), disabled
    except ValueError as error:
        known = ", ".join(level.value for level in OptimizationLevel)
        raise ModelError(f"{path}: {LEVEL_KEY} is {name!r}, which is none of {known}; update eqsat") from error
