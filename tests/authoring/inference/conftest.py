"""Terms, spaces and laws to look at."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from eqsat.authoring.inference.discovery import Discovery
from eqsat.authoring.inference.entries import Entry, Writer
from eqsat.authoring.inference.instances import Instances
from eqsat.authoring.inference.law import Law
from eqsat.authoring.inference.operators import ROWS
from eqsat.rules import RuleBook, RuleKind, load_rules
from eqsat.runtime import Runtime

DECLARED = frozenset({"extent", "floating-type", "halves", "addends", "factors"})


def never() -> bool:
    return False


@pytest.fixture(scope="session")
def runtime() -> Iterator[Runtime]:
    with Runtime() as runtime:
        yield runtime


@pytest.fixture(scope="session")
def facts() -> RuleBook:
    """The shipped book without its rewrites."""
    book = load_rules()
    return RuleBook(rules=book.of_kind(RuleKind.FACTS), declarations=book.declarations)


def discover(names: str, max_operators: int, is_over: Callable[[], bool] = never) -> Discovery:
    return Discovery(
        [ROWS[name] for name in names.split()],
        max_operators=max_operators,
        seed=0,
        declared=DECLARED,
        is_over=is_over,
        on_progress=lambda _: None,
    )


@pytest.fixture(scope="session")
def laws() -> Callable[[str, int], list[Law]]:
    """Finds the laws of some operators, each list once."""
    known: dict[tuple[str, int], list[Law]] = {}

    def find(names: str, max_operators: int) -> list[Law]:
        key = (names, max_operators)
        if key not in known:
            known[key] = discover(names, max_operators).run()
        return known[key]

    return find


@pytest.fixture
def entries(laws: Callable[[str, int], list[Law]]) -> Callable[[str, int], list[Entry]]:
    """Writes the laws of some operators as entries."""

    def write(names: str, max_operators: int) -> list[Entry]:
        writer = Writer((), declared=DECLARED, instances=Instances(random.Random(0)))
        return [entry for law in laws(names, max_operators) for entry in writer.entries(law)]

    return write
