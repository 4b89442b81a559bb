"""The e-graph as Python sees it: every e-node and e-class by number, with its type and its origin.

egglog finds matches and keeps congruence; this mirror knows what egglog does not: types, which rule made an e-node,
and numbers that survive unions. :class:`Draft` lets a rule's right side be built and type-checked before anything is
told to egglog.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, final

from eqsat.egglog.commands import set_value
from eqsat.egglog.schema import HANDLES
from eqsat.egraph.enode import ABSENT, CONS, NIL, OPAQUE, OUT, ClassType, ENode
from eqsat.egraph.expressions import attribute_term, class_term, enode_term
from ir.inference import TypeInferenceError
from ir.operators import OPERATORS
from ir.types import TensorType

if TYPE_CHECKING:
    from eqsat.egglog.commands import Command
    from ir.inference import TypeInference

TENSOR: Final = "Tensor"
MULTI: Final = "Multi"
LIST: Final = "TList"


class UntypedError(Exception):
    """A type that is needed is not known."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an e-node comes from.

    Attributes:
        rule: Name of the rule that made it.
        application: Number of the application; e-nodes of one application share it.
    """

    rule: str
    application: int


def sort_of(enode: ENode) -> str:
    """Return the sort of an e-node's e-class."""
    if enode.operator in {NIL, CONS}:
        return LIST
    if enode.operator == OPAQUE or (enode.operator in OPERATORS and OPERATORS[enode.operator].is_multi):
        return MULTI
    return TENSOR


def child_sorts(enode: ENode) -> list[str]:
    """Return the sorts of an e-node's children."""
    match enode.operator:
        case operator if operator == OUT:
            return [MULTI]
        case operator if operator == CONS:
            return [TENSOR, LIST]
        case operator if operator in OPERATORS and OPERATORS[operator].is_variadic:
            return [LIST]
        case _:
            return [TENSOR] * len(enode.children)


@final
@dataclass(slots=True)
class Mirror:
    """E-nodes and e-classes by handle.

    Attributes:
        inference: Types of single nodes.
        enodes: E-class of every e-node.
        types: Type of every handle.
        sorts: Sort of every handle.
        canonical: For every handle the one that stands for its e-class.
        origins: What made an e-node; nothing for e-nodes of the model and of ungated rules.
        num_applications: Candidates applied so far.
    """

    inference: TypeInference
    enodes: dict[ENode, int] = field(default_factory=dict)
    types: list[ClassType] = field(default_factory=list)
    sorts: list[str] = field(default_factory=list)
    canonical: list[int] = field(default_factory=list)
    origins: dict[ENode, Origin] = field(default_factory=dict)
    num_applications: int = 0

    def copy(self) -> Mirror:
        """Return a copy that does not change with this one."""
        return Mirror(
            inference=self.inference,
            enodes=dict(self.enodes),
            types=list(self.types),
            sorts=list(self.sorts),
            canonical=list(self.canonical),
            origins=dict(self.origins),
            num_applications=self.num_applications,
        )

    def new_handle(self, sort: str, type_: ClassType) -> int:
        """Return a number for a new e-class."""
        self.types.append(type_)
        self.sorts.append(sort)
        self.canonical.append(len(self.canonical))
        return len(self.canonical) - 1

    def draft(self, origin: str) -> Draft:
        """Return an empty draft on top of this mirror."""
        return Draft(mirror=self, origin=origin)


