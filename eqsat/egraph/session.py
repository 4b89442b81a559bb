"""The search session: one model, every equivalent form found so far, and the rewrites on offer.

Searches see nothing else. A step is :meth:`Session.candidates`, a choice, :meth:`Session.apply`; one frozen snapshot
of the e-graph a step feeds names, candidates, masks and the extraction model.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from eqsat.egraph.egglog import EGraph, Location, RunScheduleOutput, parse, run, run_once, saturate
from eqsat.egraph.encoding import UNTYPED, Encoding, encode
from eqsat.egraph.enode import ClassType, ENode
from eqsat.egraph.expressions import ValueReader
from eqsat.egraph.heads import Binding, IllTypedError, UndefinedError, are_compatible, describe, evaluate_head
from eqsat.egraph.mirror import Mirror, Origin, UntypedError, naming_commands, sort_of
from eqsat.egraph.schema import HANDLES, fact_rules_text, schema_text
from eqsat.rules.gate import GatedRule, Program, declare, gate
from eqsat.rules.signatures import Role
from ir.inference import TypeInference, TypeInferenceError
from ir.operators import OPERATORS
from ir.types import TensorType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from eqsat.egraph.egglog import Command, FrozenFunction, FrozenRow, Value
    from eqsat.rules.book import RuleBook
    from ir.graph import Graph

NEAR_RELATIVE: Final = 1e-6
"""Relative difference up to which a constant counts as the number a rule names: exporters round to float32."""

NEAR_SMALLEST: Final = 1e-3
"""Magnitude below which that difference shrinks no further."""

MAX_FACT_ROUNDS: Final = 64
"""Iterations of the ungated rulesets after which they are taken to run forever."""


class UnsoundRulesError(Exception):
    """An ungated rule joined two values of different types."""


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
class Size:
    """Size of the e-graph; constructors that stand for no work (lists, outputs) are counted too."""

    num_enodes: int
    num_eclasses: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A state that :meth:`Session.undo` returns to."""

    mirror: Mirror
    decoded: dict[tuple[str, tuple[Value, ...]], ENode]
    handles: dict[tuple[str, Value], int]
    applied: Counter[str]


