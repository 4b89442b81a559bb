"""Whether all the forms that an e-graph holds of one value are the same numbers.

First what was loaded is evaluated, which gives the e-classes their values; then every other e-node is evaluated on its
own, on the values of its children's e-classes, and compared with the value of its own e-class: what a rule made equal
must be equal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, final

import numpy as np

from eqsat.authoring.soundness.constants import loss
from eqsat.authoring.soundness.evaluator import BatchEvaluator, ImpossibleError, NodeRun, UnevaluableError
from eqsat.egraph.enode import ABSENT, CONS, CONST, INPUT, NIL, OUT, ENode
from eqsat.rules import FloatClass
from ir.operators import OPERATORS
from ir.types import TensorType

if TYPE_CHECKING:
    from eqsat.authoring.soundness.evaluator import Evaluator
    from eqsat.egraph.session import Session
    from eqsat.rules.parts import Parts
    from ir.graph import AttributeValue

Value: TypeAlias = "np.ndarray | tuple[np.ndarray | None, ...] | None"
"""A tensor, the tensors of a list or of an operator with several outputs, or a missing input."""

_Failure: TypeAlias = UnevaluableError | ImpossibleError
_Item: TypeAlias = "tuple[int, ENode]"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A form of a value that is not that value.

    Attributes:
        eclass: Handle of the e-class.
        enode: The form.
        reason: What differs, one line.
    """

    eclass: int
    enode: ENode
    reason: str


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What the evaluation of one instance gave.

    Attributes:
        is_evaluated: True where all that was loaded has a value.
        num_forms: Further forms that were found to agree.
        disagreements: Those that were not.
        unknown: Why some form could not be evaluated; empty where all could.
    """

    is_evaluated: bool = True
    num_forms: int = 0
    disagreements: list[Disagreement] = field(default_factory=list)
    unknown: str = ""

    @property
    def is_agreed(self) -> bool:
        """Whether every form was evaluated, there were several, and they were the same."""
        return self.is_evaluated and self.num_forms > 0 and not self.unknown and not self.disagreements


def owners(session: Session, parts: Parts) -> dict[int, frozenset[int]]:
    """Return for each e-class the indices of the instances that it belongs to; some share constants."""
    canonical = session.mirror.canonical
    found: defaultdict[int, set[int]] = defaultdict(set)
    for index, part in enumerate(parts.parts):
        for name in (*part.leaves, *part.types):
            if name in session.encoding.values:
                found[canonical[session.encoding.values[name]]].add(index)
    todo = [(handle, enode) for handle, members in session.eclasses() for enode in members if handle not in found]
    while todo:
        left = []
        for handle, enode in todo:
            among = [found[child] for child in enode.children if child in found]
            if among:
                common = set.intersection(*among)
                found[handle] |= common or set.union(*among)
            else:
                left.append((handle, enode))
        if len(left) == len(todo):
            break
        todo = left
    return {handle: frozenset(indices) for handle, indices in found.items()}


@final
class Agreement:
    """Values of the e-classes of a session that holds some instances."""

    def __init__(self, session: Session, parts: Parts, evaluator: Evaluator, floats: FloatClass) -> None:
        """Prepare an evaluation.

        Args:
            session: The e-graph, with everything applied.
            parts: What was loaded into it.
            evaluator: Who evaluates.
            floats: How close two forms must be.
        """
        self._session = session
        self._parts = parts
        self._evaluator = evaluator
        self._floats = floats
        self._sizes = dict(parts.sizes)
        self._owners = owners(session, parts)
        self._constants = session.constants()
        self._strange: frozenset[int] = frozenset()
        self._outcomes = [Outcome() for _ in parts.parts]
        self.values: dict[int, Value] = {}
        self.defining: dict[int, ENode] = {}

    def run(self) -> list[Outcome]:
        """Evaluate; return what became of each instance."""
        loaded = self._session.model_nodes().keys()
        structure = {INPUT, CONST, ABSENT, OUT, CONS, NIL}
        first: list[_Item] = []
        second: list[_Item] = []
        for handle, members in self._session.eclasses():
            for enode in members:
                is_loaded = enode in loaded or enode.operator in structure
                (first if is_loaded else second).append((handle, enode))
        # A made list or output is evaluated in the second round: it waits for what it is made of.
        waiting = self._rounds(first, is_loaded=True)
        waiting = self._rounds([*waiting, *second], is_loaded=False)
        for handle, enode in waiting:
            for index in self._owned(handle, enode):
                self._outcomes[index].unknown = self._outcomes[index].unknown or f"nothing gives a value to {enode}"
        return self._outcomes

    def _rounds(self, todo: list[_Item], *, is_loaded: bool) -> list[_Item]:
        """Evaluate what can be, again and again; return what is left."""
        while todo:
            ready: list[_Item] = []
            left: list[_Item] = []
            for handle, enode in todo:
                (ready if all(child in self.values for child in enode.children) else left).append((handle, enode))
            if not ready:
                break
            for (handle, enode), value in zip(ready, self._evaluate([enode for _, enode in ready]), strict=True):
                self._take(handle, enode, value, is_loaded=is_loaded)
            todo = left
        return todo

    def _owned(self, handle: int, enode: ENode) -> frozenset[int]:
        found = self._owners.get(handle, frozenset())
        among = [self._owners[child] for child in enode.children if child in self._owners]
        common = found.intersection(*among)
        return common or found

    def _take(self, handle: int, enode: ENode, value: Value | _Failure, *, is_loaded: bool) -> None:
        owned = self._owned(handle, enode)
        outcomes = [self._outcomes[index] for index in owned]
        if isinstance(value, UnevaluableError | ImpossibleError):
            _take_failure(value, Disagreement(handle, enode, f"cannot exist: {value}"), outcomes, is_loaded=is_loaded)
        elif handle in self.values:
            self._take_form(handle, enode, value, owned)
        else:
            lost = "" if is_loaded else self._loss(handle, enode, value)
            for outcome in outcomes if lost else ():
                outcome.disagreements.append(Disagreement(handle, enode, lost))
            self._define(handle, enode, value)
            is_constant = handle in self._constants and enode.is_operator
            if is_loaded and is_constant and (not _is_finite(value) or _has_vanished(value)):
                self._strange |= owned
            if is_loaded and (self._is_out_of_scope(value) or self._is_mistyped(handle, value)):
                for outcome in outcomes:
                    outcome.is_evaluated = False

    def _take_form(self, handle: int, enode: ENode, value: Value, owned: frozenset[int]) -> None:
        """Compare a further form of a value with that value.

        Next to numbers at the end of their range every other is rounded away. There only what is infinite or NaN is
        compared, and nothing where a rule may overflow on one side alone: it is looked at what it makes of constants.
        """
        is_by_kind = any(self._parts.parts[index].drawn.has_extremes for index in owned)
        if is_by_kind and not self._floats.keeps_nonfinite:
            for index in owned:
                self._outcomes[index].unknown = "numbers are so large that either side may overflow"
            return
        message = self._compare(self.values[handle], value, is_by_kind=is_by_kind)
        for index in owned if message is not None else ():
            if message:
                self._outcomes[index].disagreements.append(Disagreement(handle, enode, message))
            else:
                self._outcomes[index].num_forms += 1

    def _loss(self, handle: int, enode: ENode, value: Value) -> str:
        """What a new constant has lost of its parts; nothing where the model's own constants lose as much."""
        if handle not in self._constants or not enode.is_operator:
            return ""
        if not isinstance(value, np.ndarray) or self._owned(handle, enode) & self._strange:
            return ""
        return loss(enode.operator, self._node_run(enode).inputs, value)

    def _define(self, handle: int, enode: ENode, value: Value) -> None:
        self.values[handle] = value
        self.defining[handle] = enode
        type_ = self._session.mirror.types[handle]
        if isinstance(type_, TensorType) and isinstance(value, np.ndarray) and type_.rank == value.ndim:
            for dim, size in zip(type_.shape, value.shape, strict=True):
                if dim < 0:
                    self._sizes.setdefault(dim, size)

    def _is_mistyped(self, handle: int, value: Value) -> bool:
        """Whether an evaluator gives a value of the model another shape than ONNX's inference says it has."""
        type_ = self._session.mirror.types[handle]
        if not isinstance(type_, TensorType) or not isinstance(value, np.ndarray):
            return False
        return type_.rank != value.ndim or any(
            dim >= 0 and dim != size for dim, size in zip(type_.shape, value.shape, strict=True)
        )

    def _is_out_of_scope(self, value: Value) -> bool:
        """A rule that assumes finite values promises nothing where the model itself has others."""
        return self._floats in {FloatClass.FINITE, FloatClass.APPROXIMATES} and not _is_finite(value)

    def _compare(self, expected: Value, found: Value, *, is_by_kind: bool) -> str | None:
        """Return what differs, empty where nothing does; None for what is no tensor."""
        if not isinstance(expected, np.ndarray) or not isinstance(found, np.ndarray):
            return None
        is_float = expected.dtype.kind == "f" and expected.dtype == found.dtype and expected.shape == found.shape
        if is_by_kind and is_float and self._floats is not FloatClass.EXACT:
            found = np.where(np.isfinite(expected) & np.isfinite(found), expected, found)
        return self._evaluator.difference(expected, found, self._floats)

    def _evaluate(self, enodes: Sequence[ENode]) -> list[Value | _Failure]:
        results: list[Value | _Failure] = []
        runs: list[NodeRun] = []
        places: list[int] = []
        for place, enode in enumerate(enodes):
            if enode.is_operator:
                runs.append(self._node_run(enode))
                places.append(place)
                results.append(None)
            else:
                results.append(self._structure(enode))
        for place, outputs in zip(places, self._run(runs), strict=True):
            is_single = isinstance(outputs, tuple) and not OPERATORS[enodes[place].operator].is_multi
            results[place] = outputs[0] if is_single and isinstance(outputs, tuple) else outputs
        return results

    def _run(self, runs: Sequence[NodeRun]) -> Sequence[tuple[np.ndarray, ...] | _Failure]:
        opset = self._session.graph.opset
        if isinstance(self._evaluator, BatchEvaluator):
            return self._evaluator.run_many(runs, opset=opset)
        results: list[tuple[np.ndarray, ...] | _Failure] = []
        for run in runs:
            try:
                result = self._evaluator.run(
                    run.operator, run.attributes, run.inputs, opset=opset, num_outputs=run.num_outputs
                )
            except (UnevaluableError, ImpossibleError) as error:
                results.append(_told(error))
            else:
                results.append(result)
        return results

    def _structure(self, enode: ENode) -> Value | _Failure:
        children = [self.values[child] for child in enode.children]
        match enode.operator, enode.attributes:
            case "Input", (str(name),):
                return self._leaf(name)
            case "Const", (int(number),):
                return self._leaf(self._session.encoding.constants[number].name)
            case "Out", (int(index),):
                return _piece(children[0], index)
            case "Cons" | "Nil", ():
                return _list(children)
            case _:
                return None

    def _leaf(self, name: str) -> Value | _Failure:
        try:
            return self._evaluator.leaf(self._parts.leaf(name))
        except UnevaluableError as error:
            return _told(error)

    def _node_run(self, enode: ENode) -> NodeRun:
        children = [self.values[child] for child in enode.children]
        row = OPERATORS[enode.operator]
        inputs = children[0] if row.is_variadic else tuple(children)
        attributes = self.attributes(enode)
        sizes = attributes.get("split")
        num_outputs = len(sizes) if isinstance(sizes, tuple) else max(row.num_outputs, 1)
        arrays = tuple(array if isinstance(array, np.ndarray) else None for array in inputs or ())
        return NodeRun(operator=enode.operator, attributes=attributes, inputs=arrays, num_outputs=num_outputs)

    def attributes(self, enode: ENode) -> Mapping[str, AttributeValue]:
        """Return an e-node's attributes with sizes in place of symbols."""
        return {name: self._static(value) for name, value in enode.named_attributes().items()}

    def _static(self, attribute: AttributeValue) -> AttributeValue:
        if isinstance(attribute, tuple):
            return tuple(self._sizes.get(number, number) for number in attribute)
        return attribute