@final
@dataclass(slots=True)
class Draft:
    """New e-nodes that are checked but not yet part of the e-graph.

    Attributes:
        mirror: The state below.
        origin: Rule that is applied; empty for the model's own nodes.
    """

    mirror: Mirror
    origin: str
    _new: dict[ENode, int] = field(default_factory=dict)
    _types: list[ClassType] = field(default_factory=list)

    def type_of(self, handle: int) -> ClassType:
        """Return the type of an e-class, drafted or not."""
        base = len(self.mirror.types)
        return self.mirror.types[handle] if handle < base else self._types[handle - base]

    def find(self, enode: ENode) -> int | None:
        """Return the e-class of an e-node that exists."""
        found = self.mirror.enodes.get(enode)
        return self._new.get(enode) if found is None else found

    def add(self, enode: ENode, type_: ClassType = None) -> int:
        """Return the e-class of ``enode``, made and typed where it does not exist.

        Raises:
            TypeInferenceError: No such node can exist.
            UntypedError: The type of an input is not known.
        """
        found = self.find(enode)
        if found is not None:
            return found
        if type_ is None:
            type_ = self._infer(enode)
        handle = len(self.mirror.types) + len(self._types)
        self._types.append(type_)
        self._new[enode] = handle
        return handle

    def _infer(self, enode: ENode) -> ClassType:
        match enode.operator:
            case operator if operator in {NIL, ABSENT}:
                return None
            case operator if operator == CONS:
                return self._list_type(enode)
            case operator if operator == OUT:
                multi = self.type_of(enode.children[0])
                index = enode.attributes[0]
                if not isinstance(multi, tuple) or not isinstance(index, int):
                    raise UntypedError(enode.operator)
                if not 0 <= index < len(multi) or multi[index] is None:
                    raise TypeInferenceError(f"output {index} does not exist")
                return multi[index]
            case operator:
                return self._infer_operator(operator, enode)

    def _list_type(self, enode: ENode) -> ClassType:
        """A list's type is the tuple of its elements' types, so that it needs no walk."""
        head = self.type_of(enode.children[0])
        tail = self.type_of(enode.children[1])
        if not isinstance(head, TensorType) or isinstance(tail, TensorType):
            raise UntypedError(enode.operator)
        return (head, *(tail or ()))

    def _infer_operator(self, operator: str, enode: ENode) -> ClassType:
        row = OPERATORS[operator]
        inputs: list[TensorType | None] = []
        if row.is_variadic:
            items = self.type_of(enode.children[0])
            inputs.extend(items if isinstance(items, tuple) else ())
        else:
            for child in enode.children:
                type_ = self.type_of(child)
                if isinstance(type_, tuple):
                    raise UntypedError(operator)
                if type_ is None and child != self.find(ENode(ABSENT)):
                    raise UntypedError(operator)
                inputs.append(type_)
        attributes = enode.named_attributes()
        if not row.is_multi:
            return self.mirror.inference(operator, attributes, inputs)[0]
        sizes = attributes.get("split")
        count = len(sizes) if isinstance(sizes, tuple) else row.num_outputs
        return self.mirror.inference(operator, attributes, inputs, count)

    def enodes(self) -> tuple[ENode, ...]:
        """Return the drafted e-nodes."""
        return tuple(self._new)

    def commit(self) -> list[Command]:
        """Make the drafted e-nodes part of the mirror; return the commands that make them part of the e-graph."""
        commands: list[Command] = []
        for enode, type_ in zip(self._new, self._types, strict=True):
            handle = self.mirror.new_handle(sort_of(enode), type_)
            self.mirror.enodes[enode] = handle
            if self.origin:
                self.mirror.origins.setdefault(enode, Origin(self.origin, self.mirror.num_applications))
            commands.extend(naming_commands(self.mirror, enode, handle))
        self._new = {}
        self._types = []
        self.mirror.num_applications += 1
        return commands


def naming_commands(mirror: Mirror, enode: ENode, handle: int) -> list[Command]:
    """Return the commands that give an e-class its number and its type."""
    sort = mirror.sorts[handle]
    commands: list[Command] = [
        set_value(HANDLES[sort], [attribute_term("i64", handle)], enode_term(enode, child_sorts(enode))),
    ]
    type_ = mirror.types[handle]
    if isinstance(type_, TensorType):
        term = class_term(sort, handle)
        commands.append(set_value("shape", [term], attribute_term("Dims", type_.shape)))
        commands.append(set_value("dtype", [term], attribute_term("i64", type_.dtype)))
    return commands
