"""Why a demand of a rule is not met at a place, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, assert_never, final

from eqsat.authoring.tools.naming import article, dtype_name
from eqsat.authoring.tools.pattern import Bindings, Demand, Equal, Holds, Lookup, Node, Test, names_of, value_of
from eqsat.egglog.commands import Call, Expr, Lit, Var
from eqsat.egglog.primitives import NoValueError
from eqsat.egglog.schema import HANDLES
from eqsat.egraph.enode import ABSENT
from eqsat.rules.rule import ROOT
from ir.operators import OPERATORS

if TYPE_CHECKING:
    from eqsat.authoring.tools.naming import Names
    from eqsat.authoring.tools.tables import Tables
    from eqsat.egraph.enode import ENode
    from eqsat.egraph.heads import Binding

_WORDS: Final[Mapping[str, str]] = {
    "shape": "the shape",
    "rank": "the rank",
    "last": "the last dimension",
    "dtype": "the element type",
    "scalar": "the number",
}
"""What the functions of the schema are called in a sentence."""


@final
class Explainer:
    """Explains demands of one rule in one e-graph."""

    def __init__(self, tables: Tables, names: Names, sorts: Mapping[str, str]) -> None:
        """Remember where to look.

        Args:
            tables: The e-graph.
            names: What its values are called.
            sorts: Sort of each variable of the rule.
        """
        self._tables = tables
        self._names = names
        self._sorts = sorts

    def explain(self, demand: Demand, bindings: Bindings) -> str:
        """Return why ``demand`` is not met where the variables stand for ``bindings``."""
        match demand:
            case Node():
                return self._node(demand, bindings)
            case Lookup():
                return self._lookup(demand, bindings)
            case Holds():
                return self._holds(demand, bindings)
            case Equal():
                text = f"(= {self.text(demand.left)} {self.text(demand.right)})"
                return self._arithmetic(text, names_of(demand.left) | names_of(demand.right), bindings)
            case Test():
                return self._arithmetic(self.text(demand.term), names_of(demand.term), bindings)
            case _:
                assert_never(demand)

    def variable(self, name: str, bindings: Bindings) -> str:
        """Return what a variable stands for."""
        return self._names.binding(self._sorts.get(name, ""), bindings[name])

    def text(self, pattern: Expr) -> str:
        """Return a pattern as it stands in the rule: made-up variables by what they stand for."""
        match pattern:
            case Var():
                return "the result" if pattern.name == ROOT else pattern.name.rpartition(" ")[0] or pattern.name
            case Lit():
                return str(pattern)
            case Call():
                return f"({' '.join([pattern.name, *(self.text(argument) for argument in pattern.args)])})"

    # --- operators --------------------------------------------------------------------------------------------

    def _node(self, demand: Node, bindings: Bindings) -> str:
        output = bindings.get(demand.output)
        if isinstance(output, int):
            return self._made_otherwise(demand, output, bindings)
        known = [child for child in demand.children if child in bindings]
        readers = [f"{self.variable(child, bindings)}" for child in known]
        if known:
            return f"no {demand.operator} reads {' and '.join(readers)} the way {self.text(demand.term)} asks"
        if not self._tables.enodes(demand.operator):
            return f"the model has no {demand.operator}"
        return f"no {demand.operator} of the model is {self.text(demand.term)}"

    def _made_otherwise(self, demand: Node, handle: int, bindings: Bindings) -> str:
        value = self._names.value(handle)
        same = [enode for enode in self._tables.members(handle) if enode.operator == demand.operator]
        if not same:
            if demand.operator == ABSENT:
                return f"an input that the rule wants left out is there: {value}"
            return (
                f"{value} is {self._names.maker(handle)}; the rule wants {article(demand.operator)} {demand.operator}"
            )
        enode = same[0]
        title = self._names.node_of(enode) or f"{value} ({demand.operator})"
        children = self._tables.children(enode)
        if len(children) != len(demand.children):
            return f"{title} has {len(children)} inputs; the rule wants {len(demand.children)}"
        others = self._other_children(demand, children, bindings)
        if others:
            return f"{title} {others}"
        return f"{title} has {self._settings(enode)}; the rule wants {self.text(demand.term)}"

    def _other_children(self, demand: Node, children: tuple[int, ...], bindings: Bindings) -> str:
        wrong = [
            (position, child, actual)
            for position, (child, actual) in enumerate(zip(demand.children, children, strict=True))
            if bindings.get(child, actual) != actual
        ]
        if not wrong:
            return ""
        position, child, actual = wrong[0]
        wanted = self.variable(child, bindings)
        return f"reads {self._names.value(actual)} as input {position}, where the rule wants {wanted} again"

    def _settings(self, enode: ENode) -> str:
        row = OPERATORS.get(enode.operator)
        if row is None:
            return self._names.number(enode.attributes)
        pairs = zip(row.attributes, enode.attributes, strict=True)
        return ", ".join(f"{column.name}={self._names.number(value)}" for column, value in pairs) or "other inputs"

    # --- facts ------------------------------------------------------------------------------------------------

    def _lookup(self, demand: Lookup, bindings: Bindings) -> str:
        try:
            arguments = tuple(value_of(argument, bindings) for argument in demand.arguments)
        except NoValueError:
            return f"{self.text(demand.term)} has no value"
        value = self._tables.value(demand.function, arguments)
        subject = self._subject(demand.function, arguments, demand.arguments)
        if value is None:
            return self._no_value(demand, arguments, subject)
        shown = dtype_name(value) if demand.function == "dtype" else self._names.number(value)
        wanted = self._wanted(demand, bindings)
        hidden = "; a symbol is a size that is not known" if self._has_symbol(value) else ""
        return f"{subject} is {shown}, the rule wants {wanted}{hidden}"

    def _subject(self, function: str, arguments: tuple[Binding, ...], patterns: tuple[Expr, ...]) -> str:
        sorts = self._sorts_of(function, len(arguments))
        shown = ", ".join(self._names.binding(sort, each) for sort, each in zip(sorts, arguments, strict=True))
        word = _WORDS.get(function)
        if word is not None:
            return f"{word} of {shown}"
        return f"`{function}` of {shown or ', '.join(self.text(pattern) for pattern in patterns)}"

    def _sorts_of(self, name: str, count: int) -> tuple[str, ...]:
        signature = self._tables.signatures.names.get(name)
        return tuple(signature.inputs) if signature is not None else ("",) * count

    def _no_value(self, demand: Lookup, arguments: tuple[Binding, ...], subject: str) -> str:
        if demand.function != "scalar" or not isinstance(arguments[0], int):
            return f"{subject} is not known"
        value = self._names.value(arguments[0])
        shape = self._names.shape(arguments[0])
        if arguments[0] not in self._tables.session.constants():
            return f"{value} is not constant: it depends on an input of the model"
        return f"{value} is no single number{f': its shape is {shape}' if shape else ''}"

    def _wanted(self, demand: Lookup, bindings: Bindings) -> str:
        pattern = demand.value
        if isinstance(pattern, Lit) and demand.function == "dtype":
            return dtype_name(value_of(pattern, bindings))
        if isinstance(pattern, Var) and pattern.name in bindings:
            shown = bindings[pattern.name]
            text = dtype_name(shown) if demand.function == "dtype" else self._names.number(shown)
            return f"{text} ({self.text(pattern)})"
        known = [name for name in names_of(pattern) if name in bindings]
        where = ", ".join(f"{name} = {self._names.number(bindings[name])}" for name in sorted(known))
        return f"{self.text(pattern)}{f' with {where}' if where else ''}"

    def _has_symbol(self, value: Binding) -> bool:
        parts = value if isinstance(value, tuple) else (value,)
        return any(self._names.is_symbol(part) for part in parts)

    def _holds(self, demand: Holds, bindings: Bindings) -> str:
        bound = [
            self.variable(each.name, bindings)
            for each in demand.arguments
            if isinstance(each, Var) and each.name in bindings
        ]
        subject = bound[0] if bound else ""
        match demand.relation:
            case "constant" if subject:
                return f"{subject} is not constant: it depends on an input of the model"
            case "finite" if subject:
                return f"it is not known whether every element of {subject} is finite"
            case "near" if subject:
                return self._near(demand, bindings, subject)
            case _:
                where = [
                    f"{self.text_of_name(each.name)} is {self.variable(each.name, bindings)}"
                    for each in demand.arguments
                    if isinstance(each, Var) and each.name in bindings
                ]
                return f"nothing says {self.text(demand.term)}{' where ' if where else ''}{', '.join(where)}"

    def _near(self, demand: Holds, bindings: Bindings, subject: str) -> str:
        value = bindings[demand.arguments[0].name] if isinstance(demand.arguments[0], Var) else None
        number = self._tables.value("scalar", (value,)) if value is not None else None
        wanted = self.text(demand.arguments[1])
        if number is None:
            return f"{subject} is no constant of one element, so that it is not known to be {wanted}"
        return f"{subject} is {self._names.number(number)}, the rule wants {wanted}"

    # --- arithmetic -------------------------------------------------------------------------------------------

    def _arithmetic(self, text: str, names: frozenset[str], bindings: Bindings) -> str:
        values = {name: bindings[name] for name in sorted(names) if name in bindings}
        shown = [
            f"{self.text_of_name(name)} is {self._names.binding(self._sorts.get(name, ''), value)}"
            for name, value in values.items()
        ]
        hidden = [
            name for name, value in values.items() if self._sorts.get(name) not in HANDLES and self._has_symbol(value)
        ]
        tail = ", a size that is not known" if hidden else ""
        return f"{text} does not hold{': ' if shown else ''}{', '.join(shown)}{tail}"

    def text_of_name(self, name: str) -> str:
        """Return a variable as the rule writes it."""
        return name.rpartition(" ")[0] or name