def _told(error: _Failure) -> _Failure:
    """The same without its traceback: that leads back to where it is kept, and so keeps the e-graph from being freed.

    An e-graph must be freed by the thread that made it, which the collector of such circles does not care about.
    """
    return type(error)(str(error))


def _take_failure(error: _Failure, why: Disagreement, outcomes: Sequence[Outcome], *, is_loaded: bool) -> None:
    """Note that a node has no value: what was loaded must have one, and what a rule makes must be able to exist."""
    for outcome in outcomes:
        if is_loaded:
            outcome.is_evaluated = False
        elif isinstance(error, ImpossibleError):
            outcome.disagreements.append(why)
        else:
            outcome.unknown = outcome.unknown or str(error)


def _is_finite(value: Value) -> bool:
    return not isinstance(value, np.ndarray) or value.dtype.kind != "f" or bool(np.isfinite(value).all())


def _has_vanished(value: Value) -> bool:
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or not value.size:
        return False
    return bool(np.abs(value).max() < np.finfo(value.dtype).tiny)


def _piece(pieces: Value, index: int) -> Value | _Failure:
    if not isinstance(pieces, tuple) or index >= len(pieces):
        return ImpossibleError(f"there is no output {index}")
    return pieces[index]


def _list(children: Sequence[Value]) -> Value:
    if not children:
        return ()
    head, tail = children
    return (head, *tail) if isinstance(head, np.ndarray) and isinstance(tail, tuple) else ()
