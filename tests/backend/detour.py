"""The way of a model through the package: unchanged, or in another form that the rules say is the same."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np

from eqsat.egraph.enode import ENode
from eqsat.egraph.rebuild import rebuild
from eqsat.egraph.session import Session
from eqsat.extraction.greedy import greedy_dag
from eqsat.extraction.problem import ExtractionProblem
from eqsat.rules import RuleBook
from ir.assembly import assemble
from ir.availability import available_operators
from ir.onnx_file import write_model
from ir.reader import read

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
    choice = random_choice(session, np.random.default_rng(seed))
    rebuilt = rebuild(session, choice)
    write_model(assemble(graph, rebuilt.nodes, rebuilt.constants, rebuilt.types), target, is_durable=False)
    return sorted(rebuilt.origins)


def random_choice(session: Session, rng: np.random.Generator) -> dict[int, ENode]:
    """Return an acyclic choice of e-nodes by random prices; what rules made is cheap, so that it is chosen."""
    handles = [handle for handle, _ in session.eclasses()]
    number = {handle: index for index, handle in enumerate(handles)}
    canonical = session.mirror.canonical
    enodes = [(number[handle], enode) for handle, members in session.eclasses() for enode in members]
    made = session.mirror.origins
    wanted = [*session.encoding.roots, *(session.encoding.values[name] for name in sorted(session.encoding.pinned))]
    problem = ExtractionProblem(
        node_class=[eclass for eclass, _ in enodes],
        children=[tuple(sorted({number[canonical[child]] for child in enode.children})) for _, enode in enodes],
        cost_us=[float(rng.uniform(0.0, 0.1 if enode in made else 1.0)) for _, enode in enodes],
        num_classes=len(handles),
        roots=tuple(number[canonical[handle]] for handle in wanted),
    )
    selection = greedy_dag(problem)
    return {handles[eclass]: enodes[index][1] for eclass, index in selection.choice.items()}
