"""Whether an e-graph holds a graph."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import TYPE_CHECKING

from eqsat.egraph.enode import ABSENT, CONS, INPUT, NIL, OUT, ENode
from ir.operators import OPERATORS

if TYPE_CHECKING:
    from eqsat.egraph.session import Session
    from ir.graph import Graph, Node


def missing(session: Session, target: Graph) -> str:
    """Return the first value of ``target`` that the e-graph does not hold; empty where all outputs are in their place.

    Equal sums in another order may be two e-classes, so that one value may be found in several.
    """
    found: dict[str, set[int]] = {}
    for name in target.inputs:
        found[name] = _standing(session, [ENode(INPUT, (), (name,))])
    for node in target.nodes:
        for name, handles in zip(node.outputs, _outputs(session, node, found), strict=True):
            found[name] = handles
            if not handles:
                return f"{node.operator} {name}"
    for name, root in zip(target.outputs, session.roots(), strict=True):
        if root not in found[name]:
            return f"{name} is there, but not known to be equal"
    return ""


def _standing(session: Session, enodes: Iterable[ENode]) -> set[int]:
    mirror = session.mirror
    return {mirror.canonical[mirror.enodes[enode]] for enode in enodes if enode in mirror.enodes}


def _outputs(session: Session, node: Node, found: dict[str, set[int]]) -> list[set[int]]:
    """Return the e-classes that hold each output of a node, over all e-classes that hold its inputs."""
    row = OPERATORS[node.operator]
    absent = _standing(session, [ENode(ABSENT)])
    inputs = [sorted(found[name] if name else absent) for name in node.inputs]
    children: list[tuple[int, ...]]
    if row.is_variadic:
        lists = _standing(session, [ENode(NIL)])
        for handles in reversed(inputs):
            lists = _standing(session, (ENode(CONS, pair) for pair in product(handles, lists)))
        children = [(handle,) for handle in lists]
    else:
        children = list(product(*inputs))
        if row.is_commutative:
            children += [each[::-1] for each in children]
    attributes = tuple(node.attributes.values())
    results = _standing(session, (ENode(node.operator, each, attributes) for each in children))
    if not row.is_multi:
        return [results]
    return [
        _standing(session, (ENode(OUT, (multi,), (index,)) for multi in results)) for index in range(len(node.outputs))
    ]
