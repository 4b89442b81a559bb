"""Which names of dimensions mean that two sizes are equal, and which are only what an exporter writes for "unknown"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import onnx_ir

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_FILLERS: Final = re.compile(
    r"\?+|-1|\*|((unk|unknown|none)(_*\d+)?)|null|nan|dyn|dynamic|dim|any|undefined|unspecified", re.IGNORECASE
)
"""What exporters write for every size that they do not know: two of them say nothing of each other."""

_WORD: Final = re.compile(r"[^\s+*/(),-]+")

UNKNOWN_PREFIX: Final = "unk__"
"""How the names begin that dimensions get here; none of them is written into a model."""


def is_filler(name: str) -> bool:
    """Return whether a name, or a part of a sum or product of names, stands for any unknown size."""
    words = [name.strip(), *_WORD.findall(name)]
    return not words[0] or any(_FILLERS.fullmatch(word) for word in words)


def with_own_names(model: onnx_ir.Model, unequal: Collection[str]) -> onnx_ir.Model:
    """Return the model, or a copy in which no dimension shares a name that is no equality.

    Dimensions of inputs get a name of their own; those of other values lose theirs, and inference finds what it can.

    Args:
        model: Is not changed.
        unequal: Names that are no equalities, besides those that stand for any unknown size.
    """
    barred = frozenset(unequal)

    def is_shared(entry: int | onnx_ir.SymbolicDim) -> bool:
        if isinstance(entry, int) or not entry.value:
            return False
        name = str(entry.value)
        return is_filler(name) or not barred.isdisjoint((name, *_WORD.findall(name)))

    if not any(is_shared(entry) for value in _values(model.graph) for entry in value.shape or ()):
        return model
    copy = model.clone()
    for value in _values(copy.graph):
        if value.shape is not None:
            value.shape = onnx_ir.Shape([None if is_shared(entry) else entry for entry in value.shape])
    for value in copy.graph.inputs:
        if value.shape is not None:
            value.shape = onnx_ir.Shape(
                [
                    entry if isinstance(entry, int) or entry.value else f"{UNKNOWN_PREFIX}{value.name}_{axis}"
                    for axis, entry in enumerate(value.shape)
                ]
            )
    return copy


def _values(graph: onnx_ir.Graph) -> Iterator[onnx_ir.Value]:
    yield from graph.inputs
    for node in graph:
        yield from node.outputs
