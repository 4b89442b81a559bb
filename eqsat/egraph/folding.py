"""Constants computed once, when a model is written: what a rule has made of the model's own constants.

A fold puts the result of some nodes into the file, and the constants that only they needed go. Where the result takes
more bytes than what goes, the model grows, within a limit. Weights are never unpacked: what is quantised, stored in
fewer bits, or used elsewhere in the model too, stays as it is where its fold would make the file larger, whatever the
limit. Nodes that are not folded stay computations, which ONNX Runtime folds in its own memory where it can.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from eqsat.runtime.errors import MeasurementError
from eqsat.runtime.settings import OptimizationLevel, SessionSettings
from eqsat.runtime.wire import ELEMENT_TYPES
from ir.assembly import assemble
from ir.data_types import itemsize
from ir.graph import Constant
from ir.onnx_file import write_model

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from eqsat.egraph.rebuild import Rebuilt
    from eqsat.egraph.session import Session
    from eqsat.runtime.runtime import Runtime
    from ir.graph import Node
    from ir.types import TensorType

DEFAULT_GROWTH_BYTES: Final = 2**20
"""By so much folding may let a model grow where nobody says more."""

SMALL_BYTES: Final = 1024
"""What is smaller is no weight: a number that many nodes share, a bias, a scale."""


def fold(
    session: Session,
    rebuilt: Rebuilt,
    runtime: Runtime,
    part_path: Path,
    max_growth_bytes: int,
) -> tuple[list[Node], dict[str, Constant | np.ndarray]]:
    """Evaluate nodes that depend on no input, as far as the model does not grow too much by it.

    Only what a rule has changed is evaluated: constants that the model itself computes stay as they were.

    Args:
        session: Where the e-nodes come from.
        rebuilt: The graph.
        runtime: Evaluates.
        part_path: Where the constant part may be written as a model.
        max_growth_bytes: By so much the constants of the result may exceed those of the model that was read.

    Returns:
        The nodes that are left, and the constants.
    """
    constants: dict[str, Constant | np.ndarray] = dict(rebuilt.constants)
    folding = _Folding(session, rebuilt, max_growth_bytes)
    chosen = folding.chosen({name: folding.expected_bytes(name) for name in folding.frontier})
    if not chosen:
        return list(rebuilt.nodes), constants
    settings = SessionSettings(level=OptimizationLevel.DISABLED)
    try:
        needed = _needed_by(folding.part, chosen)
        model = assemble(session.graph, needed, rebuilt.constants, rebuilt.types, outputs=sorted(chosen), inputs=())
        write_model(model, part_path, is_durable=False)
        values = runtime.outputs(part_path, {}, settings)
    except MeasurementError:
        return list(rebuilt.nodes), constants
    chosen = folding.chosen({name: array.nbytes for name, array in values.items() if name in chosen})
    constants.update({name: values[name] for name in chosen})
    return folding.nodes_without(chosen), constants


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What is left of a graph once some values are constants.

    Attributes:
        folded: The values that have become constants.
        dead: Places of the nodes that are gone.
        uses: How often each value is used by what is left.
    """

    folded: frozenset[str]
    dead: frozenset[int]
    uses: Counter[str]


