"""The way of a model through the package: unchanged, or in another form that the rules say is the same."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np

from eqsat.egraph.rebuild import rebuild
from eqsat.egraph.session import Session
from eqsat.rules import RuleBook
from ir.assembly import assemble
from ir.availability import available_operators
from ir.onnx_file import write_model
from ir.reader import read
from tests.fuzz.extraction import by_random_prices

MAX_ROUNDS: Final = 3
MAX_CANDIDATES: Final = 200
"""Candidates applied in one round: enough for models of a few nodes."""


class Mode(StrEnum):
    """What is chosen of an e-graph."""

    IDENTITY = "identity"
    """The model's own e-nodes; nothing is rewritten."""
    STRESS = "stress"
    """After a few rounds of every rule, e-nodes at random, those that rules made before the model's own."""


def detour(source: Path, target: Path, rules: RuleBook, mode: Mode, seed: int = 0) -> list[str]:
    """Read a model, send it through an e-graph, and write what comes out.

    Returns:
        Names of the rules that made the e-nodes chosen.
    """
    graph = read(source)
    if mode is Mode.STRESS:
        available = available_operators(graph.opset, has_provider_operators=True)
        rules = rules.select(available_operators=available)
    session = Session(graph, rules)
    if mode is Mode.STRESS:
        for _ in range(MAX_ROUNDS):
            candidates = session.candidates()
            if not candidates:
                break
            session.apply(candidates[:MAX_CANDIDATES])
    assert not session.refused, session.refused
    choice = by_random_prices(session, np.random.default_rng(seed))
    rebuilt = rebuild(session, choice)
    write_model(assemble(graph, rebuilt.nodes, rebuilt.constants, rebuilt.types), target, is_durable=False)
    return sorted(rebuilt.origins)
