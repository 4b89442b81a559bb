"""Runs one peer in a process of its own: ``python -m bench.peer_child PEER IN OUT [MODEL_TYPE]``.

Each function does what the peer's own documentation tells its users to do, with the peer's default settings.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path


class CheckFailedError(RuntimeError):
    """A peer says itself that its result computes something else."""


def run_onnxsim(source: Path, target: Path, model_type: str) -> None:
    """Simplify with onnxsim and let it check the result on three random inputs.

    Raises:
        CheckFailedError: Its own check failed.
    """
    del model_type
    import onnx
    import onnxsim

    model, is_equal = onnxsim.simplify(onnx.load(source), check_n=3)
    if not is_equal:
        raise CheckFailedError("onnxsim's own check failed")
    onnx.save(model, target)


def run_onnxslim(source: Path, target: Path, model_type: str) -> None:
    """Slim with onnxslim."""
    del model_type
    import onnxslim

    onnxslim.slim(str(source), str(target))


def run_onnxscript(source: Path, target: Path, model_type: str) -> None:
    """Optimise with onnxscript's optimizer."""
    del model_type
    import onnx_ir
    from onnxscript import optimizer

    model = onnx_ir.load(source)
    optimizer.optimize(model)
    onnx_ir.save(model, target)


def run_ort_fusions(source: Path, target: Path, model_type: str) -> None:
    """Fuse with onnxscript's fusions for ONNX Runtime, after its optimizer."""
    del model_type
    import onnx_ir
    from onnxscript.rewriter import ort_fusions

    model, _ = ort_fusions.optimize_for_ort(onnx_ir.load(source))
    onnx_ir.save(model, target)


def run_ort_transformers(source: Path, target: Path, model_type: str) -> None:
    """Fuse with ONNX Runtime's transformers tool; it finds the number of heads and the hidden size itself."""
    from onnxruntime.transformers import optimizer

    model = optimizer.optimize_model(str(source), model_type=model_type, num_heads=0, hidden_size=0)
    model.save_model_to_file(str(target))


RUNNERS: Mapping[str, Callable[[Path, Path, str], None]] = {
    "onnxsim": run_onnxsim,
    "onnxslim": run_onnxslim,
    "onnxscript": run_onnxscript,
    "ort-fusions": run_ort_fusions,
    "ort-transformers": run_ort_transformers,
}


if __name__ == "__main__":
    RUNNERS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
