"""What is said against a rules file before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from eqsat.authoring.soundness.claims import is_judged_alone
from eqsat.authoring.tools.check import prepare
from eqsat.authoring.tools.complaints import Complaint
from eqsat.authoring.tools.static import untried
from eqsat.rules.book import load_rules

HEADER = "; SOURCE algebra\n; FLOATS exact\n"


def complaints(folder: Path, *forms: str, header: str = HEADER) -> list[Complaint]:
    path = folder / "own.egg"
    path.write_text("\n".join(header + form for form in forms) + "\n")
    return list(prepare((path,)).complaints)


def rewrite(left: str, right: str, rest: str = "", name: str = "mine", ruleset: str = "opt") -> str:
    return f'(rewrite {left} {right} {rest} :ruleset {ruleset} :name "{name}")'


@pytest.mark.parametrize(
    ("rest", "lines", "is_warned"),
    [
        (":when ((= (rank x) 2))", "", True),
        (":when ((= (rank x) 2))", "; NEAR-MISS x[A] | (Relu (Neg x))\n", False),
        ("", "", False),
    ],
)
def test_conditions_without_a_near_miss_are_a_warning(tmp_path: Path, rest: str, lines: str, is_warned: bool) -> None:
    path = tmp_path / "own.egg"
    path.write_text(HEADER + lines + rewrite("(Relu (Neg x))", "(Neg (Abs x))", rest) + "\n")
    (rule,) = load_rules([path], include_shipped=False).rules
    found = untried(rule)
    assert (found is not None) == is_warned
    if found is not None:
        assert not found.is_error
        assert "has conditions and no NEAR-MISS line" in str(found)


@pytest.mark.parametrize(
    ("form", "place", "reason"),
    [
        (rewrite("(Relu x)", "(Reluu x)"), "3:19", "`Reluu` is no operator"),
        (rewrite("(Relu x)", "(Reluu x)"), "3:19", "no primitive allowed; did you mean 'Relu'"),
        (rewrite("(Gather x)", "x"), "3:10", "`Gather` takes 3 arguments, not 1: (Gather x y axis)"),
        (rewrite("(Relu x)", "x", ":when ((triangular x 3))"), "3:28", "not 2: (triangular Tensor i64 f64 f64)"),
        (rewrite("(Relu x)", "(Neg x)", ":when (= (rank x) 2)"), "3:34", "brackets of its own: :when ((= (rank x) 2))"),
        (rewrite("(Relu x)", "(Add x q)"), "3:26", "`q` is not bound by the left side"),
        (rewrite("(Relu x)", "(Softmax x x)"), "3:30", "is of sort Tensor where i64 is expected"),
        (rewrite("(Softmax x 1)", "x"), "3:21", "can never match: axes of Softmax count from the back"),
        (rewrite("(Concat l -1)", "(Relu (Out (Split (Concat l -1) (SplitA 0 (vec-of 1))) 0))"), "3:20", "the front"),
        (rewrite("(Relu x)", "x", ":when ((= (rank x) 2) (= (rank x) 3))"), "3:46", "cannot be 2 and 3"),
        (rewrite("(Relu x)", "(Relu x)"), "3:19", "says nothing: both sides are the same"),
        (rewrite("(Add x y)", "(Add y x)"), "3:10", "reorders `Add` without a condition; that explodes"),
        (rewrite("(Add (Add x y) z)", "(Add x (Add y z))"), "3:10", "reorders `Add`"),
        (rewrite("(MatMul a b)", "(Neg (MatMul (Neg a) b))"), "3:28", "makes a larger form of its own left side"),
        (rewrite("(Relu x)", "x", ":when ((= y (Neg z)))"), "3:33", "looks at every row of `Neg` for every match"),
        (rewrite("(Relu x)", "(Neg (Neg x))", ruleset="simp"), "3:24", "is simp and makes a new e-class"),
        (rewrite("(Relu x)", "x", ":when ((< n 3))"), "3:31", "nothing on the left side gives `n` a value"),
        ('(rule ((= y (Relu x))) ((set (dtype y) 7)) :ruleset facts :name "mine")', "3:25", "states `(dtype y)`"),
        ('(rule ((= y (Relu x))) ((constant y)) :ruleset facts :name "mine")', "3:25", "states `(constant y)`"),
        ('(py-exec "import os")', "3:1", "`py-exec` may not stand in a rules file"),
        ('(output "/etc/passwd" x)', "3:1", "`output` may not stand in a rules file"),
        ("(relation identity (Tensor))\n(relation identity (Tensor))", "4:1", "is already declared"),
        ("(rewrite (Relu x) x :ruleset opt)", "3:1", "has no `:name`"),
    ],
)
def test_a_fault_is_a_line(tmp_path: Path, form: str, place: str, reason: str) -> None:
    found = complaints(tmp_path, form)
    line = str(found[0])
    assert line.startswith(f"{tmp_path / 'own.egg'}:{place}: ")
    assert reason in line
    assert found[0].is_error


def test_a_rule_is_named(tmp_path: Path) -> None:
    (found,) = complaints(tmp_path, rewrite("(Relu x)", "(Add x q)", name="relu-wrong"))
    assert str(found).split(": ")[1] == "relu-wrong"


def test_one_mistake_does_not_hide_another(tmp_path: Path) -> None:
    forms = [rewrite("(Relu x)", "(Add x q)", name="one"), "(include)", rewrite("(Reluu x)", "x", name="two")]
    assert [found.rule for found in complaints(tmp_path, *forms)] == ["one", "", "two"]


def test_a_rule_that_asks_for_what_nobody_says_is_dead(tmp_path: Path) -> None:
    forms = ["(relation never (Tensor))", rewrite("(Relu x)", "x", ":when ((never x))", name="dead")]
    (found,) = complaints(tmp_path, *forms)
    assert (found.rule, found.reason) == ("dead", "can never match: nothing can say `never`")
    saying = '(rule ((= y (Neg x))) ((never y)) :ruleset facts :name "says")'
    assert complaints(tmp_path, *forms, saying) == []


def test_facts_that_count_on_are_endless(tmp_path: Path) -> None:
    first = '(rule ((= y (Relu x))) ((steps y 0)) :ruleset facts :name "first")'
    nexts = '(rule ((steps x n){}) ((steps x (+ n 1))) :ruleset facts :name "next")'
    (found,) = complaints(tmp_path, "(relation steps (Tensor i64))", first, nexts.format(""))
    assert found.rule == "next"
    assert "without an end" in found.reason
    assert complaints(tmp_path, "(relation steps (Tensor i64))", first, nexts.format(" (< n 9)")) == []


def test_a_second_rule_of_a_name_is_refused_even_where_the_first_ships(tmp_path: Path) -> None:
    (found,) = complaints(tmp_path, rewrite("(Relu (Relu x))", "(Relu x)", name="gelu-erf"))
    assert "is already declared at" in found.reason


def test_a_header_without_a_source_is_refused(tmp_path: Path) -> None:
    (found,) = complaints(tmp_path, rewrite("(Relu x)", "x"), header="; FLOATS exact\n")
    assert "has no `; SOURCE` comment" in found.reason


def test_unequal_classes_are_a_warning_once_a_rule(tmp_path: Path) -> None:
    form = '(rule ((= y (Add a (Mul b c))) (!= a b) (!= b c)) ((union y (Relu a))) :ruleset opt :name "a")'
    (found,) = complaints(tmp_path, form)
    assert not found.is_error
    assert ": a: warning: tests `(!= a b)`" in str(found)


def test_files_that_cannot_be_read_are_complaints(tmp_path: Path) -> None:
    (found,) = prepare((tmp_path / "missing.egg",)).complaints
    assert "cannot be read" in found.reason


def test_the_rules_that_ship_have_no_faults() -> None:
    checked = prepare(())
    assert [str(found) for found in checked.complaints if found.is_error] == []
    assert set(checked.names) == {rule.name for rule in checked.book.rules if is_judged_alone(rule)}


def test_facts_that_mislead_rules_of_other_files_are_judged(tmp_path: Path) -> None:
    path = tmp_path / "own.egg"
    path.write_text(
        "(relation own-fact (Tensor))\n"
        '(rule ((= y (Relu x))) ((own-fact y)) :ruleset facts :name "own")\n'
        '(rule ((= y (Relu x))) ((finite y)) :ruleset facts :name "own-finite")\n'
        '(rule ((= y (Mul x x))) ((squared y x)) :ruleset facts :name "own-squared")\n'
    )
    assert prepare((path,)).names == ("own-finite", "own-squared")
