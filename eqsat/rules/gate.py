"""From rules to an e-graph program in which nothing is applied that was not chosen.

A rule of kind ``opt`` becomes two, over the variables that its head uses::

    (rule (<body>)                             ((match/name root_ x p))   :ruleset find/name)
    (rule ((match/name root_ x p) (= root_ <right>)) ((noop/name root_ x p)) :ruleset noop)

``match/name`` lists the candidates, and ``noop/name`` marks those whose outcome is there already. What a search has
chosen is applied by :mod:`eqsat.egraph.heads`, without a second join: a body that held once holds for good, since rules
files cannot take facts back. Rules of the other two kinds run as they are.

What a head computes (``(* h d)``) or looks up (``(shape q)``) moves into the body: a computation that fails is then
no match, where in a head it would end the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from eqsat.egglog.commands import (
    SPAN,
    Action,
    AddRuleset,
    Change,
    Command,
    EgglogError,
    EGraph,
    Eq,
    Expr_,
    Fact,
    Fact_,
    Let,
    Location,
    Panic,
    Relation,
    RuleCommand,
    Set,
    Span,
    Union,
    call,
    run,
    var,
)
from eqsat.egglog.commands import Rule as EgglogRule
from eqsat.errors import RulesError
from eqsat.rules.atoms import check_grounded
from eqsat.rules.book import Declaration, RuleBook
from eqsat.rules.hoist import hoisted
from eqsat.rules.lint import Finding, Severity, lint
from eqsat.rules.rule import Rule, RuleKind
from eqsat.rules.signatures import Role, Signatures
from eqsat.rules.sorts import infer_sorts
from eqsat.rules.terms import head_terms, lets, span_of, variables
from eqsat.rules.type_sets import type_sets, with_type_sets
from eqsat.rules.views import view_commands, with_views

NOOP: Final = "noop"
"""Ruleset that finds the candidates that would change nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedRule:
    """One ``opt`` rule and its relations, each over the variables of its head.

    Attributes:
        index: Position among the gated rules of the program.
        rule: The rule.
        head: What follows from a match, everything that is computed taken out into the columns.
        variables: Names of the columns; the root comes first where the rule is a rewrite.
        sorts: Sorts of the columns.
        match: Relation of the candidates.
        noop: Relation of those that would change nothing.
        match_ruleset: Ruleset that finds the candidates.
    """

    index: int
    rule: Rule
    head: tuple[Action, ...]
    variables: tuple[str, ...]
    sorts: tuple[str, ...]
    match: str
    noop: str
    match_ruleset: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Commands to run after the schema's, and what to look at afterwards.

    Attributes:
        commands: Rulesets, relations, views and rules.
        gated: The gated rules, in the order of the rule book.
        signatures: Everything declared, by the schema and here.
        warnings: What the lint found that is allowed.
        rules: The rules that the commands come from.
    """

    commands: tuple[Command, ...]
    gated: tuple[GatedRule, ...]
    signatures: Signatures
    warnings: tuple[Finding, ...]
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A rule checked and rewritten, ready to become commands."""

    rule: Rule
    span: Span
    body: tuple[Fact_, ...]
    head: tuple[Action, ...]
    sorts: dict[str, str]


def gate(book: RuleBook, schema: Iterable[Command], *, commutative: AbstractSet[str] = frozenset()) -> Program:
    """Return the program of a rule book.

    Args:
        book: The rules, selected already.
        schema: What runs before the program: datatypes, functions, relations, rulesets and rules of the schema.
        commutative: Operators whose first two inputs may be exchanged.

    Raises:
        RulesError: A rule calls what is not declared, has a mistake in its sorts or variables, is taken by the schema,
            or the lint refuses it.
    """
    before = Signatures.of(schema)
    _check_declarations(book.declarations, before)
    for rule in book.rules:
        if rule.name in before.rule_names:
            raise RulesError(f"{rule.location}: `{rule.name}` is the name of a rule of the schema")
    declared = before.extended(declaration.command for declaration in book.declarations)
    views = view_commands(commutative, declared)
    signatures = declared.extended(views)

    masks = type_sets(book.rules, _sets_of_numbers(signatures))
    prepared = [_prepare(rule, signatures, commutative, masks) for rule in book.rules]
    findings = lint(book.rules, signatures, commutative)
    for finding in findings:
        if finding.severity is Severity.ERROR:
            raise RulesError(str(finding))

    opt = [each for each in prepared if each.rule.kind is RuleKind.OPT]
    gated = tuple(_gated(index, each) for index, each in enumerate(opt))
    rulesets = [RuleKind.FACTS, RuleKind.SIMP, NOOP, *(each.match_ruleset for each in gated)]
    commands: list[Command] = [AddRuleset(SPAN, name) for name in rulesets if name not in before.rulesets]
    commands += [declaration.command for declaration in book.declarations]
    commands += views
    for each in prepared:
        if each.rule.kind is not RuleKind.OPT:
            commands.append(_rule(each, each.head, each.body, each.rule.name, each.rule.kind))
    for each, relations in zip(opt, gated, strict=True):
        commands += _gate_commands(each, relations)
    return Program(
        commands=tuple(commands),
        gated=gated,
        signatures=signatures.extended(commands),
        warnings=findings,
        rules=book.rules,
    )


