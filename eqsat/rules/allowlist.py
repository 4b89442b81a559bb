"""What a rules file may say: rewrites, rules, relations and functions, and nothing that acts.

egglog programs can read and write files, run Python and run forever. A rules file therefore declares only; which
names its terms may call is checked later, against the schema (:mod:`eqsat.rules.sorts`).
"""

from __future__ import annotations

from typing import TypeAlias

from eqsat.egglog.commands import (
    Action,
    AddRuleset,
    BiRewriteCommand,
    Call,
    Change,
    Command,
    EgglogError,
    EGraph,
    Expr,
    FunctionCommand,
    Panic,
    Relation,
    RewriteCommand,
    RuleCommand,
    Var,
    parse,
)
from eqsat.errors import RulesError
from eqsat.rules.rule import RuleKind
from eqsat.rules.terms import place
from eqsat.rules.text import Form

Allowed: TypeAlias = "RuleCommand | RewriteCommand | BiRewriteCommand | Relation | FunctionCommand | AddRuleset"

KEYWORDS = ("rewrite", "birewrite", "rule", "relation", "function", "ruleset")
"""First words that a form may have."""

MERGES = frozenset({"min", "max"})
"""What a ``:merge`` may call, with ``old`` and ``new`` as its arguments."""


def parse_form(egraph: EGraph, form: Form) -> Allowed:
    """Return the command that a form stands for.

    Args:
        egraph: Lends its parser; it is not changed.
        form: A form of a rules file.

    Raises:
        RulesError: The form is no command that a rules file may hold, or no egglog at all.
    """
    if form.keyword not in KEYWORDS:
        word = f"`{form.keyword}`" if form.keyword else "this form"
        raise RulesError(f"{form.location}: {word} may not stand in a rules file; only: {', '.join(KEYWORDS)}")
    try:
        commands = parse(egraph, form.code, form.location)
    except EgglogError as error:
        at = error.location
        line, column = (at.line, at.column) if at else (form.location.line, form.location.column)
        raise RulesError(f"{form.location.file}:{line}:{column}: {error.message}") from None
    if len(commands) != 1:
        raise RulesError(f"{form.location}: this form is {len(commands)} commands, not one")
    return _checked(commands[0], form)


def _checked(command: Command, form: Form) -> Allowed:
    match command:
        case RuleCommand():
            for action in command.rule.head:
                _check_action(action, form)
        case RewriteCommand() if command.subsume:
            raise RulesError(f"{form.location}: `:subsume` takes a fact back; facts may only grow")
        case RewriteCommand() | BiRewriteCommand() | Relation():
            pass
        case FunctionCommand():
            _check_merge(command, form)
        case AddRuleset() if command.name not in set(RuleKind):
            raise RulesError(f"{form.location}: ruleset `{command.name}`; the rulesets are: {', '.join(RuleKind)}")
        case AddRuleset():
            pass
        case _:
            raise RulesError(f"{form.location}: `{form.keyword}` may not stand in a rules file")
    return command


def _check_action(action: Action, form: Form) -> None:
    at = place(action, form.location)
    match action:
        case Change():
            raise RulesError(f"{at}: `delete` and `subsume` take a fact back; facts may only grow")
        case Panic():
            raise RulesError(f"{at}: `panic` would end the run; leave the match out instead")
        case _:
            pass


def _check_merge(command: FunctionCommand, form: Form) -> None:
    merge: Expr | None = command.merge
    match merge:
        case None | Var(name="old" | "new"):
            return
        case Call(name=name, args=[Var(name="old"), Var(name="new")]) if name in MERGES:
            return
        case _:
            raise RulesError(
                f"{form.location}: `:merge` of `{command.name}` must be old, new, (min old new) or (max old new)"
            )
