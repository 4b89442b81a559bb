"""The files of results: what was measured, beside what it was measured with."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from eqsat.runtime.devices import cpu_name
from eqsat.text.versions import installed_versions
from ir.atomic_file import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA: Final = 1
ROOT: Final = Path(__file__).resolve().parents[1]
ONNX_RUNTIMES: Final = ("onnxruntime-gpu", "onnxruntime")
_OUTSIDE: Final = "..."


def git(*arguments: str) -> str:
    """Return what git says about the repository; empty where it says nothing or is not there."""
    try:
        ended = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607 - the user's git
    except OSError:
        return ""
    return ended.stdout.strip() if ended.returncode == 0 else ""


def made_with(*libraries: str) -> dict[str, Any]:
    """Return what results were made with: processor, instruction set, versions of Python and libraries, commit."""
    return {
        "machine": {
            "processor": cpu_name(),
            "instruction_set": torch.backends.cpu.get_cpu_capability(),
            "num_cores": os.cpu_count(),
        },
        "versions": installed_versions(*libraries),
        "commit": git("rev-parse", "HEAD"),
        "has_local_changes": bool(git("status", "--porcelain")),
    }


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document as JSON, whole or not at all, without the names of this machine's folders.

    Args:
        path: Where it goes; folders are made.
        document: JSON values; paths become text.

    Raises:
        ValueError: A number is infinite or not a number.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, without_folders(json.dumps(document, indent=1, allow_nan=False, default=str)) + "\n")


def without_folders(text: str) -> str:
    """Return a text with files of the project named from its root, and an ellipsis for temporary and home folders."""
    for folder, short in ((ROOT, ""), (Path(tempfile.gettempdir()), _OUTSIDE), (Path.home(), _OUTSIDE)):
        text = text.replace(f"{folder}{os.sep}", f"{short}{os.sep}" if short else "")
    return text


def write_results(path: Path | None, document: Mapping[str, Any], *libraries: str) -> None:
    """Write results as JSON beside what they were made with, where a file is named.

    Args:
        path: The file; None writes nothing.
        document: The results.
        libraries: Whose versions are written beside them.
    """
    if path is not None:
        write_document(path, {"schema": SCHEMA, **made_with(*libraries), **document})
