"""A selection as a model file: written back, its constants folded once (:mod:`eqsat.egraph.folding`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eqsat.egraph.folding import DEFAULT_GROWTH_BYTES, fold
from eqsat.egraph.rebuild import rebuild
from eqsat.egraph.restart import origins_of
from ir.assembly import assemble
from ir.metadata import METADATA_PREFIX
from ir.onnx_file import num_parameters, operator_counts, write_model

if TYPE_CHECKING:
    from pathlib import Path

    from eqsat.egraph.enode import ENode
    from eqsat.egraph.session import Session
    from eqsat.runtime.runtime import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A model file made from a selection.

    Attributes:
        path: The file.
        origins: Rules behind it, and how many of their applications are in it, see
            :func:`~eqsat.egraph.restart.origins_of`.
        operators: Nodes by operator, as written.
        num_parameters: Elements of all its constant tensors.
    """

    path: Path
    origins: Mapping[str, int]
    operators: Mapping[str, int]
    num_parameters: int = 0


def build(
    session: Session,
    choice: Mapping[int, ENode],
    runtime: Runtime,
    path: Path,
    max_growth_bytes: int = DEFAULT_GROWTH_BYTES,
) -> Built:
    """Write the model that a choice of e-nodes describes.

    Args:
        session: Where the e-nodes come from.
        choice: E-node for each e-class that is needed.
        runtime: Evaluates what is constant.
        path: File to write.
        max_growth_bytes: How much larger than the model's own constants those of the result may be by folding.

    Raises:
        UnwritableError: The model's opset cannot say it.
        OSError: The file cannot be written.
    """
    rebuilt = rebuild(session, choice)
    part_path = path.with_name(f"{path.stem}.constants.onnx")
    try:
        nodes, constants = fold(session, rebuilt, runtime, part_path, max_growth_bytes)
    finally:
        discard(part_path)
    model = assemble(session.graph, nodes, constants, rebuilt.types)
    for key in [key for key in model.metadata_props if key.startswith(METADATA_PREFIX)]:
        del model.metadata_props[key]  # an earlier run's word on what was the output then
    write_model(model, path, is_durable=False)
    origins = origins_of(session, rebuilt)
    return Built(
        path=path, origins=origins, operators=operator_counts(model.graph), num_parameters=num_parameters(model)
    )


def discard(path: Path) -> None:
    """Remove a model file, where it is there, and its external data."""
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.data").unlink(missing_ok=True)
