"""The search session: one model, every equivalent form found so far, and the rewrites on offer.

Searches see nothing else. A step is :meth:`Session.candidates`, a choice, :meth:`Session.apply`; one frozen snapshot
of the e-graph a step feeds names, candidates, masks and the extraction model.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from eqsat.egglog.commands import (
    Location,
    RunReport,
    RunScheduleOutput,
    parse,
    run,
    run_once,
    saturate,
)
from eqsat.egglog.schema import HANDLES
from eqsat.egraph.encoding import UNTYPED, Encoding, encode
from eqsat.egraph.enode import ClassType, ENode
from eqsat.egraph.expressions import ValueReader
from eqsat.egraph.heads import IllTypedError, UndefinedError, are_compatible, describe, evaluate_head
from eqsat.egraph.language import FIND, language_of
from eqsat.egraph.mirror import Mirror, UntypedError, naming_commands, sort_of
from eqsat.egraph.view import Candidate, NewRow, View
from eqsat.rules.gate import NOOP, GatedRule
from eqsat.rules.signatures import UNIT, Role
from ir.inference import TypeInference, TypeInferenceError
from ir.types import TensorType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from eqsat.egglog.commands import Command, FrozenFunction
    from eqsat.egraph.heads import Binding
    from eqsat.rules.book import RuleBook
    from ir.graph import Graph, Node

MAX_FACT_ROUNDS: Final = 64
"""Iterations of the ungated rulesets after which they are taken to run forever."""


class UnsoundRulesError(Exception):
    """An ungated rule joined two values of different types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Size of the e-graph; constructors that stand for no work (lists, outputs) are counted too."""

    num_enodes: int
    num_eclasses: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A state that :meth:`Session.undo` returns to."""

    mirror: Mirror
    view: View
    reader: ValueReader
    members: dict[int, list[ENode]]
    candidates: list[Candidate]
    applied: Counter[str]
    hopeless: frozenset[Candidate]


_NOTHING: Final[Mapping[str, int]] = {}
_NONE_REFUSED: Final[Mapping[str, str]] = {}