def declare(egraph: EGraph, program: Program) -> None:
    """Run the program's commands in an e-graph that has its schema.

    Raises:
        RulesError: egglog refuses a rule; the message says where it stands.
        EgglogError: egglog refuses a command that comes from no rule.
    """
    try:
        run(egraph, *program.commands)
    except EgglogError as error:
        at = error.location
        if at is None:
            raise
        raise RulesError(f"{_with_path(at, program.rules)}: {error.message}") from None


def _with_path(at: Location, rules: Sequence[Rule]) -> Location:
    """Return ``at`` with the path of the rules file, of which egglog keeps only the last part."""
    for rule in rules:
        start = rule.location
        if start.file.endswith(at.file) and start <= Location(start.file, at.line, at.column) <= start.moved(rule.text):
            return Location(start.file, at.line, at.column)
    return at


def _check_declarations(declarations: Sequence[Declaration], signatures: Signatures) -> None:
    for declaration in declarations:
        if declaration.name in signatures.names:
            raise RulesError(f"{declaration.location}: `{declaration.name}` is declared by the schema already")
        command = declaration.command
        sorts = command.inputs if isinstance(command, Relation) else [*command.schema.input, command.schema.output]
        for sort in sorts:
            if sort not in signatures.sorts:
                raise RulesError(f"{declaration.location}: `{sort}` is no sort")


def _sets_of_numbers(signatures: Signatures) -> list[str]:
    relations = [(name, each.inputs) for name, each in signatures.names.items() if each.role is Role.RELATION]
    return [name for name, inputs in relations if inputs == ("i64",)]


def _prepare(rule: Rule, signatures: Signatures, commutative: AbstractSet[str], masks: Mapping[str, int]) -> _Prepared:
    infer_sorts(rule.body, rule.head, signatures, rule.location)
    check_grounded(rule.body, signatures, rule.location)
    body, head = hoisted(rule.body, rule.head, signatures)
    sorts = infer_sorts(body, head, signatures, rule.location)
    viewed = commutative & signatures.names.keys()
    span = span_of(rule.body[0]) if rule.body else SPAN
    body = with_type_sets(with_views(body, head, viewed), masks)
    return _Prepared(rule=rule, span=span, body=body, head=head, sorts=sorts)


def _gated(index: int, prepared: _Prepared) -> GatedRule:
    bound = lets(prepared.head)
    columns = tuple(name for name in variables(head_terms(prepared.head)) if name not in bound)
    name = prepared.rule.name
    return GatedRule(
        index=index,
        rule=prepared.rule,
        head=prepared.head,
        variables=columns,
        sorts=tuple(prepared.sorts[column] for column in columns),
        match=f"match/{name}",
        noop=f"noop/{name}",
        match_ruleset=f"find/{name}",
    )


def _gate_commands(prepared: _Prepared, gated: GatedRule) -> list[Command]:
    columns = [var(name) for name in gated.variables]
    match, noop = (call(name, *columns) for name in (gated.match, gated.noop))
    already = [Fact(match), *(_as_fact(action) for action in prepared.head)]
    return [
        *(Relation(SPAN, name, list(gated.sorts)) for name in (gated.match, gated.noop)),
        _rule(prepared, [Expr_(SPAN, match)], prepared.body, gated.match, gated.match_ruleset),
        _rule(prepared, [Expr_(SPAN, noop)], already, gated.noop, NOOP),
    ]


def _rule(prepared: _Prepared, head: Sequence[Action], body: Sequence[Fact_], name: str, ruleset: str) -> RuleCommand:
    return RuleCommand(EgglogRule(prepared.span, list(head), list(body), name, ruleset))


def _as_fact(action: Action) -> Fact_:
    """Return what holds after ``action``."""
    match action:
        case Let():
            return Eq(action.span, var(action.lhs), action.rhs)
        case Union():
            return Eq(action.span, action.lhs, action.rhs)
        case Set():
            return Eq(action.span, call(action.lhs, *action.args), action.rhs)
        case Expr_():
            return Fact(action.expr)
        case Change() | Panic():
            raise TypeError(f"the allow-list lets no {type(action).__name__} through")
