"""What one frozen snapshot of the e-graph says, read as little as possible.

Rows of egglog's tables keep their order: what a step adds stands at the end, and what a union changes is taken out and
put at the end too. So as long as no e-class of the last snapshot was merged into another, only the ends of the tables
are new. Where one was, everything is read again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast, final

from eqsat.egglog.schema import HANDLES
from eqsat.egraph.enode import ENode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eqsat.egglog.commands import FrozenFunction, FrozenRow, Value
    from eqsat.egraph.expressions import ValueReader
    from eqsat.egraph.heads import Binding
    from eqsat.rules.gate import GatedRule
    from eqsat.rules.signatures import Signature
    from ir.graph import AttributeValue


@dataclass(frozen=True, slots=True)
class Candidate:
    """A match that may be applied.

    Attributes:
        rule: Index among the program's gated rules.
        bindings: Value of each of the rule's variables: the handle of an e-class, or an attribute.
    """

    rule: int
    bindings: tuple[Binding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRow:
    """A row of a constructor that was not there before; ``handle`` is None while its e-class has no number."""

    constructor: str
    row: FrozenRow
    handle: int | None


@final
@dataclass(slots=True)
class View:
    """The state behind the last snapshot.

    Attributes:
        handles: Number of each e-class, by sort and egglog's own value.
        constants: Numbers of the e-classes that are constant.
        candidates: For each gated rule its candidates by egglog's own row.
    """

    handles: dict[tuple[str, Value], int] = field(default_factory=dict)
    constants: set[int] = field(default_factory=set)
    candidates: dict[int, dict[tuple[Value, ...], Candidate]] = field(default_factory=dict)
    _last_named: dict[str, tuple[int, FrozenRow]] = field(default_factory=dict)
    _num_rows: dict[str, int] = field(default_factory=dict)
    _decoded: dict[tuple[str, tuple[Value, ...]], ENode] = field(default_factory=dict)

    def copy(self) -> View:
        """Return a copy that does not change with this one."""
        return View(
            handles=dict(self.handles),
            constants=set(self.constants),
            candidates={rule: dict(rows) for rule, rows in self.candidates.items()},
            _last_named=dict(self._last_named),
            _num_rows=dict(self._num_rows),
            _decoded=dict(self._decoded),
        )

    def begin(self, functions: Mapping[str, FrozenFunction]) -> bool:
        """Return whether all must be read again: at first, and when e-classes of the last snapshot were merged.

        A merge changes the row of a number, which leaves its place; whatever stands behind it then moves up. So it is
        enough to look at the place where the last number of the last snapshot stood.
        """
        named = {sort: functions[name].rows for sort, name in HANDLES.items()}
        is_merged = not self._last_named
        for sort, (count, last) in self._last_named.items():
            row = named[sort][count - 1] if count <= len(named[sort]) else None
            is_merged = is_merged or row is None or (row.inputs, row.output) != (last.inputs, last.output)
        self._last_named = {sort: (len(rows), rows[-1]) for sort, rows in named.items() if rows}
        if is_merged:
            self._num_rows.clear()
            self.constants.clear()
            self.candidates.clear()
        return is_merged

    def fresh(self, functions: Mapping[str, FrozenFunction], name: str) -> Sequence[FrozenRow]:
        """Return the rows of a table that were not read yet, and count them as read."""
        rows = functions[name].rows
        start = self._num_rows.get(name, 0)
        self._num_rows[name] = len(rows)
        return rows[start:] if start else rows

    def read_handles(self, functions: Mapping[str, FrozenFunction], reader: ValueReader) -> list[tuple[int, int]]:
        """Return pairs of a number and the number that stands for its e-class now."""
        pairs: list[tuple[int, int]] = []
        for sort, name in HANDLES.items():
            for row in self.fresh(functions, name):
                number = reader.integer(row.inputs[0])
                pairs.append((number, self.handles.setdefault((sort, row.output), number)))
        return pairs

    def read_constants(self, functions: Mapping[str, FrozenFunction]) -> None:
        """Add the e-classes found constant."""
        for row in self.fresh(functions, "constant"):
            self.constants.add(self.handles["Tensor", row.inputs[0]])

    def read_candidates(
        self,
        functions: Mapping[str, FrozenFunction],
        gated: GatedRule,
        reader: ValueReader,
    ) -> None:
        """Add the new matches of a rule, take out those that turned out to change nothing."""
        known = self.candidates.setdefault(gated.index, {})
        for row in self.fresh(functions, gated.match):
            inputs = tuple(row.inputs)
            bindings = tuple(
                self.handles[sort, value] if sort in HANDLES else reader.attribute(sort, value)
                for sort, value in zip(gated.sorts, inputs, strict=True)
            )
            known[inputs] = Candidate(gated.index, bindings)
        for row in self.fresh(functions, gated.noop):
            known.pop(tuple(row.inputs), None)

    def new_enodes(
        self,
        functions: Mapping[str, FrozenFunction],
        constructors: Sequence[tuple[str, Signature]],
    ) -> list[NewRow]:
        """Return the rows of the constructors that were not read yet."""
        return [
            NewRow(constructor=name, row=row, handle=self.handles.get((signature.output, row.output)))
            for name, signature in constructors
            for row in self.fresh(functions, name)
        ]

    def decode(self, name: str, sorts: Sequence[str], row: FrozenRow, reader: ValueReader) -> ENode | None:
        """Return the e-node of a row; None while one of its children has no number."""
        inputs = tuple(row.inputs)
        found = self._decoded.get((name, inputs))
        if found is not None:
            return found
        children: list[int] = []
        attributes: list[AttributeValue] = []
        for sort, value in zip(sorts, inputs, strict=True):
            if sort in HANDLES or sort == "TVec":
                items = [(sort, value)] if sort in HANDLES else [("Tensor", item) for item in reader.items(value)]
                for item in items:
                    child = self.handles.get(item)
                    if child is None:
                        return None
                    children.append(child)
            elif sort.endswith("Attrs"):
                attributes.extend(cast("tuple[AttributeValue, ...]", reader.attribute(sort, value)))
            else:
                attributes.append(reader.attribute(sort, value))
        enode = ENode(name, tuple(children), tuple(attributes))
        self._decoded[name, inputs] = enode
        return enode
