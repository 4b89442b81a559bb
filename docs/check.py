"""Checks the documentation: links lead somewhere, flags and targets exist, examples compile, rules are as listed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import typer

from eqsat.authoring.tools import operators
from eqsat.authoring.tools.page import COMMAND, rules_page
from eqsat.cli.run import app

ROOT: Final = Path(__file__).parents[1]
FLAGS_PAGE: Final = ROOT / "docs" / "command-line.md"
RULES_PAGE: Final = ROOT / "docs" / "rules.md"
OPERATORS_PAGE: Final = ROOT / "docs" / "operators.md"

_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE: Final = re.compile(r"^```(\w*)(?: \S+)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FLAG: Final = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
_MAKE: Final = re.compile(r"\bmake ([a-z][a-z-]*)")
_TARGET: Final = re.compile(r"^([a-z-]+):", re.MULTILINE)


def pages() -> tuple[Path, ...]:
    """Return every page there is."""
    return (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))


def flags() -> frozenset[str]:
    """Return the long flags of ``eqsat run``."""
    command = typer.main.get_command(app)
    return frozenset(flag for each in command.params for flag in each.opts if flag.startswith("--")) | {"--help"}


def targets() -> frozenset[str]:
    """Return the targets of the Makefile."""
    return frozenset(_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))


def check_page(page: Path, text: str) -> Iterator[str]:
    """Yield what is wrong with a page, one line each."""
    fences = _FENCE.findall(text)
    prose = _FENCE.sub("", text)
    for link in _LINK.findall(prose):
        target = link.partition("#")[0]
        if target and "://" not in target and not (page.parent / target).exists():
            yield f"the link {link} leads nowhere"
    for language, code in fences:
        if language == "python":
            try:
                compile(code, str(page), "exec")
            except SyntaxError as error:
                yield f"an example does not compile: {error}"
        if language in {"", "sh"}:
            yield from (f"make has no target {target}" for target in _MAKE.findall(code) if target not in targets())


def check_flags(text: str) -> Iterator[str]:
    """Yield the flags that the page of flags lacks, or has too many."""
    named = frozenset(_FLAG.findall(text))
    yield from (f"the flag {flag} is not described" for flag in sorted(flags() - named))
    yield from (f"there is no flag {flag}" for flag in sorted(named - flags()))


def check_rules(text: str) -> Iterator[str]:
    """Yield that the page about the rules is not what the rules say, where it is not."""
    if text != rules_page():
        yield f"the rules say something else; run: {COMMAND}"


def main() -> int:
    """Print what is wrong and return the number of faults, at most 1."""
    faults: list[str] = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        found = list(check_page(page, text))
        if page == FLAGS_PAGE:
            found += check_flags(text)
        elif page == RULES_PAGE:
            found += check_rules(text)
        elif page == OPERATORS_PAGE and text != operators.operators_page():
            found.append(f"the operator table says something else; run: {operators.COMMAND}")
        faults.extend(f"{page.relative_to(ROOT)}: {fault}" for fault in found)
    print("\n".join(faults) or f"{len(pages())} pages checked")
    return min(len(faults), 1)


if __name__ == "__main__":
    sys.exit(main())
