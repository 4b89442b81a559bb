"""Priced e-graphs to extract from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from eqsat.extraction.problem import ExtractionProblem

LoadGym: TypeAlias = Callable[[Path], ExtractionProblem]
LoadTensat: TypeAlias = Callable[[str], ExtractionProblem]

TENSAT_FOLDER = Path(__file__).parents[3] / "shared" / "data" / "extraction-gym"
"""Public e-graphs of TENSAT runs (extraction-gym, MIT licence); not part of the repository."""


@pytest.fixture(scope="session")
def load_gym() -> LoadGym:
    """A reader of extraction-gym's JSON format."""

    def load(path: Path) -> ExtractionProblem:
        content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        nodes: Mapping[str, Mapping[str, Any]] = content["nodes"]
        number: dict[str, int] = {}
        for node in nodes.values():
            number.setdefault(node["eclass"], len(number))
        return ExtractionProblem(
            node_class=[number[node["eclass"]] for node in nodes.values()],
            children=[
                tuple(sorted({number[nodes[child]["eclass"]] for child in node["children"]})) for node in nodes.values()
            ],
            cost_us=[node["cost"] for node in nodes.values()],
            num_classes=len(number),
            roots=tuple(number[root] for root in content["root_eclasses"]),
        )

    return load


@pytest.fixture(scope="session")
def load_tensat(load_gym: LoadGym) -> LoadTensat:
    """A reader of TENSAT's e-graphs by name; the test is skipped where they are not there."""

    def load(name: str) -> ExtractionProblem:
        path = TENSAT_FOLDER / f"{name}.json"
        if not path.is_file():
            pytest.skip(f"{path.name} of extraction-gym is not here")
        return load_gym(path)

    return load


@pytest.fixture(scope="session")
def merged_blocks(load_gym: LoadGym) -> ExtractionProblem:
    """Four blocks of five products that share an input, each two of which can be merged; Transpose pairs make cycles."""
    return load_gym(Path(__file__).parent / "merged_blocks.json")
