"""What is said of operators: it is what rules may write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eqsat.authoring.tools.operators import operator_row, operator_rows, operators_page, told
from eqsat.egglog.schema import FACTS_TEXT, example, form
from eqsat.errors import UsageError
from eqsat.rules.book import load_rules
from eqsat.rules.signatures import PRIMITIVES
from ir.operators import OPERATORS

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("write", [form, example])
def test_every_operator_is_written_as_rules_write_it(write: object, tmp_path: Path) -> None:
    """What is not a variable stands for itself, so that the file is read as a rule that makes the term."""
    assert write in {form, example}
    entries = ["(relation own (Tensor))"]
    for name, operator in OPERATORS.items():
        term = example(operator) if write is example else form(operator).replace("?", "")
        entries.append(f'; SOURCE x\n(rule ((= r {term})) ((own r)) :ruleset facts :name "at-{name.lower()}")')
    path = tmp_path / "own.egg"
    path.write_text("\n\n".join(entries) + "\n")
    assert len(load_rules([path], include_shipped=False).rules) == len(OPERATORS)


def test_one_operator(tmp_path: Path) -> None:
    row = operator_row("Softmax", load_rules())
    assert told(row)[0] == "(Softmax x axis)"
    assert "axis: an axis, counted from the back: -1 is the last (i64), default -1" in "\n".join(told(row))
    assert "log-softmax" in row.rules
    with pytest.raises(UsageError, match="there is no operator 'Sotfmax'; did you mean 'Softmax'"):
        operator_row("Sotfmax", load_rules())


def test_the_page_has_every_operator() -> None:
    page = operators_page()
    assert all(f"| `{name}` |" in page for name in OPERATORS)
    assert len(operator_rows()) == len(OPERATORS)


def test_the_guide_names_every_fact_and_every_primitive() -> None:
    page = (ROOT / "docs" / "writing-rules.md").read_text(encoding="utf-8")
    facts = set(re.findall(r"^\((?:function|relation) (\S+)", FACTS_TEXT, re.MULTILINE))
    missing = [
        name
        for name in sorted({*facts, *PRIMITIVES})
        if f"({name} " not in page and f"({name})" not in page and f"`{name}`" not in page
    ]
    assert not missing, "docs/writing-rules.md says nothing of them"


def test_the_two_spellings_of_the_guide_say_the_same(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "writing-rules.md").read_text(encoding="utf-8")
    fences = re.findall(r"^```(?:\w*)(?: \S+)?\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (block,) = [text for text in fences if "the-other" in text]
    path = tmp_path / "own.egg"
    path.write_text("".join(f"; SOURCE x\n; FLOATS exact\n{line}\n\n" for line in block.strip().splitlines()))
    one, two = load_rules([path], include_shipped=False).rules
    assert one.operators_matched == two.operators_matched == {"Neg", "Sub"}
    assert len(one.body) == len(two.body)
