"""The scratch folder of a run: where the worker leaves its best result, so that it outlives the worker.

``best.json`` names the model it speaks of and is replaced in one step, so a reader sees the old pair or the new pair,
never a mixture, whenever the worker dies::

    scratch/
    ├── best.json               {"model": "best-2/model.opt.onnx", "report": {...}}
    └── best-2/
        ├── model.opt.onnx
        └── model.opt.onnx.data
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eqsat.pipeline.report import Report
from eqsat.pipeline.report_parts import Status
from ir.atomic_file import write_text

_BEST_FILE: Final = "best.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The best result a worker has left.

    Attributes:
        report: What it says about it.
        model_path: The model, with any external data beside it; None for "the input, unchanged".
    """

    report: Report
    model_path: Path | None


def keep_best(
    scratch_dir: str | Path, report: Report, *, model_name: str, write_model: Callable[[Path], None] | None
) -> None:
    """Replace the best result so far.

    Args:
        scratch_dir: The run's scratch folder.
        report: What to say about the result.
        model_name: File name of the model, that of the output in the end: external data is named after it.
        write_model: Writes the model to the path it is given, external data beside it; None for "the input, unchanged".

    Raises:
        ValueError: The report says "optimized" without a model, or "unchanged" with one.
    """
    if (report.status is Status.OPTIMIZED) != (write_model is not None):
        raise ValueError(f"a report that says {report.status!r} {'needs a' if write_model is None else 'has no'} model")
    scratch = Path(scratch_dir)
    previous = read_best(scratch)
    model = ""
    if write_model is not None:
        taken = {path.name for path in scratch.glob("best-*")}
        folder = next(scratch / f"best-{i}" for i in range(len(taken) + 1) if f"best-{i}" not in taken)
        folder.mkdir()
        write_model(folder / model_name)
        model = f"{folder.name}/{model_name}"
    text = json.dumps({"model": model, "report": report.to_record()})
    write_text(scratch / _BEST_FILE, text, is_durable=False)
    if previous is not None and previous.model_path is not None:
        shutil.rmtree(previous.model_path.parent)


def read_best(scratch_dir: str | Path) -> Best | None:
    """Return the best result so far, None where there is none yet."""
    scratch = Path(scratch_dir)
    try:
        record = json.loads((scratch / _BEST_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    model = record["model"]
    return Best(report=Report.from_record(record["report"]), model_path=scratch / model if model else None)
