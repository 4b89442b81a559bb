"""The files of results: what was measured, beside what it was measured with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from bench.latency import made_with
from ir.atomic_file import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA: Final = 1


def write_results(path: Path | None, document: Mapping[str, Any], *libraries: str) -> None:
    """Write results as JSON, where a file is named.

    Args:
        path: The file; None writes nothing.
        document: The results.
        libraries: Whose versions are written beside them.
    """
    if path is not None:
        text = json.dumps({"schema": SCHEMA, **made_with(*libraries), **document}, indent=1)
        write_text(path, text + "\n")
