"""The operators that rules may speak of: what each looks like in a rule, and which rules do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from eqsat.egglog.schema import SORT_OF_KIND, example, form
from eqsat.errors import UsageError
from eqsat.text.suggest import did_you_mean
from ir.operators import OPERATORS, Attribute, Kind, Operator

if TYPE_CHECKING:
    from eqsat.rules.book import RuleBook

COMMAND: Final = "python -m eqsat.rules docs --operators docs/operators.md"

_MEANINGS: Final[Mapping[Kind, str]] = {
    Kind.INT: "a number",
    Kind.FLOAT: "a number",
    Kind.STRING: "a text",
    Kind.INTS: "numbers, `(vec-of 1 2)`",
    Kind.DIMS: "a shape, `(S2 b 4)`",
    Kind.AXIS: "an axis, counted from the front",
    Kind.LAST: "an axis, counted from the back: -1 is the last",
    Kind.AXES: "axes, counted from the front, `(vec-of 0 2)`",
    Kind.LASTS: "axes, counted from the back, ascending, `(vec-of -2 -1)`",
}
"""What an attribute holds."""

_INTRODUCTION: Final = """\
# Operators

Every operator that a rule may speak of; any other node of a model passes through as it is. `eqsat rules operators
NAME` says the same of one, and which rules use it. This page is made by `{command}`.

A question mark stands behind an input that may be `(Absent)`. Several attributes stand in a record whose name ends in
`A`. Of several outputs `(Out m 0)` is the first. `Ms` begins the names of operators of `com.microsoft`, which
`--target provider` alone allows.

| operator | in a rule | for example | attributes |
|---|---|---|---|
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRow:
    """One operator.

    Attributes:
        name: In a rule.
        onnx_name: In a model, with its domain.
        since: Opset from which on the row holds.
        form: How a rule writes it, with names.
        example: With values.
        attributes: What each attribute holds, by name.
        num_outputs: 1, or the number that it may have; 0 for any number.
        is_commutative: True where its two inputs may be exchanged.
        is_provider: True where only ONNX Runtime knows it.
        rules: Rules that match or make it.
    """

    name: str
    onnx_name: str
    since: int
    form: str
    example: str
    attributes: Mapping[str, str]
    num_outputs: int
    is_commutative: bool
    is_provider: bool
    rules: tuple[str, ...] = ()

    def to_fields(self) -> Mapping[str, object]:
        """Return it as plain values, for JSON."""
        return asdict(self)


def operator_rows(book: RuleBook | None = None) -> list[OperatorRow]:
    """Return all operators in order of their names.

    Args:
        book: Whose rules are listed; None lists none.
    """
    return [_row(operator, book) for _, operator in sorted(OPERATORS.items(), key=lambda item: item[0].lower())]


def operator_row(name: str, book: RuleBook) -> OperatorRow:
    """Return one operator.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in OPERATORS:
        raise UsageError(f"there is no operator {name!r}{did_you_mean(name, OPERATORS)}")
    return _row(OPERATORS[name], book)


def told(row: OperatorRow) -> list[str]:
    """Return what is known of an operator as lines for people."""
    outputs = {0: "any number of outputs", 1: "one output"}.get(row.num_outputs, f"up to {row.num_outputs} outputs")
    facts = [row.onnx_name, f"opset {row.since} and later" if row.since > 1 else "every opset", outputs]
    facts += ["inputs in either order"] * row.is_commutative + ["ONNX Runtime alone has it"] * row.is_provider
    lines = [row.form, f"  for example  {row.example}", f"  {', '.join(facts)}"]
    lines += [f"  {name}: {what}" for name, what in row.attributes.items()]
    return [*lines, f"  rules: {', '.join(row.rules) or 'none'}"]


def operators_page() -> str:
    """Return the page about operators, docs/operators.md."""
    lines = []
    for row in operator_rows():
        attributes = "; ".join(f"{name}: {what}" for name, what in row.attributes.items())
        cells = (f"`{row.name}`", f"`{row.form}`", f"`{row.example}`", attributes)
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return _INTRODUCTION.format(command=COMMAND) + "\n".join(lines) + "\n"


def _row(operator: Operator, book: RuleBook | None) -> OperatorRow:
    rules = () if book is None else book.rules
    used = {rule.entry for rule in rules if operator.name in rule.operators_matched | rule.operators_made}
    return OperatorRow(
        name=operator.name,
        onnx_name=f"{operator.domain}::{operator.onnx_name}" if operator.domain else operator.onnx_name,
        since=operator.since,
        form=form(operator),
        example=example(operator),
        attributes={column.name: _told(column) for column in operator.attributes},
        num_outputs=operator.num_outputs,
        is_commutative=operator.is_commutative,
        is_provider=operator.is_provider,
        rules=tuple(sorted(used)),
    )


def _told(column: Attribute) -> str:
    default = "" if column.default is None else f", default {column.default!r}"
    return f"{_MEANINGS[column.kind]} ({SORT_OF_KIND[column.kind]}){default}"
