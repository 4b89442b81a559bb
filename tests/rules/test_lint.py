from __future__ import annotations

from collections.abc import Callable

import pytest

from eqsat.egglog.commands import Command
from eqsat.errors import RulesError
from eqsat.rules import Finding, Program, RuleBook, Severity, Signatures, lint


@pytest.fixture
def found(book: Callable[..., RuleBook], schema: list[Command]) -> Callable[[str], tuple[Finding, ...]]:
    def run(form: str) -> tuple[Finding, ...]:
        return lint(book(form).rules, Signatures.of(schema), frozenset({"Add", "Mul"}))

    return run


def rule(body: str, head: str = "(finite y)", ruleset: str = "facts") -> str:
    return f'(rule ({body}) ({head}) :ruleset {ruleset} :name "a")'


@pytest.mark.parametrize(
    ("body", "place", "table"),
    [
        ("(= y (Reshape x d)) (= v (vec-of x)) (= (shape (vec-get v 0)) e)", "r.egg:3:48", "shape"),
        ("(= y (Relu x)) (= z (Neg w))", "r.egg:3:28", "Neg"),
        ("(= y (Relu x)) (= z (Neg w)) (= (rank x) (+ 1 (rank w)))", "r.egg:3:28", "Neg"),
        ("(= y (Relu x)) (finite z) (= (rank x) 2) (= (rank z) 2)", "r.egg:3:23", "finite"),
    ],
)
def test_a_table_joined_through_a_primitive_is_refused(
    found: Callable[[str], tuple[Finding, ...]], gated: Callable[..., Program], body: str, place: str, table: str
) -> None:
    (finding,) = found(rule(body))
    assert finding.severity is Severity.ERROR
    assert str(finding).startswith(f"{place}: `a` looks at every row of `{table}` for every match")
    with pytest.raises(RulesError, match="looks at every row"):
        gated(rule(body))


@pytest.mark.parametrize(
    "body",
    [
        "(= y (Relu x)) (= z (Neg x))",
        "(= y (MatMul x (Const k))) (= z (MatMul x (Const l))) (< k l)",
        "(= y (Relu x)) (= n (rank x)) (= z (Concat l n))",
        "(= y (Relu x)) (= z (Relu w)) (= x w)",
        "(= y (Bias x (Absent))) (= c (Const 3)) (near c 1.0)",
        "(= y (Relu x)) (= (rank x) (+ 1 2))",
    ],
)
def test_tables_that_share_a_variable_are_fine(found: Callable[[str], tuple[Finding, ...]], body: str) -> None:
    assert found(rule(body)) == ()


def simp(left: str, right: str) -> str:
    return f'(rewrite {left} {right} :ruleset simp :name "a")'


@pytest.mark.parametrize(
    "form",
    [
        simp("(Reshape (Reshape x s) t)", "(Reshape x t)"),
        simp("(Transpose (Transpose x p) q)", "(Transpose x (vec-of (vec-get p (vec-get q 0)) (vec-get p 1)))"),
        simp("(Neg (Neg x))", "x"),
        simp("(Transpose x (vec-of 0 1))", "x"),
        simp("(Add x x)", "(Bias x (Absent))"),
        simp("(Transpose (Neg x) (vec-of 1 n))", "(Reshape x (S1 (+ n 1)))"),
        rule("(= y (Relu x)) (= z (Relu x))", "(union y z) (finite y)", "simp"),
    ],
)
def test_simp_may_add_an_enode_to_a_class(found: Callable[[str], tuple[Finding, ...]], form: str) -> None:
    assert found(form) == ()


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (
            simp("(Relu x)", "(Neg (Neg x))"),
            "r.egg:3:24: `a` is simp and makes a new e-class, `(Neg x)`; make",
        ),
        (simp("(Relu (Neg x))", "(Concat (Cons x (Nil)) 0)"), "r.egg:3:33: `a` is simp and makes a new e-class"),
        (simp("(Transpose x p)", "(Transpose x (vec-push p 1))"), "r.egg:3:1: `a` is simp and rewrites `Transpose` to"),
        (rule("(= y (Relu x))", "(let z (Neg y)) (union y x)", "simp"), "r.egg:3:32: `a` is simp and makes a new e-c"),
        (rule("(= y (Relu x))", "(Neg y)", "simp"), "r.egg:3:25: `a` is simp and makes a new e-class"),
        (rule("(= y (Relu x))", "(union (Neg x) (Erf y))", "simp"), "r.egg:3:25: `a` is simp and unites two terms"),
    ],
)
def test_simp_may_make_no_class(found: Callable[[str], tuple[Finding, ...]], form: str, message: str) -> None:
    findings = found(form)
    assert [finding.severity for finding in findings] == [Severity.ERROR]
    assert str(findings[0]).startswith(message)


def test_opt_may_make_classes(found: Callable[[str], tuple[Finding, ...]]) -> None:
    assert found(simp("(Relu x)", "(Neg (Neg x))").replace("simp", "opt")) == ()


def test_unequal_classes_are_a_warning_and_unequal_numbers_are_not(gated: Callable[..., Program]) -> None:
    body = "(= y (Add a b)) (!= a b) (!= (rank a) 2)"
    (warning,) = gated(rule(body, "(union y (Mul a b))", "opt")).warnings
    assert str(warning).startswith("r.egg:3:24: `a` tests `(!= a b)`: e-classes may be united later")


def test_reassociation_is_a_warning_where_the_operator_commutes(found: Callable[[str], tuple[Finding, ...]]) -> None:
    form = '(rewrite (Add (Add x y) z) (Add x (Add y z)) :ruleset opt :name "a")'
    (finding,) = found(form)
    assert finding.severity is Severity.WARNING
    assert "reorders `Add` without a condition" in finding.message
    assert found(form.replace("Add", "MatMul")) == ()
    assert found(form.replace(" :ruleset", " :when ((finite z)) :ruleset")) == ()
