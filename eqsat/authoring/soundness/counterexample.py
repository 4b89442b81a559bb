"""A failing instance as something to look at: the graph, what goes in, and a program that shows the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np

from eqsat.authoring.soundness.trial import Judged
from eqsat.authoring.soundness.verdict import Counterexample
from eqsat.egglog.commands import Call, Union, Var
from eqsat.egraph.enode import ABSENT, CONS, CONST, INPUT, NIL, OUT, ClassType, ENode
from eqsat.egraph.heads import IllTypedError, UndefinedError, evaluate_head
from eqsat.egraph.mirror import UntypedError
from ir.inference import TypeInferenceError
from ir.node_model import type_of
from ir.operators import OPERATORS
from ir.program import Side, Step, difference_program, dtype_number
from ir.types import TensorType

if TYPE_CHECKING:
    from eqsat.authoring.soundness.agreement import Agreement
    from eqsat.authoring.soundness.evaluator import Evaluator
    from eqsat.authoring.soundness.trial import Trial
    from eqsat.egraph.session import Session
    from eqsat.rules import Rule, RuleBook
    from eqsat.rules.instances import Drawn
    from eqsat.rules.parts import Parts

_STRUCTURE: Final = frozenset({INPUT, CONST, ABSENT, CONS, NIL, OUT})


def counterexample(
    rules: RuleBook, rule: Rule, drawn: Drawn, evaluator: Evaluator, reason: str, rng: np.random.Generator
) -> Counterexample:
    """Return an instance at which a rule is wrong.

    Args:
        rules: What takes part, the rule among them as a candidate.
        rule: The rule.
        drawn: The instance.
        evaluator: Who sees that it is wrong.
        reason: What is wrong, one line.
        rng: Source of chance.
    """
    judged = Judged(rules, rule, [drawn], rng)
    agreement = judged.evaluate(evaluator, rule)
    sides = _Sides(judged.session, judged.parts, agreement)
    left, right = sides.both(rule, judged.trials[0])
    title = f"The two sides of `{rule.name}` differ here"
    return _written(sides, left, right, rule=rule.name, title=title, reason=reason, evaluator=evaluator)


def one_sided(
    session: Session, parts: Parts, agreement: Agreement, handle: int, *, rule: str, reason: str, evaluator: Evaluator
) -> Counterexample:
    """Return an instance at which a rule says of a value what is not so.

    Args:
        session: Holds the instance alone.
        parts: The instance.
        agreement: Its values.
        handle: The value.
        rule: Name of the rule.
        reason: What is wrong, one line.
        evaluator: Who gave the values.
    """
    sides = _Sides(session, parts, agreement)
    title = f"`{rule}` is wrong here"
    return _written(sides, sides.side(handle), None, rule=rule, title=title, reason=reason, evaluator=evaluator)


def _written(
    sides: _Sides, left: Side, right: Side | None, *, rule: str, title: str, reason: str, evaluator: Evaluator
) -> Counterexample:
    graph, part = sides.parts.graph, sides.parts.parts[0]
    feeds = {name: leaf.array for name, leaf in part.leaves.items() if not leaf.is_constant}
    source = difference_program(
        " ".join(f"{title}: {reason}.".replace("\\", "/").replace('"', "'").split()),
        left,
        right,
        {_short(name): leaf.array for name, leaf in part.leaves.items()},
        sides.types,
        opset=part.drawn.opset,
        uses_runtime=evaluator.name == "ONNX Runtime",
    )
    return Counterexample(rule=rule, reason=reason, graph=graph, feeds=feeds, source=source)


@final
class _Sides:
    """Writes e-nodes of a session that holds one instance as nodes, each on what gave its children their values."""

    def __init__(self, session: Session, parts: Parts, agreement: Agreement) -> None:
        self.parts = parts
        self._session = session
        self._agreement = agreement
        self._drafted: dict[int, ENode] = {}
        self._drafted_types: dict[int, ClassType] = {}
        self._steps: dict[ENode, Step] = {}
        self._order: list[Step] = []
        self.types: dict[str, TensorType] = {}

    def both(self, rule: Rule, trial: Trial) -> tuple[Side, Side | None]:
        """Return the left side, and the right side as far as it can be written down."""
        for outcome in trial.outcomes.values():
            for wrong in outcome.disagreements:
                left = self.side(wrong.eclass, self._agreement.defining[wrong.eclass])
                return left, self.side(wrong.eclass, wrong.enode)
        found = self._impossible(rule)
        if found is not None:
            return found
        root = self._session.roots()[0]
        return self.side(root, self._agreement.defining[root]), None

    def _impossible(self, rule: Rule) -> tuple[Side, Side | None] | None:
        """The sides of a match whose right side has another type, or no type at all."""
        session = self._session
        canonical = session.mirror.canonical
        for candidate in session.candidates():
            gated = session.rule_of(candidate)
            if gated.rule.name != rule.name:
                continue
            bindings = dict(zip(gated.variables, candidate.bindings, strict=True))
            draft = session.mirror.draft(gated.rule.name)
            is_typed = False
            try:
                evaluate_head(gated.head, bindings, draft, session.program.signatures)
            except IllTypedError:
                is_typed = True
            except (TypeInferenceError, UndefinedError, UntypedError):
                is_typed = False
            base = len(session.mirror.types)
            self._drafted = {base + place: enode for place, enode in enumerate(draft.enodes())}
            self._drafted_types = {handle: draft.type_of(handle) for handle in self._drafted}
            for action in gated.head:
                if not isinstance(action, Union) or not isinstance(action.lhs, Var):
                    continue
                root = bindings.get(action.lhs.name)
                if not isinstance(root, int) or canonical[root] not in self._agreement.defining:
                    continue
                left = self.side(root, self._agreement.defining[canonical[root]])
                right = bindings.get(action.rhs.name) if isinstance(action.rhs, Var) else None
                if isinstance(action.rhs, Call) and is_typed:
                    right = self._made(draft.enodes(), action.rhs)
                return left, self.side(right) if isinstance(right, int) else None
        return None

    def _made(self, enodes: tuple[ENode, ...], term: Call) -> int | None:
        """The handle of a drafted term: the last one of its operator."""
        handles = [handle for handle, enode in self._drafted.items() if enode.operator == term.name]
        return handles[-1] if handles and enodes else None

    def side(self, handle: int, enode: ENode | None = None) -> Side:
        """Return the program of a value, or of one form of it."""
        self._steps = {}
        self._order = []
        enode = enode or self._enode(handle)
        output = self._value(enode)
        value = self._agreement.values.get(handle)
        number = dtype_number(value) if isinstance(value, np.ndarray) else self._declared(handle)
        return Side(steps=tuple(self._order), output=output, dtype=number)

    def _declared(self, handle: int) -> int:
        types = self._session.mirror.types
        type_ = types[handle] if handle < len(types) else self._drafted_types.get(handle)
        return type_.dtype if isinstance(type_, TensorType) else 1

    def _enode(self, handle: int) -> ENode:
        if handle in self._drafted:
            return self._drafted[handle]
        return self._agreement.defining[self._session.mirror.canonical[handle]]

    def _value(self, enode: ENode) -> str:
        session = self._session
        match enode.operator, enode.attributes:
            case "Input", (str(name),):
                return self._leaf(name)
            case "Const", (int(number),):
                return self._leaf(session.encoding.constants[number].name)
            case "Absent", ():
                return ""
            case "Out", (int(index),):
                return self._step(self._enode(enode.children[0])).outputs[index]
            case _:
                return self._step(enode).outputs[0]

    def _leaf(self, name: str) -> str:
        array = self.parts.leaf(name).array
        self.types[_short(name)] = type_of(array)
        return _short(name)

    def _step(self, enode: ENode) -> Step:
        if enode not in self._steps:
            row = OPERATORS[enode.operator]
            children = self._items(enode.children[0]) if row.is_variadic else list(enode.children)
            inputs = tuple(self._value(self._enode(child)) for child in children)
            attributes = self._agreement.attributes(enode)
            sizes = attributes.get("split")
            count = len(sizes) if isinstance(sizes, tuple) else max(row.num_outputs, 1)
            number = len(self._order)
            outputs = tuple(f"step{number}_{place}" if count > 1 else f"step{number}" for place in range(count))
            step = Step(operator=enode.operator, attributes=attributes, inputs=inputs, outputs=outputs)
            self._steps[enode] = step
            self._order.append(step)
            self._describe(enode, outputs)
        return self._steps[enode]

    def _describe(self, enode: ENode, outputs: tuple[str, ...]) -> None:
        handle = self._session.mirror.enodes.get(enode)
        value = self._agreement.values.get(handle) if handle is not None else None
        arrays = value if isinstance(value, tuple) else (value,)
        for name, array in zip(outputs, arrays, strict=False):
            if isinstance(array, np.ndarray):
                self.types[name] = type_of(array)

    def _items(self, handle: int) -> list[int]:
        enode = self._enode(handle)
        return [enode.children[0], *self._items(enode.children[1])] if enode.operator == CONS else []


def _short(name: str) -> str:
    """A value's name as a program says it."""
    return name.partition("/")[2].replace(" ", "_").replace(".", "_") or name
