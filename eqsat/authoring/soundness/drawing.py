"""One instance of a pattern: types and attributes drawn node by node, each node judged by ONNX's own inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, final

import numpy as np

from eqsat.authoring.soundness import attributes as attribute_proposals
from eqsat.authoring.soundness.leaves import LeafPlan, span_of
from eqsat.authoring.soundness.pattern import Atom, ConflictError, Pattern
from eqsat.authoring.soundness.shapes import BROADCASTING, KEEPING, NORMALISING, Site, propose
from eqsat.authoring.soundness.solving import NUMBERINGS, Knowledge, numbers_named
from ir.formals import input_dtypes
from ir.inference import TypeInferenceError
from ir.operators import OPERATORS, Kind, shortest
from ir.types import TensorType

if TYPE_CHECKING:
    from eqsat.authoring.soundness.sizes import Shape, Sizes
    from eqsat.egglog.primitives import Attribute
    from ir.graph import AttributeValue
    from ir.inference import TypeInference
    from ir.operators import Operator

TRIES: Final = 24
"""Draws of one node before the whole instance is given up."""

DTYPES: Final = (1, 11, 10, 7, 6, 9, 2, 3)
"""Element types that instances have, the likeliest first."""

_SHARE_MISSING: Final = 0.3
_SHARE_CONSTANT: Final = 0.3
_SHARE_OTHER_DTYPE: Final = 0.08
_SHARE_NAMED: Final = 0.6
_SHARE_AS_ABOVE: Final = 0.7
_SHARE_AS_BESIDE: Final = 0.7
"""How often an operand has the shape that goes with the other one, not the one that an operator further up wants."""


@dataclass(slots=True, kw_only=True)
class Solution:
    """Everything decided.

    Attributes:
        pattern: The pattern, lists and outputs that it leaves open filled in.
        knowledge: Types and attributes.
        leaves: What the leaves are.
        attributes: Attributes of each operator's node, in order.
        outputs: For tensors that are an output of several, which one.
    """

    pattern: Pattern
    knowledge: Knowledge
    leaves: dict[int, LeafPlan] = field(default_factory=dict)
    attributes: dict[int, tuple[AttributeValue, ...]] = field(default_factory=dict)
    outputs: dict[int, int] = field(default_factory=dict)


@final
class Drawing:
    """Draws one instance."""

    def __init__(self, pattern: Pattern, sizes: Sizes, inference: TypeInference, *, opset: int, dtype: int) -> None:
        """Prepare a drawing.

        Args:
            pattern: The pattern; lists that it leaves open are added to it.
            sizes: Source of chance and sizes.
            inference: Types of nodes; it must know the symbols of ``sizes``.
            opset: Version of the default domain.
            dtype: Element type of most values.
        """
        self._sizes = sizes
        self._inference = inference
        self._opset = opset
        self._dtype = dtype
        self._pattern = pattern
        self._fill_in()
        self._order = pattern.order()
        self._whole, self._floats = numbers_named(pattern)
        self._solution = Solution(pattern=pattern, knowledge=Knowledge(pattern))
        self._multis: dict[int, tuple[TensorType, ...]] = {}
        self._near = _arguments(pattern, "near")
        self._constant = _made_of(pattern, _arguments(pattern, "constant") | _arguments(pattern, "finite"))
        self._halved = _arguments(pattern, "equal-halves")
        self._paired = _arguments(pattern, "equal-pairs")
        self._triangular = _arguments(pattern, "triangular")
        self._constant |= self._halved | self._paired | self._triangular
        self._constant |= frozenset[int]().union(*(_arguments(pattern, name) for name in _RANGES))
        self._positive = _arguments(pattern, "non-negative")
        self._users = _users(pattern)

    def run(self) -> Solution:
        """Return an instance.

        Raises:
            ConflictError: None was found.
        """
        knowledge = self._solution.knowledge
        knowledge.propagate()
        for variable in self._order:
            self._make(variable)
        for tensor in self._pattern.tensors():
            if self._is_leaf(tensor) and tensor not in knowledge.types:
                self._leaf(tensor, Site(operator="Identity", position=0, known=(), attributes={}, sizes=self._sizes))
        knowledge.propagate()
        return self._solution

    def _fill_in(self) -> None:
        """Give lists and operators of several outputs that the pattern leaves open something to be."""
        pattern = self._pattern
        for variable, sort in list(pattern.sorts.items()):
            if variable in pattern.nodes:
                continue
            if sort == "TList":
                self._list(variable, 1 if self._sizes.chance(0.2) else 2)
            elif sort == "Multi":
                pattern.nodes[variable] = Atom("Split", (self._new("Tensor"), self._new("SplitAttrs")), variable)

    def _list(self, variable: int, length: int) -> None:
        nodes = self._pattern.nodes
        for _ in range(length):
            tail = self._new("TList")
            nodes[variable] = Atom("Cons", (self._new("Tensor"), tail), variable)
            variable = tail
        nodes[variable] = Atom("Nil", (), variable)

    def _new(self, sort: str) -> int:
        variable = max([*self._pattern.sorts, *_mentioned(self._pattern)], default=0) + 1
        self._pattern.sorts[variable] = sort
        return variable

    # --- nodes ------------------------------------------------------------------------------------------------

    def _make(self, variable: int) -> None:
        atom = self._pattern.nodes[variable]
        knowledge = self._solution.knowledge
        match atom.name:
            case "Absent":
                knowledge.set_type(variable, None)
            case "Input" | "Const" | "Cons" | "Nil":
                pass
            case "Out":
                self._output(variable, *atom.arguments)
            case "Opaque":
                raise ConflictError("an unknown operator cannot be drawn")
            case name if name in NUMBERINGS:
                pass
            case name:
                self._operator(variable, OPERATORS[name], atom)

    def _output(self, variable: int, multi: int, index: int) -> None:
        knowledge = self._solution.knowledge
        types = self._multis[multi]
        found = knowledge.values.get(index)
        if found is None:
            found = int(self._sizes.rng.integers(len(types)))
            knowledge.set(index, found)
        if not isinstance(found, int) or not 0 <= found < len(types):
            raise ConflictError("there is no such output")
        self._solution.outputs[variable] = found
        knowledge.set_type(variable, types[found])

    def _operator(self, variable: int, row: Operator, atom: Atom) -> None:
        inputs = self._elements(atom.arguments[0]) if row.is_variadic else list(atom.arguments[: row.num_inputs])
        holder = atom.arguments[-1] if row.attributes else -1
        state = self._solution.knowledge.snapshot()
        leaves = dict(self._solution.leaves)
        for _ in range(TRIES):
            try:
                self._try(variable, row, inputs, holder)
            except (ConflictError, TypeInferenceError):
                self._solution.knowledge.restore(state)
                self._solution.leaves = dict(leaves)
            else:
                return
        raise ConflictError(f"no {row.name} fits")

    def _try(self, variable: int, row: Operator, inputs: Sequence[int], holder: int) -> None:
        knowledge = self._solution.knowledge
        columns = self._columns(row, holder)
        for position in self._leaf_order(inputs):
            tensor = inputs[position]
            if self._is_leaf(tensor) and tensor not in knowledge.types:
                shapes = [self._shape(each) for each in inputs]
                known = self._known(columns)
                site = Site(operator=row.name, position=position, known=shapes, attributes=known, sizes=self._sizes)
                self._leaf(tensor, site)
        types = [knowledge.types[tensor] for tensor in inputs]
        values = self._attributes(variable, row, columns, holder, types)
        num_outputs = len(split) if isinstance(split := values.get("split"), tuple) else max(row.num_outputs, 1)
        order = values.get("perm")
        if isinstance(order, tuple) and types[0] is not None and len(order) != types[0].rank:
            raise ConflictError("a permutation of another rank")
        found = self._inference(row.name, values, types, num_outputs)
        if any(type_.rank > _MAX_DRAWN_RANK for type_ in found):
            raise ConflictError("too many axes")
        self._solution.attributes[variable] = tuple(values.values())
        self._confine(row, inputs, values)
        if row.is_multi:
            self._multis[variable] = tuple(found)
            knowledge.propagate()
        else:
            knowledge.set_type(variable, found[0])

    def _leaf_order(self, inputs: Sequence[int]) -> list[int]:
        """Inputs whose shape is known best come first; others fit themselves to these."""
        knowledge = self._solution.knowledge

        def openness(position: int) -> tuple[bool, int]:
            template = self._template(inputs[position])
            return (inputs[position] not in knowledge.types and template is None, position)

        return sorted(range(len(inputs)), key=openness)

    def _shape(self, tensor: int) -> Shape | None:
        type_ = self._solution.knowledge.types.get(tensor)
        return None if type_ is None else type_.shape

    def _elements(self, variable: int) -> list[int]:
        atom = self._pattern.nodes[variable]
        return [atom.arguments[0], *self._elements(atom.arguments[1])] if atom.name == "Cons" else []

    # --- attributes -------------------------------------------------------------------------------------------

    def _columns(self, row: Operator, holder: int) -> dict[str, int]:
        """Variable of each attribute; -1 for one that only stands in a record as a whole."""
        if not row.attributes:
            return {}
        if len(row.attributes) == 1:
            return {row.attributes[0].name: holder}
        for atom in self._pattern.records:
            if atom.result == holder:
                return {column.name: each for column, each in zip(row.attributes, atom.arguments, strict=True)}
        return dict.fromkeys((column.name for column in row.attributes), -1)

    def _known(self, columns: Mapping[str, int]) -> dict[str, Attribute]:
        values = self._solution.knowledge.values
        return {name: values[variable] for name, variable in columns.items() if variable in values}

    def _attributes(
        self, variable: int, row: Operator, columns: Mapping[str, int], holder: int, types: Sequence[TensorType | None]
    ) -> dict[str, AttributeValue]:
        knowledge = self._solution.knowledge
        whole = knowledge.values.get(holder)
        if len(row.attributes) > 1 and isinstance(whole, tuple):
            return _stated(row, dict(zip(columns, whole, strict=True)))
        templates = {name: knowledge.template(each) for name, each in columns.items() if each >= 0}
        opened = attribute_proposals.Open(
            operator=row.name,
            shapes=[None if type_ is None else type_.shape for type_ in types],
            dtype=next((type_.dtype for type_ in types if type_ is not None), self._dtype),
            known=self._known(columns),
            templates={name: each for name, each in templates.items() if each is not None},
            sizes=self._sizes,
            numbers=self._floats,
            wanted=propose(above) if row.name in _SHAPED and (above := self._above(variable)) is not None else None,
        )
        found = _stated(row, attribute_proposals.propose(opened))
        for name, column in columns.items():
            if column >= 0:
                knowledge.set(column, found[name])
        if len(row.attributes) > 1:
            knowledge.set(holder, tuple(found.values()))
        knowledge.propagate()
        return found

    def _confine(self, row: Operator, inputs: Sequence[int], values: Mapping[str, AttributeValue]) -> None:
        """Indices must lie within the axis that they look up, and lengths within what they measure."""
        concrete = self._sizes.concrete
        source = tuple(concrete.get(size, size) for size in (self._shape(inputs[0]) if inputs else None) or ())
        for position, tensor in enumerate(inputs):
            plan = self._solution.leaves.get(tensor)
            span = span_of(row.name, position, source, values) if plan is not None and plan.is_free else None
            if plan is not None and span is not None:
                self._solution.leaves[tensor] = replace(plan, span=span)

    # --- leaves -----------------------------------------------------------------------------------------------

    def _is_leaf(self, tensor: int) -> bool:
        atom = self._pattern.nodes.get(tensor)
        return atom is None or atom.name in {"Input", "Const"}

    def _leaf(self, tensor: int, site: Site) -> None:
        if self._is_missing(tensor, site):
            self._solution.knowledge.set_type(tensor, None)
            return
        number = self._number(tensor)
        triangle = self._triangle(tensor)
        shape = self._leaf_shape(tensor, site, is_scalar=number is not None)
        if triangle is not None:
            shape = self._square(tensor, shape)
        if tensor in self._halved | self._paired and (not shape or shape[-1] % 2):
            raise ConflictError("an odd axis has no halves")
        type_ = TensorType(self._leaf_dtype(tensor, site), shape)
        is_static = all(size >= 0 for size in shape)
        maker = self._pattern.nodes.get(tensor)
        must = tensor in self._constant or number is not None or (maker is not None and maker.name == "Const")
        if must and not is_static:
            raise ConflictError("a constant has no symbols")
        may = maker is None and is_static and self._sizes.chance(_SHARE_CONSTANT)
        self._solution.leaves[tensor] = LeafPlan(
            type=type_,
            is_constant=must or may,
            number=number,
            is_positive=tensor in self._positive,
            has_equal_halves=tensor in self._halved,
            has_equal_pairs=tensor in self._paired,
            triangle=triangle,
        )
        self._solution.knowledge.set_type(tensor, type_)

    def _triangle(self, tensor: int) -> tuple[float, float] | None:
        """The two numbers of a triangular constant."""
        knowledge = self._solution.knowledge
        for atom in self._pattern.relations:
            if atom.name == "triangular" and atom.arguments[0] == tensor:
                low, high = (self._either(knowledge, argument) for argument in atom.arguments[2:])
                return low, high
        return None

    def _either(self, knowledge: Knowledge, argument: int) -> float:
        value = knowledge.values.get(argument)
        if value is None:
            value = self._sizes.pick([float(np.finfo(np.float32).min), -1.0e38, -1.0e4, 0.0, 1.0])
            knowledge.set(argument, value)
        if not isinstance(value, int | float):
            raise ConflictError(f"{value} is no number")
        return float(value)

    def _square(self, tensor: int, shape: Shape) -> Shape:
        """The shape of a triangular constant: one matrix of as many rows as columns."""
        knowledge = self._solution.knowledge
        size = next(
            knowledge.values.get(atom.arguments[1])
            for atom in self._pattern.relations
            if atom.name == "triangular" and atom.arguments[0] == tensor
        )
        if not isinstance(size, int):
            size = max(shape[-1] if shape else self._sizes.size(), 2)
        rank = len(template) if (template := self._template(tensor)) is not None else self._sizes.pick([2, 2, 4])
        return (*(1,) * (rank - 2), size, size)

    def _is_missing(self, tensor: int, site: Site) -> bool:
        row = OPERATORS[site.operator]
        if row.is_variadic or site.position < row.num_required or tensor in self._pattern.nodes:
            return False
        if any(atom.arguments[0] == tensor for atom in self._pattern.functions):
            return False
        return tensor not in self._near and self._sizes.chance(_SHARE_MISSING)

    def _number(self, tensor: int) -> float | None:
        """The number that all elements are, where a condition speaks of it."""
        knowledge = self._solution.knowledge
        for atom in self._pattern.relations:
            if atom.name == "near" and atom.arguments[0] == tensor:
                near = knowledge.values.get(atom.arguments[1])
                return float(near) if isinstance(near, int | float) else None
        results = knowledge.facts("scalar", tensor)
        if not results:
            return None
        value = knowledge.fact("scalar", tensor)
        if value is None:
            value = self._some_number()
            knowledge.set(results[0], value)
        return float(value) if isinstance(value, int | float) else None

    def _some_number(self) -> float:
        sizes = self._sizes
        if self._floats and sizes.chance(_SHARE_NAMED):
            number = sizes.pick(self._floats)
            return float(sizes.pick([number, number, number, 2.0 * number, 0.5 * number, 1.0 / (number or 1.0)]))
        if self._dtype in {6, 7}:
            return float(sizes.pick([0, 1, 2, 3, -1, 5]))
        return float(sizes.pick([0.5, 2.0, 1.0, 0.1, -1.0, 3.0, 0.0, 0.75, -0.25]))

    def _template(self, tensor: int) -> tuple[Attribute | None, ...] | None:
        knowledge = self._solution.knowledge
        for result in knowledge.facts("shape", tensor):
            template = knowledge.template(result)
            if template is not None:
                return template
        rank = knowledge.fact("rank", tensor)
        return (None,) * rank if isinstance(rank, int) and 0 <= rank < _MAX_RANK else None

    def _leaf_shape(self, tensor: int, site: Site, *, is_scalar: bool) -> Shape:
        template = self._template(tensor)
        if is_scalar:
            proposed: Shape = () if self._sizes.chance(0.6) else (1,)
        else:
            proposed = self._proposed(tensor, site)
        shape = self._fitted(template, proposed) if template is not None else proposed
        last = self._solution.knowledge.fact("last", tensor)
        if isinstance(last, int) and template is None:
            shape = (*shape[:-1], last) if shape else (last,)
        known = self._sizes.concrete
        return tuple(size if size >= 0 or size in known else self._sizes.size() for size in shape)

    def _fitted(self, template: tuple[Attribute | None, ...], proposed: Shape) -> Shape:
        """What is proposed where the template leaves a size open, aligned at the end."""
        missing = len(template) - len(proposed)
        padded = [*(self._sizes.size() for _ in range(missing)), *proposed[max(-missing, 0) :]]
        return tuple(known if isinstance(known, int) else size for known, size in zip(template, padded, strict=True))

    def _proposed(self, tensor: int, site: Site) -> Shape:
        """A shape for a leaf: where it only broadcasts, what an operator further up wants has a say."""
        above = self._above(tensor) if site.operator in KEEPING else None
        if site.operator in NORMALISING and site.position == 0 and self._sizes.chance(_SHARE_AS_ABOVE):
            above = self._above(tensor)
        if above is None:
            return propose(site)
        known = [shape for shape in site.known if shape is not None]
        if not known:
            return propose(above)
        is_aligned = site.operator in BROADCASTING or (site.operator in NORMALISING and site.position == 0)
        if not is_aligned or self._sizes.chance(_SHARE_AS_BESIDE):
            return propose(site)
        shape = propose(above)
        beside = max(known, key=len)[-len(shape) :] if shape else ()
        return (*shape[: len(shape) - len(beside)], *beside)

    def _above(self, tensor: int) -> Site | None:
        """The first operator further up that wants a certain shape, if there is one."""
        current, seen = tensor, 0
        while seen < _MAX_LOOK_UP and current in self._users:
            current, operator, position = self._users[current]
            if operator not in KEEPING and operator not in NORMALISING:
                atom = self._pattern.nodes[current]
                row = OPERATORS[operator]
                columns = self._columns(row, atom.arguments[-1]) if row.attributes else {}
                known = self._known(columns)
                return Site(operator=operator, position=position, known=(), attributes=known, sizes=self._sizes)
            seen += 1
        return None

    def _leaf_dtype(self, tensor: int, site: Site) -> int:
        known = self._solution.knowledge.fact("dtype", tensor)
        formals = input_dtypes(site.operator, self._opset)
        allowed = formals[min(site.position, len(formals) - 1)] if formals else frozenset(DTYPES)
        if isinstance(known, int):
            if known not in DTYPES:
                raise ConflictError("no such element type is drawn")
            return known
        wanted = self._dtype
        if wanted in allowed and not self._sizes.chance(_SHARE_OTHER_DTYPE):
            return wanted
        choices = [dtype for dtype in DTYPES if dtype in allowed]
        if not choices:
            raise ConflictError("no such element type is drawn")
        return self._sizes.pick(choices) if self._sizes.chance(0.4) else choices[0]


_RANGES: Final = ("magnitude", "least", "peak", "nonzero", "non-negative", "moderate", "sizeable", "steady", "scalable")
"""Facts of how large the elements of a constant are."""

_SHAPED: Final = frozenset({"ConstantOfShape", "Expand"})
"""Operators whose result may have any shape."""

_MAX_RANK: Final = 8
_MAX_DRAWN_RANK: Final = 6
_MAX_LOOK_UP: Final = 6


def _stated(row: Operator, values: Mapping[str, Attribute]) -> dict[str, AttributeValue]:
    """Attributes as a graph has them: floats as float32 says them."""
    found: dict[str, AttributeValue] = {}
    for column in row.attributes:
        value = values[column.name]
        if column.kind is Kind.FLOAT and isinstance(value, int | float):
            found[column.name] = shortest(float(value))
        elif isinstance(value, tuple):
            found[column.name] = tuple(_checked(each) for each in value if isinstance(each, int))
        elif isinstance(value, int):
            found[column.name] = _checked(value)
        elif isinstance(value, str):
            found[column.name] = value
        else:
            raise ConflictError(f"{column.name} cannot be {value}")
    return found


def _checked(number: int) -> int:
    if not _LOWEST <= number <= _HIGHEST:
        raise ConflictError("an attribute has 64 bits")
    return number


_LOWEST: Final = -(2**63)
_HIGHEST: Final = 2**63 - 1


def _arguments(pattern: Pattern, name: str) -> frozenset[int]:
    atoms = (*pattern.relations, *pattern.functions)
    return frozenset(atom.arguments[0] for atom in atoms if atom.name == name)


def _made_of(pattern: Pattern, tensors: frozenset[int]) -> frozenset[int]:
    """These variables and all that they are made of."""
    found: set[int] = set()
    todo = set(tensors)
    while todo:
        found |= todo
        atoms = [pattern.nodes[variable] for variable in todo if variable in pattern.nodes]
        todo = {argument for atom in atoms for argument in atom.arguments} - found
    return frozenset(found)


def _users(pattern: Pattern) -> dict[int, tuple[int, str, int]]:
    """For each tensor one operator that it goes into: what that makes, its name, and the position."""
    found: dict[int, tuple[int, str, int]] = {}
    for variable, atom in pattern.nodes.items():
        if atom.name in OPERATORS and not OPERATORS[atom.name].is_variadic:
            for position, argument in enumerate(atom.arguments[: OPERATORS[atom.name].num_inputs]):
                known = found.get(argument)
                if known is None or (known[1] in KEEPING and atom.name not in KEEPING):
                    found[argument] = (variable, atom.name, position)
    return found


def _mentioned(pattern: Pattern) -> set[int]:
    atoms = (
        *pattern.nodes.values(),
        *pattern.records,
        *pattern.functions,
        *pattern.relations,
        *pattern.primitives,
    )
    found = {variable for atom in atoms for variable in (*atom.arguments, atom.result)}
    return found | pattern.nodes.keys() | pattern.literals.keys()
