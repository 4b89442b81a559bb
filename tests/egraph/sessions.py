"""Sessions over small models, with rules given as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from eqsat.egraph.enode import ENode
from eqsat.egraph.rebuild import rebuild
from eqsat.egraph.session import Session
from eqsat.egraph.view import Candidate
from eqsat.rules import RuleBook, read_rules
from ir.assembly import assemble
from ir.onnx_file import write_model
from tests.ir.graphs import make_model, read_proto, value

HEADER = "; SOURCE algebra\n; FLOATS exact\n"


def rules(*forms: str) -> RuleBook:
    """Return rules under a header that says as little as may be."""
    return read_rules([("\n".join(HEADER + form for form in forms), "r.egg")])


def session_of(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    *forms: str,
    inputs: Sequence[onnx.ValueInfoProto] | None = None,
    outputs: Sequence[onnx.ValueInfoProto] | None = None,
    constants: Mapping[str, np.ndarray] | None = None,
) -> Session:
    """Return a session over a model from ``x`` to ``y``, both [2, 3] unless told."""
    model = make_model(nodes, inputs or [value("x")], outputs or [value("y")], constants)
    return Session(read_proto(model, folder), rules(*forms))


def names(session: Session) -> dict[int, str]:
    """Return the model's own name of each e-class, as the e-classes are now."""
    found: dict[int, str] = {}
    for name, handle in session.encoding.values.items():
        found.setdefault(session.mirror.canonical[handle], name)
    return found


def matches(session: Session, rule: str) -> list[tuple[object, ...]]:
    """Return the bindings of a rule's candidates, e-classes by their names in the model."""
    found = names(session)
    return [
        tuple(
            found.get(session.mirror.canonical[each], each) if sort == "Tensor" and isinstance(each, int) else each
            for sort, each in zip(session.rule_of(candidate).sorts, candidate.bindings, strict=True)
        )
        for candidate in of_rule(session, rule)
    ]


def of_rule(session: Session, rule: str) -> list[Candidate]:
    """Return the candidates of one rule."""
    return [candidate for candidate in session.candidates() if session.rule_of(candidate).rule.name == rule]


def first_choice(session: Session) -> dict[int, ENode]:
    """Return the first e-node of every e-class: the model's own, as long as nothing was applied."""
    return {handle: members[0] for handle, members in session.eclasses()}


def written(session: Session, choice: Mapping[int, ENode], folder: Path) -> onnx.ModelProto:
    """Return the model of a choice, checked by ONNX."""
    rebuilt = rebuild(session, choice)
    path = folder / "rebuilt.onnx"
    model = assemble(session.graph, rebuilt.nodes, rebuilt.constants, rebuilt.types)
    write_model(model, path, is_durable=False)
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    return proto
