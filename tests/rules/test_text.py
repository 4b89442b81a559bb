from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eqsat.egglog.commands import EgglogError, EGraph, Location, parse
from eqsat.errors import RulesError
from eqsat.rules.text import MAX_DEPTH, MAX_FILE_BYTES, MAX_FORM_CHARS, MAX_FORMS, read, split

ATOMS = st.text(alphabet="abcXYZ0189~!*-+<>=:._?", min_size=1, max_size=6)
STRINGS = st.text(alphabet='ab ();"\\', max_size=6).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)
COMMENTS = st.text(alphabet='ab ();"\\é', max_size=8).map(lambda text: f";{text}\n")
GAPS = st.one_of(st.sampled_from([" ", "\n", "\t ", "\r\n", "\n\n"]), COMMENTS)


@st.composite
def terms(draw: st.DrawFn, depth: int = 3) -> str:
    kinds = [ATOMS, STRINGS] + ([terms(depth - 1)] if depth else [])
    parts = draw(st.lists(st.one_of(kinds), max_size=4))
    gaps = [draw(GAPS) for _ in parts]
    return "(" + "".join(part + " " + gap for part, gap in zip(parts, gaps, strict=True)) + ")"


@given(st.lists(st.tuples(GAPS, terms())), GAPS)
def test_joining_gives_back_what_was_split(parts: list[tuple[str, str]], trailing: str) -> None:
    text = "".join(gap + form for gap, form in parts) + trailing
    source = split(text, "f")
    assert source.join() == text
    assert [form.text for form in source.forms] == [form for _, form in parts]
    assert all(len(form.code) == len(form.text) and form.code.isascii() for form in source.forms)


@given(st.lists(st.tuples(GAPS, terms()), min_size=1), GAPS)
def test_the_place_of_a_form_is_the_place_of_its_parenthesis(parts: list[tuple[str, str]], trailing: str) -> None:
    text = "".join(gap + form for gap, form in parts) + trailing
    lines = text.split("\n")
    for form in split(text, "f").forms:
        first = form.text.split("\n")[0]
        assert lines[form.location.line - 1][form.location.column - 1 :].startswith(first)


@given(terms())
def test_what_the_splitter_takes_for_one_form_the_parser_does_not_take_for_two(text: str) -> None:
    (form,) = split(text, "f").forms
    assert parse_problem(form.code) not in {"unexpected end of file", "unexpected `)`"}


def parse_problem(text: str) -> str:
    try:
        num_commands = len(parse(EGraph(), text, Location("f", 1, 1)))
    except EgglogError as error:
        return error.message
    return "" if num_commands <= 1 else "unexpected `)`"


def test_a_header_ends_at_a_blank_line_and_leaves_the_remark_on_the_form_before() -> None:
    text = "; lost\n\n; one\n  ;two\n(a) ; remark\n; three\n(b)\n;; SECTION some topic\n; four\n(c)"
    first, second, third = split(text, "f").forms
    assert first.header == ((Location("f", 3, 1), " one"), (Location("f", 4, 3), "two"))
    assert second.header == ((Location("f", 6, 1), " three"),)
    assert third.header == ((Location("f", 9, 1), " four"),)
    assert [form.section for form in (first, second, third)] == ["", "", "some topic"]
    assert third.location == Location("f", 10, 1)


def test_comments_are_blanked_in_place() -> None:
    (form,) = split('(a ; é (\n "; no comment" b)', "f").forms
    assert form.code == '(a      \n "; no comment" b)'
    assert form.keyword == "a"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("\n (a", "f:2:2", "never closed"),
        ("(a)\n  b", "f:2:3", "`b` stands outside"),
        ("(a))", "f:1:4", "`)` stands outside"),
        ('(a)\n"b"', "f:2:1", "stands outside"),
        ('(a\n "b)', "f:2:2", "never closed"),
        ("(a é)", "f:1:4", "not ASCII"),
        ("\ufeff(a)", "f:1:1", "not ASCII"),
        ("(a \x00)", "f:1:4", "not ASCII"),
        ('(a b"c (" d)', "f:1:5", "put a space"),
        ('(a "b"c)', "f:1:4", "put a space"),
        ('(a "b\\q")', "f:1:4", "printable ASCII"),
        ('(a "b\n")', "f:1:4", "printable ASCII"),
        ("(" * (MAX_DEPTH + 1), f"f:1:{MAX_DEPTH + 1}", "nested more than"),
        ("\n(" + "a " * MAX_FORM_CHARS + ")", "f:2:1", "characters"),
        ("(a)\n" * (MAX_FORMS + 1), f"f:{MAX_FORMS + 1}:1", "form number"),
    ],
)
def test_broken_text_is_refused_where_it_is_broken(text: str, place: str, message: str) -> None:
    with pytest.raises(RulesError) as caught:
        split(text, "f")
    assert str(caught.value).startswith(f"{place}: ")
    assert message in str(caught.value)


def test_a_term_deep_enough_to_crash_the_parser_never_reaches_it() -> None:
    with pytest.raises(RulesError, match="nested more than"):
        split("(rule ((= x " + "(Relu " * 100_000 + "y" + ")" * 100_000 + ")) ())", "f")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:

    with pytest.raises(RulesError, match=r"missing\.egg:1:1: cannot be read: No such file"):
        read(tmp_path / "missing.egg")
    (tmp_path / "latin.egg").write_bytes(b"; \xe9")
    with pytest.raises(RulesError, match=r"latin\.egg:1:1: is not UTF-8 text \(byte 2\)"):
        read(tmp_path / "latin.egg")
    (tmp_path / "large.egg").write_bytes(b" " * (MAX_FILE_BYTES + 1))
    with pytest.raises(RulesError, match="larger than"):
        read(tmp_path / "large.egg")
