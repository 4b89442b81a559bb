"""A selection as a model file: written back, its constants folded once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from eqsat.egraph.rebuild import Rebuilt, rebuild
from eqsat.egraph.restart import origins_of
from eqsat.runtime.errors import MeasurementError
from eqsat.runtime.settings import OptimizationLevel, SessionSettings
from ir.assembly import assemble
from ir.graph import Constant
from ir.onnx_file import operator_counts, write_model

if TYPE_CHECKING:
    from pathlib import Path

    from eqsat.egraph.enode import ENode
    from eqsat.egraph.session import Session
    from eqsat.runtime.runtime import Runtime
    from ir.graph import Node

MIN_GROWTH_BYTES: Final = 32 * 1024**2
"""Folded constants may take this much in any case."""

GROWTH_SHARE: Final = 1.0
"""And this share of the bytes of the model's own constants: what grows further stays a computation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A model file made from a selection.

    Attributes:
        path: The file.
        origins: Rules behind it, and how many of their applications are in it, see
            :func:`~eqsat.egraph.restart.origins_of`.
        operators: Nodes by operator, as written.
    """

    path: Path
    origins: Mapping[str, int]
    operators: Mapping[str, int]


def build(
    session: Session,
    choice: Mapping[int, ENode],
    runtime: Runtime,
    path: Path,
    metadata: Mapping[str, str] | None = None,
) -> Built:
    """Write the model that a choice of e-nodes describes.

    Args:
        session: Where the e-nodes come from.
        choice: E-node for each e-class that is needed.
        runtime: Evaluates what is constant.
        path: File to write.
        metadata: Entries to add to the model's own.

    Raises:
        UnwritableError: The model's opset cannot say it.
        OSError: The file cannot be written.
    """
    rebuilt = rebuild(session, choice)
    nodes, constants = fold(session, rebuilt, runtime, path)
    model = assemble(session.graph, nodes, constants, rebuilt.types)
    model.metadata_props.update(metadata or {})
    write_model(model, path, is_durable=False)
    origins = origins_of(session, rebuilt)
    return Built(path=path, origins=origins, operators=operator_counts(model.graph))


def discard(path: Path) -> None:
    """Remove a model file, where it is there, and its external data."""
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.data").unlink(missing_ok=True)


def fold(
    session: Session,
    rebuilt: Rebuilt,
    runtime: Runtime,
    path: Path,
) -> tuple[list[Node], dict[str, Constant | np.ndarray]]:
    """Evaluate the nodes that depend on no input, the smallest results first, until the model would grow too much.

    Only what a rule has changed is evaluated: constants that the model itself computes stay as they were.
    """
    constants: dict[str, Constant | np.ndarray] = dict(rebuilt.constants)
    frontier = _frontier(session, rebuilt)
    if not frontier:
        return list(rebuilt.nodes), constants
    part = [node for node in rebuilt.nodes if all(name in rebuilt.constant_values for name in node.outputs if name)]
    needed = _needed_by(part, frontier)
    part_path = path.with_name(f"{path.stem}.constants.onnx")
    settings = SessionSettings(level=OptimizationLevel.DISABLED)
    try:
        model = assemble(session.graph, needed, rebuilt.constants, rebuilt.types, outputs=frontier, inputs=())
        write_model(model, part_path, is_durable=False)
        values = runtime.outputs(part_path, {}, settings)
    except MeasurementError:
        return list(rebuilt.nodes), constants
    finally:
        discard(part_path)
    own_bytes = sum(constant.tensor.nbytes for constant in rebuilt.constants.values())
    room = MIN_GROWTH_BYTES + GROWTH_SHARE * own_bytes
    folded: dict[str, np.ndarray] = {}
    for name, array in sorted(values.items(), key=lambda item: (item[1].nbytes, item[0])):
        room -= array.nbytes
        if room < 0:
            break
        folded[name] = array
    constants.update(folded)
    return _without_folded(rebuilt.nodes, folded, session.graph.outputs), constants


def _frontier(session: Session, rebuilt: Rebuilt) -> list[str]:
    """Constant values, computed by something new, that the rest of the model uses."""
    own = {id(node.source) for node in session.encoding.nodes.values()}
    computed: dict[str, bool] = {}
    for node in rebuilt.nodes:
        if all(name in rebuilt.constant_values for name in node.outputs if name):
            is_new = node.source is None or id(node.source) not in own
            is_new = is_new or any(computed.get(name, False) for name in node.inputs)
            computed.update(dict.fromkeys((name for name in node.outputs if name), is_new))
    used = {name for node in rebuilt.nodes for name in node.inputs if not _is_constant(node, rebuilt)}
    return sorted(name for name, is_new in computed.items() if is_new and name in used)


def _is_constant(node: Node, rebuilt: Rebuilt) -> bool:
    return all(name in rebuilt.constant_values for name in node.outputs if name)


def _needed_by(nodes: list[Node], values: list[str]) -> list[Node]:
    needed = set(values)
    kept: list[Node] = []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
            kept.append(node)
    return kept[::-1]


def _without_folded(nodes: tuple[Node, ...], folded: Mapping[str, np.ndarray], outputs: tuple[str, ...]) -> list[Node]:
    """The nodes that are still needed once some values are constants."""
    needed = set(outputs)
    kept: list[Node] = []
    for node in reversed(nodes):
        remaining = tuple("" if name in folded else name for name in node.outputs)
        if not any(remaining):
            continue
        if needed.intersection(remaining) or node.is_opaque:
            needed.update(node.inputs)
            kept.append(replace(node, outputs=node.outputs))
    return kept[::-1]
