"""Opens an optimised model the way it was tuned: a replacement for ``onnxruntime.InferenceSession(path)``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eqsat.errors import ModelError, ProviderError
from eqsat.runtime.devices import has_cuda
from eqsat.runtime.providers import provider_row
from eqsat.runtime.settings import CPU_PROVIDER, OptimizationLevel
from eqsat.runtime.telemetry import switch_off
from eqsat.text.suggest import did_you_mean

if TYPE_CHECKING:
    import onnxruntime
    from onnxruntime import InferenceSession

LEVEL_KEY = "eqsat.graph_optimization_level"
"""Metadata key of the :class:`~eqsat.runtime.settings.OptimizationLevel` a model was tuned for."""

PROVIDER_KEY = "eqsat.provider"
"""Metadata key of the execution provider a model was measured on, see :mod:`eqsat.pipeline.provenance`."""

DISABLED_OPTIMIZERS_KEY = "eqsat.disabled_optimizers"
"""Metadata key of the ONNX Runtime optimizers a model was tuned without, separated by commas."""


def load(
    path: str | Path,
    providers: Sequence[str | tuple[str, dict[str, Any]]] | None = None,
    *,
    threads: int = 0,
    custom_ops: Sequence[str | Path] = (),
    options: onnxruntime.SessionOptions | None = None,
) -> InferenceSession:
    """Open a model with the session settings written into it; a model without any opens as ONNX Runtime's defaults say.

    ONNX Runtime's telemetry is switched off first, where this is what imports ``onnxruntime``.

    Args:
        path: The model.
        providers: As ``onnxruntime.InferenceSession`` takes them; None is the one that the model was optimised for, and
            the CPU's, or for any other model all; of these, those that start on this machine.
        threads: Intra-op threads; 0 is ONNX Runtime's default, or what ``options`` says.
        custom_ops: Libraries of custom operators.
        options: Session options to start from. The level written into the model is set on them.

    Raises:
        ProviderError: This ONNX Runtime has no such provider, or there is no device for any of them.
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
    if providers is None:
        providers = _default_providers(metadata, onnxruntime.get_available_providers())
    _check_known(providers, onnxruntime.get_available_providers())
    providers = _with_device(providers)
    return onnxruntime.InferenceSession(
        str(path), options, providers=list(providers), disabled_optimizers=list(disabled_optimizers)
    )


def _check_known(providers: Sequence[str | tuple[str, dict[str, Any]]], available: Sequence[str]) -> None:
    """Refuse a provider that ONNX Runtime does not have, in place of which it would print lines and take the CPU's."""
    names = [each if isinstance(each, str) else each[0] for each in providers]
    for name in names:
        if name not in available:
            near = did_you_mean(name, available)
            raise ProviderError(f"this onnxruntime has no {name}; it has: {', '.join(available)}{near}")


def _with_device(
    providers: Sequence[str | tuple[str, dict[str, Any]]],
) -> list[str | tuple[str, dict[str, Any]]]:
    """Return the providers without those for which there is no device: ONNX Runtime would print lines for them.

    Raises:
        ProviderError: None is left.
    """
    if has_cuda():
        return list(providers)
    kept = [each for each in providers if not provider_row(each if isinstance(each, str) else each[0]).needs_cuda]
    if providers and not kept:
        raise ProviderError(f"there is no CUDA device; add {CPU_PROVIDER} to the providers to run without one")
    return kept


def _default_providers(metadata: dict[str, str], available: Sequence[str]) -> list[str]:
    """Return the providers to ask for where nobody says which."""
    wanted = metadata.get(PROVIDER_KEY)
    names = [name for name in available if wanted in {None, name}]
    return [*(name for name in names if name != CPU_PROVIDER), CPU_PROVIDER]


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
