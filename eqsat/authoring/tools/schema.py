"""The schema as the rules see it: every operator of the table, every fact, and the rules behind the facts."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from eqsat.egglog.commands import Location, new_egraph, parse
from eqsat.egglog.schema import fact_rules_text, schema_text
from eqsat.rules.signatures import Signatures
from eqsat.rules.views import view_commands
from ir.operators import OPERATORS

if TYPE_CHECKING:
    from eqsat.egglog.commands import Command
    from eqsat.rules.book import RuleBook

COMMUTATIVE: Final = frozenset(row.name for row in OPERATORS.values() if row.is_commutative)
"""Operators whose first two inputs may be exchanged."""


@cache
def schema_commands() -> tuple[Command, ...]:
    """Return the commands that declare everything a rules file may name, and the rules behind the facts."""
    parser = new_egraph()
    start = Location("schema", 1, 1)
    texts = (schema_text(), "(ruleset facts)", "(ruleset simp)", *fact_rules_text().splitlines())
    return tuple(command for text in texts for command in parse(parser, text, start))


def signatures_of(book: RuleBook) -> Signatures:
    """Return the signatures of the schema, of what the rules files declare, and of the views of commutative operators.

    Raises:
        RulesError: A commutative operator has inputs of two sorts.
    """
    declared = Signatures.of(schema_commands()).extended(declaration.command for declaration in book.declarations)
    return declared.extended(view_commands(COMMUTATIVE, declared))