@final
class Session:
    """One e-graph with its rules.

    An instance belongs to the thread that made it.
    """

    def __init__(
        self,
        graph: Graph,
        rules: RuleBook,
        *,
        behind: Mapping[str, int] = _NOTHING,
        refused: Mapping[str, str] = _NONE_REFUSED,
        simplified: Iterable[str] = (),
    ) -> None:
        """Load a model.

        Args:
            graph: The model.
            rules: The rules, selected for the model's opset and the target already.
            behind: Rules that have made this graph of the user's model, and how often they were applied.
            refused: Rules that offer nothing, and why.
            simplified: Rules that simplify without being asked, and have matched in the making of this graph.

        Raises:
            RulesError: A rule does not fit the schema.
            UnsoundRulesError: An ungated rule contradicts the model's types.
        """
        self.graph = graph
        self.rules = rules
        self.behind = behind
        self.inference = TypeInference(graph.opset, graph.symbols)
        self.mirror = Mirror(inference=self.inference)
        self.applied: Counter[str] = Counter()
        self.refused = dict(refused)
        self.simplified = set(simplified)
        language = language_of(rules, {node.operator for node in graph.nodes if node.operator})
        self.program = language.program
        self._egraph = language.open()
        self._reader = ValueReader(self._egraph, self.program.signatures)
        self._view = View()
        self._members: dict[int, list[ENode]] = {}
        self._candidates: list[Candidate] = []
        self._hopeless: set[Candidate] = set()
        self._recent: list[ENode] = []
        self._constructors = [
            (name, signature)
            for name, signature in self.program.signatures.names.items()
            if signature.role is Role.CONSTRUCTOR and signature.output in HANDLES
        ]
        self._checkpoints: list[Checkpoint] = []
        self.encoding: Encoding = encode(graph, self.mirror)
        run(self._egraph, *self.encoding.commands)
        self._settle()

    # --- what a search sees ---------------------------------------------------------------------------------

    def candidates(self) -> Sequence[Candidate]:
        """Return what may be applied and would change something, in a fixed order."""
        return self._candidates

    def rule_of(self, candidate: Candidate) -> GatedRule:
        """Return the rule of a candidate."""
        return self.program.gated[candidate.rule]

    def facts(self, name: str) -> Iterator[tuple[Binding, ...]]:
        """Yield the rows of a relation, or of a function with the value last; e-classes by their numbers.

        Args:
            name: Of a relation or a function; nothing else has rows.
        """
        signature = self.program.signatures.names.get(name)
        if signature is None or signature.role is Role.CONSTRUCTOR:
            return
        has_value = signature.output != UNIT
        sorts = (*signature.inputs, signature.output) if has_value else signature.inputs
        handles, canonical = self._view.handles, self.mirror.canonical
        for row in self._egraph.freeze().functions[name].rows:
            values = (*row.inputs, row.output) if has_value else tuple(row.inputs)
            yield tuple(
                canonical[handles[sort, value]] if sort in HANDLES else self._reader.attribute(sort, value)
                for sort, value in zip(sorts, values, strict=True)
            )

    def apply(self, candidates: Iterable[Candidate], *, max_enodes: float = math.inf) -> int:
        """Apply candidates and everything that follows without a choice; return how many were applied.

        A candidate whose right side cannot exist is passed over. One whose right side has another type than its
        left side is not applied, and its rule offers nothing from then on: see ``refused``.

        Args:
            candidates: What to apply.
            max_enodes: Size of the e-graph at which no further candidate is taken; what is left of an iterator can be
                applied later. What follows without a choice comes on top.

        Raises:
            UnsoundRulesError: An ungated rule contradicts the types.
        """
        num_applied = 0
        commands: list[Command] = []
        for candidate in candidates:
            gated = self.rule_of(candidate)
            if gated.rule.name in self.refused:
                continue
            draft = self.mirror.draft(gated.rule.name)
            bindings = dict(zip(gated.variables, candidate.bindings, strict=True))
            try:
                evaluation = evaluate_head(gated.head, bindings, draft, self.program.signatures)
            except IllTypedError as error:
                self.refused[gated.rule.name] = str(error)
                continue
            except (UndefinedError, TypeInferenceError, UntypedError):
                self._hopeless.add(candidate)
                continue
            self._recent.extend(draft.enodes())
            commands.extend(draft.commit())
            commands.extend(evaluation.commands)
            num_applied += 1
            self.applied[gated.rule.name] += 1
            if len(self.mirror.enodes) >= max_enodes:
                break
        if commands:
            run(self._egraph, *commands)
            self._settle()
        else:
            self._list_candidates()
        return num_applied

    def size(self) -> Size:
        """Return the size of the e-graph."""
        return Size(num_enodes=len(self.mirror.enodes), num_eclasses=len(self._members))

    def members(self, handle: int) -> Sequence[ENode]:
        """Return the e-nodes of an e-class."""
        return self._members.get(self.mirror.canonical[handle], ())

    def eclasses(self) -> Iterable[tuple[int, Sequence[ENode]]]:
        """Return every e-class with its e-nodes."""
        return self._members.items()

    def constants(self) -> frozenset[int]:
        """Return the e-classes that are constant."""
        return frozenset(self._view.constants)

    def roots(self) -> tuple[int, ...]:
        """Return the e-class of each of the model's outputs."""
        return tuple(self.mirror.canonical[handle] for handle in self.encoding.roots)

    def model_nodes(self) -> dict[ENode, Node]:
        """Return the e-nodes that the model itself has, as they are called now, with its nodes."""
        canonical = self.mirror.canonical
        found: dict[ENode, Node] = {}
        for enode, node in self.encoding.nodes.items():
            children = tuple(canonical[child] for child in enode.children)
            found.setdefault(ENode(enode.operator, children, enode.attributes), node)
        return found

    def checkpoint(self) -> None:
        """Remember the state, for :meth:`undo`."""
        run(self._egraph, *parse(self._egraph, "(push 1)", Location("session", 1, 1)))
        self._checkpoints.append(
            Checkpoint(
                mirror=self.mirror.copy(),
                view=self._view.copy(),
                reader=self._reader.copy(),
                members={handle: list(enodes) for handle, enodes in self._members.items()},
                candidates=list(self._candidates),
                applied=Counter(self.applied),
                hopeless=frozenset(self._hopeless),
            ),
        )

    def undo(self) -> None:
        """Return to the last checkpoint and forget it.

        Raises:
            IndexError: There is none.
        """
        state = self._checkpoints.pop()
        run(self._egraph, *parse(self._egraph, "(pop 1)", Location("session", 1, 1)))
        self.mirror, self._view, self._reader = state.mirror, state.view, state.reader
        self._members, self._candidates, self.applied = state.members, state.candidates, state.applied
        self._hopeless = set(state.hopeless)

    # --- one step -------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Facts and simplifications to the end, then matches, then one snapshot."""
        for _ in range(MAX_FACT_ROUNDS):
            run(self._egraph, saturate("facts"))
            reports = _reports(run(self._egraph, run_once("simp")))
            self.simplified.update(
                name for each in reports for name, count in each.num_matches_per_rule.items() if count
            )
            if not any(each.updated for each in reports):
                break
        else:
            raise UnsoundRulesError("the ungated rules (ruleset simp) do not come to an end")
        run(self._egraph, run_once(FIND), run_once(NOOP))
        self._read()

    def _read(self) -> None:
        """Bring mirror, members and candidates up to date with the e-graph."""
        functions = self._egraph.freeze().functions
        view, reader = self._view, self._reader
        is_merged = view.begin(functions)
        reader.load_records(functions)
        for number, standing in view.read_handles(functions, reader):
            if self.mirror.canonical[number] != standing:
                self._check_merge(number, standing)
                self.mirror.canonical[number] = standing
        self._read_enodes(functions, is_merged=is_merged)
        view.read_constants(functions)
        for gated in self.program.gated:
            if gated.rule.name not in self.refused:
                view.read_candidates(functions, gated, reader)
        self._list_candidates()

    def _list_candidates(self) -> None:
        offered = [
            candidate
            for gated in self.program.gated
            if gated.rule.name not in self.refused
            for candidate in self._view.candidates.get(gated.index, {}).values()
        ]
        hopeless = self._hopeless
        self._candidates = [each for each in offered if each not in hopeless] if hopeless else offered

    def _check_merge(self, handle: int, standing: int) -> None:
        one, two = self.mirror.types[handle], self.mirror.types[standing]
        if isinstance(one, TensorType) and isinstance(two, TensorType):
            if not are_compatible(one, two):
                raise UnsoundRulesError(f"an ungated rule made {describe(one)} equal to {describe(two)}")
        elif isinstance(one, TensorType):
            self.mirror.types[standing] = one

    def _read_enodes(self, functions: Mapping[str, FrozenFunction], *, is_merged: bool) -> None:
        """Add the new e-nodes; after a merge, all e-nodes, called as they are now."""
        before = self.mirror.enodes
        if is_merged:
            self.mirror.enodes, self._members = {}, {}
        rows = self._view.new_enodes(functions, self._constructors)
        commands: list[Command] = []
        while rows:
            left = [row for row in rows if not self._read_enode(row, before, commands)]
            if len(left) == len(rows):
                break
            rows = left
        if commands:
            run(self._egraph, *commands)
        self._rename(before if is_merged else self._recent)
        self._recent = []

    def _read_enode(self, new: NewRow, before: Mapping[ENode, int], commands: list[Command]) -> bool:
        """Add one e-node; False while a child of it has no number yet."""
        signature = self.program.signatures.names[new.constructor]
        enode = self._view.decode(new.constructor, signature.inputs, new.row, self._reader)
        if enode is None:
            return False
        handle = new.handle
        if handle is None:
            key = (signature.output, new.row.output)
            handle = self._view.handles.get(key)
            if handle is None:
                handle = self.mirror.new_handle(sort_of(enode), self._type_of(enode))
                self._view.handles[key] = handle
                commands.extend(naming_commands(self.mirror, enode, handle))
        if enode not in before and enode.is_operator:
            self._check_new(enode, handle)
        self.mirror.enodes[enode] = handle
        members = self._members.setdefault(handle, [])
        if enode not in members:
            members.append(enode)
        return True

    def _check_new(self, enode: ENode, handle: int) -> None:
        """What no candidate made comes from an ungated rule or from congruence: its type must be its e-class's."""
        expected, found = self.mirror.types[handle], self._type_of(enode)
        if isinstance(expected, TensorType) and isinstance(found, TensorType) and not are_compatible(expected, found):
            made = f"{enode.operator} of {describe(found)}"
            raise UnsoundRulesError(f"an ungated rule made {made} equal to a value of {describe(expected)}")

    def _rename(self, enodes: Iterable[ENode]) -> None:
        """Forget e-nodes under names that unions have changed; their origins go to the new names."""
        mirror = self.mirror
        for enode in list(enodes):
            children = tuple(mirror.canonical[child] for child in enode.children)
            if children != enode.children:
                mirror.enodes.pop(enode, None)
                origin = mirror.origins.pop(enode, None)
                if origin is not None:
                    mirror.origins.setdefault(ENode(enode.operator, children, enode.attributes), origin)

    def _type_of(self, enode: ENode) -> ClassType:
        draft = self.mirror.draft("")
        try:
            return draft.type_of(draft.add(enode))
        except (TypeInferenceError, UntypedError):
            return UNTYPED


def _reports(outputs: Iterable[object]) -> list[RunReport]:
    return [output.report for output in outputs if isinstance(output, RunScheduleOutput)]
