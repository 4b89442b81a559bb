"""Reads rules files to the end, whatever is wrong with them: every mistake is a complaint, none hides another."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eqsat.authoring.tools.complaints import Complaint, complaint_of
from eqsat.egglog.commands import AddRuleset, FunctionCommand, Location, Relation, new_egraph
from eqsat.errors import RulesError
from eqsat.rules.allowlist import parse_form
from eqsat.rules.book import Declaration, RuleBook, shipped_rules_path
from eqsat.rules.rule import Rule, rules_of
from eqsat.rules.text import Form, read, split

_NAME: Final = re.compile(r':name\s+"([^"]*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What rules files hold.

    Attributes:
        book: All that could be read.
        complaints: About what could not.
    """

    book: RuleBook
    complaints: tuple[Complaint, ...]


def sources(paths: Iterable[Path], *, has_shipped: bool = True) -> list[tuple[Path, str]]:
    """Return the rules files to read with the names that messages call them by, the one that ships first.

    A file that is the one that ships is read once.
    """
    wanted = [(path, str(path)) for path in paths]
    shipped = shipped_rules_path()
    is_there = any(path.exists() and path.samefile(shipped) for path, _ in wanted)
    return wanted if is_there or not has_shipped else [(shipped, str(shipped)), *wanted]


def read_all(files: Iterable[tuple[Path, str]]) -> Reading:
    """Read rules files; what is wrong in them is left out and complained about."""
    reader = _Reader()
    for path, name in files:
        start = Location(name, 1, 1)
        try:
            forms = split(read(path), name).forms
        except RulesError as error:
            reader.complaints.append(complaint_of(error, "", start))
            continue
        section = ""
        for form in forms:
            section = form.section or section
            reader.take(form, section)
    book = RuleBook(rules=tuple(reader.rules.values()), declarations=tuple(reader.declarations.values()))
    return Reading(book=book, complaints=tuple(reader.complaints))


class _Reader:
    def __init__(self) -> None:
        self._parser = new_egraph()
        self.rules: dict[str, Rule] = {}
        self.declarations: dict[str, Declaration] = {}
        self.complaints: list[Complaint] = []

    def take(self, form: Form, section: str) -> None:
        """Take a form as a declaration or as rules."""
        named = _NAME.search(form.code)
        name = named[1] if named else ""
        try:
            command = parse_form(self._parser, form)
            if isinstance(command, AddRuleset):
                return
            if isinstance(command, Relation | FunctionCommand):
                declaration = Declaration(name=command.name, command=command, location=form.location)
                _refuse_second(self.declarations.get(command.name), declaration)
                self.declarations[command.name] = declaration
                return
            for rule in rules_of(form, command, section):
                _refuse_second(self.rules.get(rule.name), rule)
                self.rules[rule.name] = rule
        except RulesError as error:
            self.complaints.append(complaint_of(error, name, form.location))


def _refuse_second(first: Rule | Declaration | None, second: Rule | Declaration) -> None:
    if first is not None:
        raise RulesError(f"{second.location}: `{second.name}` is already declared at {first.location}")