@final
class Session:
    """One e-graph with its rules.

    An instance belongs to the thread that made it.
    """

    def __init__(self, graph: Graph, rules: RuleBook) -> None:
        """Load a model.

        Args:
            graph: The model.
            rules: The rules, selected for the model's opset and the target already.

        Raises:
            RulesError: A rule does not fit the schema.
            UnsoundRulesError: An ungated rule contradicts the model's types.
        """
        self.graph = graph
        self.inference = TypeInference(graph.opset, graph.symbols)
        self.mirror = Mirror(inference=self.inference)
        self.applied: Counter[str] = Counter()
        self.refused: dict[str, str] = {}
        self._egraph = EGraph()
        used = {node.operator for node in graph.nodes if node.operator}
        self.program = self._declare(rules, used)
        self._reader = ValueReader(self._egraph, self.program.signatures)
        self._decoded: dict[tuple[str, tuple[Value, ...]], ENode] = {}
        self._handles: dict[tuple[str, Value], int] = {}
        self._members: dict[int, list[ENode]] = {}
        self._constants: frozenset[int] = frozenset()
        self._candidates: list[Candidate] = []
        self._hopeless: set[Candidate] = set()
        self._constructors = [
            (name, signature)
            for name, signature in self.program.signatures.names.items()
            if signature.role is Role.CONSTRUCTOR and signature.output in HANDLES
        ]
        self._checkpoints: list[Checkpoint] = []
        self.encoding: Encoding = encode(graph, self.mirror)
        run(self._egraph, *self.encoding.commands)
        self._settle()

    def _declare(self, rules: RuleBook, used: set[str]) -> Program:
        operators = [name for name in OPERATORS if name in used or name in _operators_of(rules)]
        schema: list[Command] = []
        place = Location("schema", 1, 1)
        for text in (schema_text(), "(ruleset facts)", "(ruleset simp)"):
            schema.extend(parse(self._egraph, text, place))
        lines = [*fact_rules_text(operators).splitlines(), *_near_rules(rules.literals)]
        for line in lines:
            schema.extend(parse(self._egraph, line, place))
        program = gate(
            rules,
            schema,
            commutative=frozenset(row.name for row in OPERATORS.values() if row.is_commutative),
        )
        run(self._egraph, *schema)
        declare(self._egraph, program)
        return program

    # --- what a search sees ---------------------------------------------------------------------------------

    def candidates(self) -> Sequence[Candidate]:
        """Return what may be applied and would change something, in a fixed order."""
        return self._candidates

    def rule_of(self, candidate: Candidate) -> GatedRule:
        """Return the rule of a candidate."""
        return self.program.gated[candidate.rule]

    def apply(self, candidates: Iterable[Candidate]) -> int:
        """Apply candidates and everything that follows without a choice; return how many were applied.

        A candidate whose right side cannot exist is passed over. One whose right side has another type than its
        left side is not applied, and its rule offers nothing from then on: see ``refused``.

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
            commands.extend(draft.commit())
            commands.extend(evaluation.commands)
            num_applied += 1
            self.applied[gated.rule.name] += 1
        if commands:
            run(self._egraph, *commands)
            self._settle()
        elif self._hopeless:
            self._candidates = [each for each in self._candidates if each not in self._hopeless]
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
        return self._constants

    def roots(self) -> tuple[int, ...]:
        """Return the e-class of each of the model's outputs."""
        return tuple(self.mirror.canonical[handle] for handle in self.encoding.roots)

    def checkpoint(self) -> None:
        """Remember the state, for :meth:`undo`."""
        run(self._egraph, *parse(self._egraph, "(push 1)", Location("session", 1, 1)))
        self._checkpoints.append(
            Checkpoint(
                mirror=self.mirror.copy(),
                decoded=dict(self._decoded),
                handles=dict(self._handles),
                applied=Counter(self.applied),
            ),
        )

    def undo(self) -> None:
        """Return to the last checkpoint and forget it.

        Raises:
            IndexError: There is none.
        """
        state = self._checkpoints.pop()
        run(self._egraph, *parse(self._egraph, "(pop 1)", Location("session", 1, 1)))
        self.mirror, self._decoded, self._handles = state.mirror, state.decoded, state.handles
        self.applied = state.applied
        self._read()

    # --- one step -------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Facts and simplifications to the end, then matches, then one snapshot."""
        for _ in range(MAX_FACT_ROUNDS):
            run(self._egraph, saturate("facts"))
            if not _changed(run(self._egraph, run_once("simp"))):
                break
        else:
            raise UnsoundRulesError("the ungated rules (ruleset simp) do not come to an end")
        run(self._egraph, *(run_once(gated.match_ruleset) for gated in self.program.gated), run_once("noop"))
        self._read()

    def _read(self) -> None:
        """Bring mirror, members and candidates up to date with the e-graph."""
        functions = self._egraph.freeze().functions
        self._reader.load_records(functions)
        self._read_handles(functions)
        self._read_enodes(functions)
        self._constants = frozenset(
            self._handles["Tensor", row.inputs[0]] for row in functions["constant"].rows
        )
        self._read_candidates(functions)

    def _read_handles(self, functions: Mapping[str, FrozenFunction]) -> None:
        mirror = self.mirror
        for sort, name in HANDLES.items():
            for row in functions[name].rows:
                number = self._reader.attribute("i64", row.inputs[0])
                key = (sort, row.output)
                standing = self._handles.setdefault(key, number)  # type: ignore[arg-type]
                if mirror.canonical[number] != standing:  # type: ignore[index]
                    self._check_merge(number, standing)  # type: ignore[arg-type]
                    mirror.canonical[number] = standing  # type: ignore[index]

    def _check_merge(self, handle: int, standing: int) -> None:
        one, two = self.mirror.types[handle], self.mirror.types[standing]
        if isinstance(one, TensorType) and isinstance(two, TensorType):
            if not are_compatible(one, two):
                raise UnsoundRulesError(f"an ungated rule made {describe(one)} equal to {describe(two)}")
        elif isinstance(one, TensorType):
            self.mirror.types[standing] = one

    def _read_enodes(self, functions: Mapping[str, FrozenFunction]) -> None:
        mirror = self.mirror
        enodes: dict[ENode, int] = {}
        members: dict[int, list[ENode]] = {}
        unnamed: list[tuple[str, FrozenRow]] = []
        for name, signature in self._constructors:
            sort = signature.output
            for row in functions[name].rows:
                handle = self._handles.get((sort, row.output))
                enode = self._decode(name, signature.inputs, row) if handle is not None else None
                if handle is None or enode is None:
                    unnamed.append((name, row))
                    continue
                enodes[enode] = handle
                members.setdefault(handle, []).append(enode)
        self._name_rest(unnamed, enodes, members)
        if len(enodes) != len(mirror.enodes) or mirror.enodes.keys() != enodes.keys():
            self._check_new(enodes)
            mirror.origins = self._moved_origins()
        mirror.enodes = enodes
        self._members = members

    def _moved_origins(self) -> dict[ENode, Origin]:
        """Origins by the e-nodes as they are called after unions."""
        canonical = self.mirror.canonical
        moved: dict[ENode, Origin] = {}
        for enode, origin in self.mirror.origins.items():
            children = tuple(canonical[child] for child in enode.children)
            moved.setdefault(enode if children == enode.children else ENode(enode.operator, children, enode.attributes), origin)
        return moved

    def _decode(self, name: str, sorts: Sequence[str], row: FrozenRow) -> ENode | None:
        """The e-node of a row; None while one of its children has no handle."""
        inputs = tuple(row.inputs)
        key = (name, inputs)
        found = self._decoded.get(key)
        if found is not None:
            return found
        children: list[int] = []
        attributes: list[object] = []
        for sort, value in zip(sorts, inputs, strict=True):
            if sort in HANDLES:
                child = self._handles.get((sort, value))
                if child is None:
                    return None
                children.append(child)
            elif sort == "TVec":
                for item in self._reader.items(value):
                    child = self._handles.get(("Tensor", item))
                    if child is None:
                        return None
                    children.append(child)
            elif sort.endswith("Attrs"):
                attributes.extend(self._reader.attribute(sort, value))  # type: ignore[arg-type]
            else:
                attributes.append(self._reader.attribute(sort, value))
        enode = ENode(name, tuple(children), tuple(attributes))  # type: ignore[arg-type]
        self._decoded[key] = enode
        return enode

    def _name_rest(
        self,
        rows: list[tuple[str, FrozenRow]],
        enodes: dict[ENode, int],
        members: dict[int, list[ENode]],
    ) -> None:
        """Number the e-classes that ungated rules made, children first."""
        commands: list[Command] = []
        while rows:
            left: list[tuple[str, FrozenRow]] = []
            for name, row in rows:
                signature = self.program.signatures.names[name]
                enode = self._decode(name, signature.inputs, row)
                if enode is None:
                    left.append((name, row))
                    continue
                key = (signature.output, row.output)
                handle = self._handles.get(key)
                if handle is None:
                    handle = self.mirror.new_handle(sort_of(enode), self._type_of(enode))
                    self._handles[key] = handle
                    commands.extend(naming_commands(self.mirror, enode, handle))
                enodes[enode] = handle
                members.setdefault(handle, []).append(enode)
            if len(left) == len(rows):
                break
            rows = left
        if commands:
            run(self._egraph, *commands)

    def _type_of(self, enode: ENode) -> ClassType:
        draft = self.mirror.draft("")
        try:
            return draft.type_of(draft.add(enode))
        except (TypeInferenceError, UntypedError):
            return UNTYPED

    def _check_new(self, enodes: dict[ENode, int]) -> None:
        """An e-node that no candidate made comes from an ungated rule or from congruence: its type must be its class's."""
        for enode, handle in enodes.items():
            if enode in self.mirror.enodes or not enode.is_operator:
                continue
            expected, found = self.mirror.types[handle], self._type_of(enode)
            if isinstance(expected, TensorType) and isinstance(found, TensorType) and not are_compatible(expected, found):
                raise UnsoundRulesError(
                    f"an ungated rule made {enode.operator} of {describe(found)} equal to a value of {describe(expected)}",
                )

    def _read_candidates(self, functions: Mapping[str, FrozenFunction]) -> None:
        candidates: list[Candidate] = []
        for gated in self.program.gated:
            if gated.rule.name in self.refused:
                continue
            rows = functions[gated.match].rows
            if not rows:
                continue
            done = {tuple(row.inputs) for row in functions[gated.noop].rows}
            for row in rows:
                inputs = tuple(row.inputs)
                if inputs not in done:
                    bindings = tuple(
                        self._handles[sort, value] if sort in HANDLES else self._reader.attribute(sort, value)
                        for sort, value in zip(gated.sorts, inputs, strict=True)
                    )
                    candidate = Candidate(gated.index, bindings)
                    if candidate not in self._hopeless:
                        candidates.append(candidate)
        self._candidates = candidates


def _operators_of(rules: RuleBook) -> set[str]:
    return {
        name for rule in rules.rules for name in rule.operators_matched | rule.operators_made if name in OPERATORS
    }


def _near_rules(literals: Iterable[float]) -> list[str]:
    """Rules for ``(near x number)``: a constant scalar equals the number up to what exporters round away."""
    lines = []
    for number in literals:
        tolerance = NEAR_RELATIVE * max(abs(number), NEAR_SMALLEST)
        lines.append(
            f"(rule ((= s (scalar c)) (<= (abs (- s {number!r})) {tolerance!r})) ((near c {number!r})) "
            f':ruleset facts :name "near {number!r}")',
        )
    return lines


def _changed(outputs: Iterable[object]) -> bool:
    return any(isinstance(output, RunScheduleOutput) and output.report.updated for output in outputs)
