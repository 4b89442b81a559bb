"""Priced e-graphs to extract from."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import strategies

from eqsat.extraction.problem import ExtractionProblem, dag_cost_us

Cheapest: TypeAlias = Callable[[ExtractionProblem], float]
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
    """Four blocks of five products of one input, any two of which can be merged; Transpose pairs make cycles."""
    return load_gym(Path(__file__).parent / "merged_blocks.json")


@strategies.composite
def _draw_problem(draw: strategies.DrawFn) -> ExtractionProblem:
    num_classes = draw(strategies.integers(1, 6))
    eclasses = strategies.integers(0, num_classes - 1)
    node_class = draw(strategies.lists(eclasses, min_size=1, max_size=12))
    num_enodes = len(node_class)
    children = strategies.sets(eclasses, max_size=3).map(lambda some: tuple(sorted(some)))
    prices = strategies.sampled_from((0.0, 0.0, 0.25, 1.0, 1.0, 2.0, 3.7, math.inf))
    return ExtractionProblem(
        node_class=node_class,
        children=draw(strategies.lists(children, min_size=num_enodes, max_size=num_enodes)),
        cost_us=draw(strategies.lists(prices, min_size=num_enodes, max_size=num_enodes)),
        num_classes=num_classes,
        roots=tuple(draw(strategies.lists(eclasses, min_size=1, max_size=2))),
    )


@pytest.fixture(scope="session")
def small_problems() -> strategies.SearchStrategy[ExtractionProblem]:
    """Random e-graphs, often cyclic, of few enough choices to try them all; some have no selection."""
    return _draw_problem()


@pytest.fixture(scope="session")
def cheapest() -> Cheapest:
    """The lowest price over all choices, in microseconds; infinite where there is no selection."""

    def try_all(problem: ExtractionProblem) -> float:
        members = {eclass: enodes for eclass, enodes in enumerate(problem.members()) if enodes}
        best_us = math.inf
        for enodes in product(*members.values()):
            try:
                best_us = min(best_us, dag_cost_us(problem, dict(zip(members, enodes, strict=True))))
            except KeyError:  # an e-class without e-nodes
                continue
        return best_us

    return try_all
