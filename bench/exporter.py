"""From a torch module to an ONNX file, without the exporter's chatter."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.spec import InputSpec

EXTERNAL_DATA_BYTES = 2_000_000_000
"""Above this many bytes of weights an ONNX file cannot hold them (the limit of a protobuf message is 2 GiB)."""


def export_module(
    module: nn.Module,
    inputs: Sequence[InputSpec],
    feeds: dict[str, np.ndarray],
    path: Path,
    *,
    opset: int,
    is_dynamic: bool,
    has_math_attention: bool,
) -> None:
    """Export ``module`` with ``torch.onnx.export(dynamo=True)`` and move the finished file to ``path`` in one step.

    Args:
        module: What to export, in eval mode.
        inputs: The inputs, in the order of the arguments of ``forward``.
        feeds: One sample an input; its shapes are those of a static export. For a dynamic one no open dimension
            may be 1 here, the exporter takes that for a constant.
        path: Where the file goes; weights above 2 GB go to ``path`` + ``.data``.
        opset: The opset of the default domain.
        is_dynamic: Leave the dimensions of ``InputSpec.dynamic`` open.
        has_math_attention: Trace the plain implementation of fused attention.

    Raises:
        torch.onnx.OnnxExporterError: The exporter does not support the module.
    """
    arguments = tuple(torch.from_numpy(feeds[spec.name]) for spec in inputs)
    shapes = tuple(dict(spec.dynamic) for spec in inputs)
    kernels = sdpa_kernel(SDPBackend.MATH) if has_math_attention else contextlib.nullcontext()
    with silence(), kernels, torch.no_grad():
        program = torch.onnx.export(
            module,
            arguments,
            input_names=[spec.name for spec in inputs],
            dynamic_shapes=shapes if is_dynamic else None,
            opset_version=opset,
            dynamo=True,
            verbose=False,
        )
        if program is None:
            raise RuntimeError(path.name)
        num_bytes = sum(parameter.numel() * parameter.element_size() for parameter in module.parameters())
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            program.save(Path(folder) / path.name, external_data=num_bytes > EXTERNAL_DATA_BYTES)
            move_into(Path(folder), path)


def move_into(folder: Path, path: Path) -> None:
    """Move the files of ``folder`` beside ``path``, the model itself last, so that a model is never there half."""
    for file in sorted(folder.iterdir(), key=lambda file: file.name == path.name):
        file.replace(path.parent / file.name)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep the exporter's progress, advice and warnings off the terminal; its errors are exceptions."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
