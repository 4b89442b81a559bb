"""A failing instance as something to look at: the graph, what goes in, and a program that shows the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np

from eqsat.egraph.egglog import Call, Union, Var
from eqsat.egraph.enode import ABSENT, CONS, CONST, INPUT, NIL, OUT, ClassType, ENode
from eqsat.egraph.heads import IllTypedError, UndefinedError, evaluate_head
from eqsat.egraph.mirror import UntypedError
from eqsat.soundness.agreement import Agreement
from eqsat.soundness.trial import Judged
from eqsat.soundness.verdict import Counterexample
from ir.inference import TypeInferenceError
from ir.node_model import type_of
from ir.operators import OPERATORS
from ir.program import Side, Step, difference_program, dtype_number
from ir.types import TensorType

if TYPE_CHECKING:
    from eqsat.rules import Rule, RuleBook
    from eqsat.rules.instances import Drawn
    from eqsat.soundness.evaluator import Evaluator

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
    sides = _Sides(judged, agreement, rule)
    left, right = sides.both()
    part = judged.parts.parts[0]
    feeds = {name: leaf.array for name, leaf in part.leaves.items() if not leaf.is_constant}
    title = f"The two sides of `{rule.name}` differ here: {reason}.".replace("\\", "/").replace('"', "'")
    source = difference_program(
        " ".join(title.split()),
        left,
        right,
        {_short(name): leaf.array for name, leaf in part.leaves.items()},
        sides.types,
        opset=drawn.opset,
        uses_runtime=evaluator.name == "ONNX Runtime",
    )
    return Counterexample(rule=rule.name, reason=reason, graph=judged.parts.graph, feeds=feeds, source=source)


@final
class _Sides:
    """Writes e-nodes as nodes, each on the nodes that gave its children their values."""

    def __init__(self, judged: Judged, agreement: Agreement, rule: Rule) -> None:
        self._judged = judged
        self._agreement = agreement
        self._rule = rule
        self._drafted: dict[int, ENode] = {}
        self._drafted_types: dict[int, ClassType] = {}
        self._steps: dict[ENode, Step] = {}
        self._order: list[Step] = []
        self.types: dict[str, TensorType] = {}

    def both(self) -> tuple[Side, Side | None]:
        """Return the left side, and the right side as far as it can be written down."""
        for outcome in self._judged.trials[0].outcomes.values():
            for wrong in outcome.disagreements:
                left = self._side(wrong.eclass, self._agreement.defining[wrong.eclass])
                return left, self._side(wrong.eclass, wrong.enode)
        found = self._impossible()
        if found is not None:
            return found
        root = self._judged.session.roots()[0]
        return self._side(root, self._agreement.defining[root]), None

    def _impossible(self) -> tuple[Side, Side | None] | None:
        """The sides of a match whose right side has another type, or no type at all."""
        session = self._judged.session
        canonical = session.mirror.canonical
        for candidate in session.candidates():
            gated = session.rule_of(candidate)
            if gated.rule.name != self._rule.name:
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
                left = self._side(root, self._agreement.defining[canonical[root]])
                right = bindings.get(action.rhs.name) if isinstance(action.rhs, Var) else None
                if isinstance(action.rhs, Call) and is_typed:
                    right = self._made(draft.enodes(), action.rhs)
                return left, self._side(right) if isinstance(right, int) else None
        return None

    def _made(self, enodes: tuple[ENode, ...], term: Call) -> int | None:
        """The handle of a drafted term: the last one of its operator."""
        handles = [handle for handle, enode in self._drafted.items() if enode.operator == term.name]
        return handles[-1] if handles and enodes else None

    def _side(self, handle: int, enode: ENode | None = None) -> Side:
        self._steps = {}
        self._order = []
        enode = enode or self._enode(handle)
        output = self._value(enode)
        value = self._agreement.values.get(handle)
        number = dtype_number(value) if isinstance(value, np.ndarray) else self._declared(handle)
        return Side(steps=tuple(self._order), output=output, dtype=number)

    def _declared(self, handle: int) -> int:
        types = self._judged.session.mirror.types
        type_ = types[handle] if handle < len(types) else self._drafted_types.get(handle)
        return type_.dtype if isinstance(type_, TensorType) else 1

    def _enode(self, handle: int) -> ENode:
        if handle in self._drafted:
            return self._drafted[handle]
        return self._agreement.defining[self._judged.session.mirror.canonical[handle]]

    def _value(self, enode: ENode) -> str:
        session = self._judged.session
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
        array = self._judged.parts.leaf(name).array
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
        handle = self._judged.session.mirror.enodes.get(enode)
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
