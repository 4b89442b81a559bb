"""Instances of a rule's left side that nobody wrote: drawn at random from the rule alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final, final

import numpy as np

from eqsat.authoring.soundness.drawing import Drawing
from eqsat.authoring.soundness.leaves import leaf_elements
from eqsat.authoring.soundness.pattern import ConflictError, Patterns
from eqsat.authoring.soundness.sizes import FIRST_SYMBOL, Sizes
from eqsat.authoring.soundness.solving import numbers_named
from eqsat.authoring.soundness.values import EXTREMES, Style, masked
from eqsat.rules.instances import DEFAULT_OPSET, Apply, Drawn, Leaf, Name, Symbol
from ir.inference import TypeInference
from ir.operators import OPERATORS, Kind
from ir.types import Symbols

if TYPE_CHECKING:
    from eqsat.authoring.soundness.drawing import Solution
    from eqsat.authoring.soundness.leaves import LeafPlan
    from eqsat.rules import Rule, RuleBook
    from eqsat.rules.instances import Term
    from ir.graph import AttributeValue

OPSETS: Final = (18, 13, 15, 17, 20, 21, 23, 23, 24, 11)
"""Opsets of instances, beside the usual one."""

_SYMBOL_NAMES: Final = ("A", "B")
_SHARE_ALIASED: Final = 0.06
DTYPE_SHARES: Final[Mapping[int, float]] = {11: 0.42, 1: 0.42, 10: 0.04, 7: 0.06, 6: 0.06}
"""How often instances are of double, single and half precision, and of integers."""


@final
class Generator:
    """Draws instances of one rule."""

    def __init__(self, book: RuleBook, rule: Rule, forced: str = "") -> None:
        """Prepare to draw.

        Args:
            book: Gives the facts.
            rule: The rule.
            forced: Name of a rule of facts that is to be used wherever it can be; empty for none.
        """
        self._rule = rule
        self._patterns = Patterns(book, rule, forced)

    def draw(
        self,
        rng: np.random.Generator,
        *,
        style: Style = Style.NORMAL,
        dtype: int = 1,
        opset: int = DEFAULT_OPSET,
        is_small: bool = False,
    ) -> Drawn:
        """Return an instance at which the rule is likely to match.

        Args:
            rng: Source of chance.
            style: What its elements are like.
            dtype: Element type of most of its values.
            opset: Version of the default domain, at least; operators that are newer ask for more.
            is_small: True for sizes of one, two and three alone.

        Raises:
            ConflictError: The choices made lead nowhere; another try may do.
        """
        pattern = self._patterns.unfold(rng)
        matched = {atom.name for atom in pattern.nodes.values()}
        needed = [OPERATORS[name].since for name in matched | self._rule.operators_made if name in OPERATORS]
        opset = max([opset, *needed])
        whole, _ = numbers_named(pattern)
        sizes = Sizes(rng, whole, is_small=is_small)
        solution = Drawing(pattern, sizes, inference_at(opset), opset=opset, dtype=dtype).run()
        return _Writer(solution, sizes, style, opset).run()


@cache
def inference_at(opset: int) -> TypeInference:
    """Return the type inference of an opset, shared by all instances; its symbols A and B are those of instances."""
    symbols = Symbols()
    numbers = [symbols.intern(name) for name in _SYMBOL_NAMES]
    if numbers != [FIRST_SYMBOL - place for place in range(len(numbers))]:
        raise AssertionError("the first symbols have the first numbers")
    return TypeInference(opset, symbols)


@final
class _Writer:
    """Writes a solution as an instance."""

    def __init__(self, solution: Solution, sizes: Sizes, style: Style, opset: int) -> None:
        self._solution = solution
        self._sizes = sizes
        self._style = style
        self._opset = opset
        self._names = {FIRST_SYMBOL - place: name for place, name in enumerate(_SYMBOL_NAMES)}

    def run(self) -> Drawn:
        solution = self._solution
        lets = {
            f"n{variable}": self._made(variable)
            for variable in solution.pattern.order()
            if variable in solution.attributes or variable in solution.outputs
        }
        leaves = {f"x{variable}": self._leaf(variable, plan) for variable, plan in solution.leaves.items()}
        drawn = Drawn(
            is_generic=True,
            opset=self._opset,
            others=(),
            leaves=leaves,
            lets=lets,
            roots=tuple(self._roots()),
            sizes={self._names[symbol]: size for symbol, size in self._sizes.concrete.items()},
            has_extremes=self._style in EXTREMES,
        )
        return replace(drawn, leaves=masked(leaves, self._sizes.rng)) if self._style is Style.MASKED else drawn

    def _roots(self) -> list[Term]:
        pattern = self._solution.pattern
        used = {argument for atom in pattern.nodes.values() for argument in atom.arguments}
        found: list[Term] = []
        for variable, atom in pattern.nodes.items():
            if variable in used or atom.name in {"Cons", "Nil", "Absent", "Input", "Const"}:
                continue
            if pattern.sorts[variable] == "Multi":
                split = self._solution.attributes[variable][-1]
                count = len(split) if isinstance(split, tuple) else max(OPERATORS[atom.name].num_outputs, 1)
                found += [Apply("Out", (Name(f"n{variable}"), index)) for index in range(count)]
            else:
                found.append(self._term(variable))
        return found or [self._term(tensor) for tensor in pattern.tensors()[:1]]

    def _term(self, variable: int) -> Term:
        solution = self._solution
        atom = solution.pattern.nodes.get(variable)
        if atom is not None and atom.name == "Cons":
            return Apply("Cons", tuple(self._term(argument) for argument in atom.arguments))
        if atom is not None and atom.name == "Nil":
            return Apply("Nil", ())
        if variable in solution.leaves:
            return Name(f"x{variable}")
        if solution.knowledge.types.get(variable, ...) is None:
            return Apply("Absent", ())
        return Name(f"n{variable}")

    def _made(self, variable: int) -> Term:
        atom = self._solution.pattern.nodes[variable]
        if atom.name == "Out":
            return Apply("Out", (self._term(atom.arguments[0]), self._solution.outputs[variable]))
        row = OPERATORS[atom.name]
        num_inputs = 1 if row.is_variadic else row.num_inputs
        inputs = [self._term(argument) for argument in atom.arguments[:num_inputs]]
        values = [
            self._attribute(column.kind, value)
            for column, value in zip(row.attributes, self._solution.attributes[variable], strict=True)
        ]
        record = [Apply(f"{row.name}A", tuple(values))] if len(values) > 1 else values
        return Apply(row.name, (*inputs, *record))

    def _attribute(self, kind: Kind, value: AttributeValue) -> Term:
        if not isinstance(value, tuple):
            return value
        name = f"S{len(value)}" if kind is Kind.DIMS else "vec-of"
        return Apply(name, tuple(Symbol(self._names[size]) if size in self._names else size for size in value))

    def _leaf(self, variable: int, plan: LeafPlan) -> Leaf:
        shape = tuple(self._sizes.concrete.get(size, size) for size in plan.type.shape)
        array = leaf_elements(plan, shape, self._style, self._sizes.rng)
        dims = tuple(self._names.get(size, size) for size in plan.type.shape)
        return Leaf(
            name=f"x{variable}",
            number=plan.type.dtype,
            dims=dims,
            is_constant=plan.is_constant,
            array=array,
            is_free=plan.is_free,
        )


__all__ = ["DTYPE_SHARES", "OPSETS", "ConflictError", "Generator", "inference_at"]
