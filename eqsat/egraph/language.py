"""What an e-graph is told before a model: operators, facts and gated rules, made once for the same rules."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final, final

from eqsat.egglog.commands import SPAN, EGraph, Location, UnstableCombinedRuleset, new_egraph, parse, run
from eqsat.egglog.schema import fact_rules_text, schema_text
from eqsat.rules.gate import Program, declare, gate
from eqsat.rules.relevance import relevant
from ir.operators import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Set

    from eqsat.egglog.commands import Command
    from eqsat.rules.book import RuleBook

NEAR_SMALLEST: Final = 1e-3
"""Magnitude below which that difference shrinks no further."""

FIND: Final = "find"
"""Ruleset that finds the candidates of all rules."""

MAX_KEPT: Final = 32
"""Languages kept, those used last; one takes about 9 MB."""

_COMMUTATIVE: Final = frozenset(row.name for row in OPERATORS.values() if row.is_commutative)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """What an e-graph is told before a model.

    Attributes:
        schema: Datatypes, functions, relations, and the rules of facts that follow from structure alone.
        program: The gated rules.
    """

    schema: tuple[Command, ...]
    program: Program

    def open(self) -> EGraph:
        """Return a new e-graph that speaks it.

        Raises:
            RulesError: egglog refuses a rule.
        """
        egraph = new_egraph()
        run(egraph, *self.schema)
        declare(egraph, self.program)
        # One ruleset of them all: running hundreds of idle rulesets one by one takes longer than matching.
        finders = [gated.match_ruleset for gated in self.program.gated]
        run(egraph, UnstableCombinedRuleset(SPAN, FIND, finders))
        return egraph


def language_of(rules: RuleBook, used: Set[str]) -> Language:
    """Return the language for a model.

    Args:
        rules: The rules, selected for the model's opset and the target already.
        used: Operators of the model.

    Raises:
        RulesError: A rule does not fit the schema.
    """
    return _KEPT.find(rules, frozenset(used))


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Entry:
    book: RuleBook
    used: frozenset[str]
    language: Language


@final
class _Kept:
    """Languages by what their rules say, so that a process that reads the same files again gets the same languages."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._entries: list[_Entry] = []

    def find(self, rules: RuleBook, used: frozenset[str]) -> Language:
        with self._lock:
            books = {id(entry.book): entry.book for entry in self._entries}
            # Rules that were read twice are kept once: what they say is compared, which is quick for the same objects.
            book = next((each for each in books.values() if _says_the_same(each, rules)), rules)
            for entry in self._entries:
                if entry.book is book and entry.used == used:
                    self._entries.remove(entry)
                    self._entries.append(entry)
                    return entry.language
        found = _Entry(book=book, used=used, language=_made(relevant(book, used), used))
        with self._lock:
            self._entries.append(found)
            del self._entries[:-MAX_KEPT]
        return found.language


def _says_the_same(one: RuleBook, other: RuleBook) -> bool:
    return one.rules == other.rules and one.declarations == other.declarations


_KEPT: Final = _Kept()


def _made(rules: RuleBook, used: frozenset[str]) -> Language:
    named = {name for rule in rules.rules for name in rule.operators_matched | rule.operators_made}
    operators = [name for name in OPERATORS if name in used or name in named]
    reader = new_egraph()
    schema: list[Command] = []
    lines = [*fact_rules_text(operators).splitlines(), *_near_rules(rules.literals)]
    for text in (schema_text(operators), "(ruleset facts)", "(ruleset simp)", *lines):
        schema.extend(parse(reader, text, Location("schema", 1, 1)))
    return Language(schema=tuple(schema), program=gate(rules, schema, commutative=_COMMUTATIVE))


def _near_rules(literals: Iterable[float]) -> list[str]:
    """Rules for ``(near x number)``: a constant scalar equals the number up to what exporters round away."""
    lines = []
    for number in literals:
        size = max(abs(number), NEAR_SMALLEST)
        lines.append(
            f"(rule ((= s (scalar c)) (= g (grain (dtype c))) (<= (abs (- s {number!r})) (* g {size!r}))) "
            f'((near c {number!r})) :ruleset facts :name "near {number!r}")',
        )
    return lines
