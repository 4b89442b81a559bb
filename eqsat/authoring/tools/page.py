"""The page about the rules that ship, made from the rules themselves."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from eqsat.authoring.soundness.record import levels
from eqsat.authoring.tools.catalogue import Row, rows
from eqsat.rules.book import load_rules
from eqsat.rules.rule import RuleKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from eqsat.rules.book import RuleBook

COMMAND: Final = "python -m eqsat.rules docs docs/rules.md"

_INTRODUCTION: Final = """\
# The rules

Every rewrite that ships, as [rules.egg](../rules.egg) has it; `eqsat rules show NAME` draws one. This page is made by
`{command}`.

| column | says |
|---|---|
| ruleset | `opt`: a candidate that a search chooses; `simp`: applied at once |
| floats | what the rule does to floating-point results: the [float classes](how-it-works.md) |
| soundness | `proved`: both sides are equal over a finite field; `tested`: equal at 200 random instances or more |

{numbers}
"""


def rules_page() -> str:
    """Return the page.

    Raises:
        RulesError: The rules that ship are broken.
    """
    book = load_rules()
    found = rows(book, levels(book), rulesets=(RuleKind.SIMP, RuleKind.OPT))
    parts = [_INTRODUCTION.format(command=COMMAND, numbers=_numbers(found, book))]
    groups = dict.fromkeys(row.group for row in found)
    parts += [_section(group, [row for row in found if row.group == group]) for group in groups]
    return "\n".join(parts)


def _numbers(found: Sequence[Row], book: RuleBook) -> str:
    known = Counter(row.level or "not judged" for row in found)
    shown = ", ".join(f"{count} {level}" for level, count in sorted(known.items()))
    num_facts = len(book.of_kind(RuleKind.FACTS))
    return f"{len(found)} rules, {shown}; {num_facts} more state the facts that they rest on."


def _section(group: str, found: Iterable[Row]) -> str:
    lines = [f"## {group[:1].upper()}{group[1:]}", "", "| rule | ruleset | floats | soundness | source | requires |"]
    lines.append("|---|---|---|---|---|---|")
    for row in found:
        off = f" (off; `--enable-rules {row.tier}`)" if row.tier else ""
        cells = (f"`{row.name}`{off}", row.ruleset, row.floats, row.level, row.source, row.requires)
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")
