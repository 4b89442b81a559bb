"""The rules as a list: what each is called, where it belongs and how well it is known to be sound."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eqsat.authoring.soundness.verdict import Level
from eqsat.authoring.tools.reading import sources
from eqsat.errors import RulesError, UsageError
from eqsat.rules.book import load_rules
from eqsat.rules.rule import RuleKind
from eqsat.rules.text import read, split
from eqsat.text.suggest import did_you_mean

if TYPE_CHECKING:
    from eqsat.rules.book import RuleBook
    from eqsat.rules.rule import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One entry of a rules file; both directions of a ``birewrite`` are one.

    Attributes:
        name: Its name.
        ruleset: What happens with its matches.
        group: Topic.
        tier: What it is switched on with, where it is off by itself.
        floats: Float class.
        level: How well it is known to be sound: the worse of both directions; empty where nobody has judged it.
        source: Why it is true.
        requires: What its conditions ensure.
        place: File and line.
    """

    name: str
    ruleset: str
    group: str
    tier: str
    floats: str
    level: str
    source: str
    requires: str
    place: str

    def to_fields(self) -> Mapping[str, str]:
        """Return it as plain values, for JSON."""
        return asdict(self)


def read_book(files: Iterable[Path]) -> RuleBook:
    """Return the rules of some files after those that ship; one that is the shipped file is read once.

    Raises:
        RulesError: A file cannot be read, is broken or unsafe.
    """
    wanted = sources(list(files))
    return load_rules([path for path, _ in wanted], include_shipped=False)


def rows(
    book: RuleBook,
    levels: Mapping[str, Level],
    *,
    rulesets: Collection[str] = (),
    groups: Collection[str] = (),
) -> list[Row]:
    """Return the entries of a rule book, in its order.

    Args:
        book: The rules.
        levels: What is known of each rule.
        rulesets: Only these; all where there is none.
        groups: Only these; all where there is none.

    Raises:
        UsageError: There is no such ruleset or group.
    """
    _check(rulesets, {str(kind) for kind in RuleKind}, "ruleset")
    _check(groups, {rule.group for rule in book.rules if rule.group}, "group")
    entries: dict[str, list[Rule]] = {}
    for rule in book.rules:
        if (not rulesets or rule.kind in rulesets) and (not groups or rule.group in groups):
            entries.setdefault(rule.entry, []).append(rule)
    return [_row(directions, levels) for directions in entries.values()]


def _check(wanted: Iterable[str], known: set[str], word: str) -> None:
    for name in wanted:
        if name not in known:
            hint = did_you_mean(name, sorted(known))
            raise UsageError(f"there is no {word} {name!r} (there are: {', '.join(sorted(known))}){hint}")


def _row(directions: list[Rule], levels: Mapping[str, Level]) -> Row:
    first = directions[0]
    known = [levels[rule.name] for rule in directions if rule.name in levels]
    worst = max(known, key=list(Level).index).value if len(known) == len(directions) else ""
    return Row(
        name=first.entry,
        ruleset=first.kind.value,
        group=first.group,
        tier=first.tier,
        floats=first.floats.value if first.kind is not RuleKind.FACTS else "",
        level=worst,
        source=first.source,
        requires=first.requires,
        place=f"{first.location.file}:{first.location.line}",
    )


def find(book: RuleBook, name: str) -> tuple[Rule, ...]:
    """Return the rules of a name: one, or both directions of the entry of that name.

    Raises:
        UsageError: There is none; the message says which names are close.
    """
    found = tuple(rule for rule in book.rules if rule.entry == name) or tuple(
        rule for rule in book.rules if rule.name == name
    )
    if found:
        return found
    raise UsageError(f"there is no rule {name!r}{did_you_mean(name, (rule.name for rule in book.rules))}")


def header_lines(rule: Rule) -> tuple[str, ...]:
    """Return the comment above a rule as it stands in its file; what is known of it where the file is gone."""
    try:
        forms = split(read(Path(rule.location.file)), rule.location.file).forms
    except RulesError:
        return (f"; SOURCE    {rule.source}", f"; FLOATS    {rule.floats}")
    for form in forms:
        if form.location == rule.location:
            return tuple(f";{line}" for _, line in form.header)
    return ()