@final
class _Folding:
    """The choice of what is folded."""

    def __init__(self, session: Session, rebuilt: Rebuilt, max_growth_bytes: int) -> None:
        self._nodes = rebuilt.nodes
        self._types = rebuilt.types
        self.part = [node for node in rebuilt.nodes if _is_constant(node, rebuilt)]
        self.frontier = self._frontier(session)
        self._bytes = {name: constant.tensor.nbytes for name, constant in rebuilt.constants.items()}
        self._producers = {name: place for place, node in enumerate(self._nodes) for name in node.outputs if name}
        uses = Counter(name for node in self._nodes for name in node.inputs if name)
        uses.update(session.graph.outputs)
        self._start = _State(folded=frozenset(), dead=frozenset(), uses=uses)
        own_bytes = sum(constant.tensor.nbytes for constant in session.graph.constants.values())
        self._room_bytes = max_growth_bytes + own_bytes - sum(self._bytes[name] for name in self._bytes if uses[name])
        self._weights, self._wide = self._upstream()

    def expected_bytes(self, name: str) -> int:
        """Return the bytes of a value by its type; 0 where its shape is not known before it is evaluated."""
        type_ = self._types.get(name)
        return math.ceil(_num_bytes(type_)) if type_ is not None and type_.is_static else 0

    def chosen(self, sizes: Mapping[str, int]) -> frozenset[str]:
        """Return which of some values to fold: whole groups where that is possible, the smallest growth first.

        Args:
            sizes: Bytes by value.
        """
        state, room_bytes = self._start, max(self._room_bytes, 0)
        alone = {names: self._growth(self._start, names, sizes)[1] for names in self._groups(sizes)}
        for group in sorted(alone, key=lambda names: (alone[names], sorted(names))):
            singles = sorted(group, key=lambda name: (sizes[name], name))
            for names in (group, *(frozenset({name}) for name in singles)):
                after, growth_bytes = self._growth(state, names - state.folded, sizes)
                if growth_bytes <= room_bytes and not self._loses_packing(after, names, growth_bytes):
                    state, room_bytes = after, room_bytes - growth_bytes
        return state.folded

    def nodes_without(self, folded: frozenset[str]) -> list[Node]:
        """Return the nodes that are left once some values are constants."""
        dead = self._after(self._start, folded).dead
        return [node for place, node in enumerate(self._nodes) if place not in dead]

    def _frontier(self, session: Session) -> list[str]:
        """Constant values, computed by something new, that the rest of the model uses and a file can hold."""
        own = {id(node.source) for node in session.encoding.nodes.values()}
        computed: dict[str, bool] = {}
        for node in self.part:
            is_new = node.source is None or id(node.source) not in own
            is_new = is_new or any(computed.get(name, False) for name in node.inputs)
            computed.update(dict.fromkeys((name for name in node.outputs if name), is_new))
        constant = {id(node) for node in self.part}
        used = {name for node in self._nodes for name in node.inputs if id(node) not in constant}
        found = (name for name, is_new in computed.items() if is_new and name in used)
        return sorted(name for name in found if name not in self._types or self._types[name].dtype in ELEMENT_TYPES)

    def _upstream(self) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
        """Return the weights that each constant value is computed from, and the values that hold them in more bits."""
        weights = {
            name: frozenset({name} if num_bytes >= SMALL_BYTES else ()) for name, num_bytes in self._bytes.items()
        }
        wide: set[str] = set()
        for node in self.part:
            inputs = [name for name in node.inputs if name]
            found = frozenset().union(*(weights.get(name, frozenset()) for name in inputs))
            heavy = [name for name in inputs if weights.get(name)]
            is_wider = any(
                self._bits(name) > self._bits(source) for name in node.outputs if name for source in heavy
            ) or not wide.isdisjoint(inputs)
            for name in node.outputs:
                weights[name] = found
                if is_wider:
                    wide.add(name)
        return weights, frozenset(wide)

    def _bits(self, name: str) -> float:
        type_ = self._types.get(name)
        return 0.0 if type_ is None else 8 * itemsize(type_.dtype)

    def _groups(self, names: Iterable[str]) -> list[frozenset[str]]:
        """Return the values in groups, two of which share no weight."""
        groups: list[tuple[set[str], set[str]]] = []
        for name in names:
            members, weights = {name}, set(self._weights[name])
            apart = []
            for group in groups:
                if weights.isdisjoint(group[1]):
                    apart.append(group)
                else:
                    members |= group[0]
                    weights |= group[1]
            groups = [*apart, (members, weights)]
        return [frozenset(members) for members, _ in groups]

    def _growth(self, state: _State, names: frozenset[str], sizes: Mapping[str, int]) -> tuple[_State, int]:
        """Return what is left once more values are constants, and the bytes that the file gains by these."""
        after = self._after(state, names)
        freed = (self._bytes[name] for name in self._bytes if state.uses[name] and not after.uses[name])
        return after, sum(sizes[name] for name in names) - sum(freed)

    def _loses_packing(self, after: _State, names: frozenset[str], growth_bytes: int) -> bool:
        """Whether the file gains bytes since a weight is unpacked by some folds, or stands in it more than once."""
        copies = Counter(weight for name in names for weight in self._weights[name])
        is_tied = any(num_copies > 1 or after.uses[weight] for weight, num_copies in copies.items())
        return (is_tied or not names.isdisjoint(self._wide)) and growth_bytes >= SMALL_BYTES

    def _after(self, state: _State, names: frozenset[str]) -> _State:
        """Take away the nodes whose results are constants or used by nobody any more."""
        folded, dead, uses = state.folded | names, set(state.dead), state.uses.copy()
        pending = [self._producers[name] for name in names]
        while pending:
            place = pending.pop()
            node = self._nodes[place]
            is_needed = any(name and name not in folded and uses[name] for name in node.outputs)
            if place in dead or node.is_opaque or is_needed:
                continue
            dead.add(place)
            uses.subtract(name for name in node.inputs if name)
            pending.extend(self._producers[name] for name in node.inputs if not uses[name] and name in self._producers)
        return _State(folded=folded, dead=frozenset(dead), uses=uses)


def _num_bytes(type_: TensorType) -> float:
    return math.prod(type_.shape) * itemsize(type_.dtype)


def _is_constant(node: Node, rebuilt: Rebuilt) -> bool:
    return all(name in rebuilt.constant_values for name in node.outputs if name)


def _needed_by(nodes: list[Node], values: Iterable[str]) -> list[Node]:
    needed = set(values)
    kept: list[Node] = []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
            kept.append(node)
    return kept[::-1]
