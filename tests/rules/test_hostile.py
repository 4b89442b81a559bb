"""A rules file is code to egglog: nothing but declarations may come through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqsat.egglog.commands import Command, EGraph, Location, parse, run
from eqsat.errors import RulesError
from eqsat.rules import Program, RuleBook, declare, gate, read_rules


@pytest.mark.parametrize(
    "form",
    [
        '(py-exec "print(1)")',
        '(input r "/etc/passwd")',
        '(output "stolen" r)',
        '(include "/etc/passwd")',
        '(include "no such file")',
        "(print-function r 3)",
        "(print-size r)",
        "(print-stats)",
        "(push)",
        "(pop)",
        "(run 1000000)",
        "(run-schedule (saturate (run opt)))",
        "(extract x)",
        "(check (r x))",
        "(fail (check (r x)))",
        "(prove (r x))",
        "(let x 1)",
        "(union x y)",
        "(set (f x) 1)",
        "(delete (f x))",
        "(datatype T (A))",
        "(datatype* (T (A)))",
        "(sort S)",
        "(constructor A () T)",
        "(unstable-combined-ruleset opt a b)",
        "(simplify 1 x)",
        "(r 1)",
        "()",
        "((rule))",
    ],
)
def test_only_declarations_come_through(form: str) -> None:
    with pytest.raises(RulesError) as caught:
        read_rules([(f"; a comment\n  {form}", "bad.egg")])
    keyword = form.strip("(").split()[0].rstrip(")")
    assert str(caught.value).startswith("bad.egg:2:3: ")
    assert keyword in str(caught.value)
    assert "may not stand in a rules file" in str(caught.value)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("(ruleset mine)", "r.egg:3:1: ruleset `mine`; the rulesets are: facts, simp, opt"),
        ("(function f (Tensor) i64 :merge (py-exec old new))", "r.egg:3:1: `:merge` of `f` must be old, new,"),
        ("(function f (Tensor) i64 :merge (min old 3))", "r.egg:3:1: `:merge` of `f` must be"),
        ("(function f (Tensor) i64 :merge 3)", "r.egg:3:1: `:merge` of `f` must be"),
        ('(rewrite (Relu x) x :ruleset opt :name "a" :subsume)', "r.egg:3:1: `:subsume` takes a fact back"),
        (
            '(rule ((= y (Relu x)))\n  ((delete (Relu x))) :ruleset opt :name "a")',
            "r.egg:4:4: `delete` and `subsume` take a fact back",
        ),
        ('(rule ((= y (Relu x)))\n  ((subsume (Relu x))) :ruleset facts :name "a")', "r.egg:4:4: `delete` and"),
        ('(rule ((= y (Relu x))) ((panic "now")) :ruleset facts :name "a")', "r.egg:3:25: `panic` would end the run"),
        ("(rule ((= y (Relu x))))", "r.egg:3:1: usage: (rule"),
        ("(rule ((= y @x)) ())", "r.egg:3:13: symbols starting with '@' are reserved"),
    ],
)
def test_the_harmful_parts_of_declarations_do_not(book: Callable[[str], RuleBook], form: str, message: str) -> None:
    with pytest.raises(RulesError) as caught:
        book(form)
    assert str(caught.value).startswith(message)


def test_the_rulesets_may_be_declared_for_the_sake_of_other_tools(book: Callable[..., RuleBook]) -> None:
    assert book("(ruleset facts)", "(ruleset simp)", "(ruleset opt)").rules == ()


@pytest.mark.parametrize(
    "term",
    [
        '(py-exec "open(\'owned\', \'w\')" "" "")',
        '(py-eval "1")',
        "(unstable-fn x)",
        "(log2 0)",
        "(vec-range n)",
        "(map-empty)",
    ],
)
@pytest.mark.parametrize("where", ["body", "head"])
def test_no_primitive_is_called_but_those_allowed(
    gated: Callable[..., Program], term: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    body, head = (f"(= p {term})", "") if where == "body" else ("", f"(let p {term})")
    form = f'(rule ((= y (Relu x)) (= n (rank x))\n{body})\n({head} (union y x)) :ruleset opt :name "a")'
    name = term.strip("(").split()[0].rstrip(")")
    with pytest.raises(RulesError) as caught:
        gated(form)
    place = "r.egg:4:6" if where == "body" else "r.egg:5:9"
    assert str(caught.value).startswith(f"{place}: `{name}` is no operator, fact or function that is declared")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("forms", "message"),
    [
        (["(relation finite (Tensor))"], "r.egg:3:1: `finite` is declared by the schema already"),
        (["(relation py-exec (Tensor))"], "r.egg:3:1: Primitive py-exec already declared."),
        (["(relation r (Nope))"], "r.egg:3:1: `Nope` is no sort"),
        (["(function f (Tensor) Nope :no-merge)"], "r.egg:3:1: `Nope` is no sort"),
    ],
)
def test_declarations_may_not_hide_anything(
    gated: Callable[..., Program], declared: Callable[[Program], None], forms: list[str], message: str
) -> None:
    with pytest.raises(RulesError) as caught:
        declared(gated(*forms))
    assert str(caught.value).startswith(message)


def test_a_rule_may_not_take_the_name_of_a_rule_of_the_schema(
    book: Callable[..., RuleBook], gated: Callable[..., Program], schema: list[Command]
) -> None:
    rule = '(rule ((= y (Relu x))) ((finite y)) :ruleset facts :name "a")'
    taken = [*schema, *gated(rule).commands]
    with pytest.raises(RulesError, match=r"^r\.egg:3:1: `a` is the name of a rule of the schema$"):
        gate(book(rule), taken)


WORDS = [
    "(",
    ")",
    "(",
    ")",
    "rule",
    "rewrite",
    "=",
    "union",
    "Relu",
    "Add",
    "Reshape",
    "S2",
    "shape",
    "rank",
    "near",
    "x",
    "y",
    "n",
    "p",
    "1",
    "0.5",
    "+",
    "vec-of",
    "vec-get",
    "<",
    "let",
    "set",
]
SMALL_SCHEMA = """
(datatype* (Tensor (Relu Tensor) (Add Tensor Tensor) (Reshape Tensor Dims)) (Dims (S2 i64 i64)) (sort IVec (Vec i64)))
(function shape (Tensor) Dims :no-merge) (function rank (Tensor) i64 :no-merge) (relation near (Tensor f64))
"""


@st.composite
def forms(draw: st.DrawFn) -> str:
    words = draw(st.lists(st.sampled_from(WORDS), max_size=12))
    term = st.recursive(
        st.sampled_from(["x", "y", "n", "1", "0.5", "root", "(shape x)", "(rank y)"]),
        lambda inner: st.builds(
            lambda name, parts: f"({name} {' '.join(parts)})",
            st.sampled_from(["Relu", "Add", "Reshape", "S2", "+", "vec-of", "vec-get", "=", "<", "near"]),
            st.lists(inner, min_size=1, max_size=2),
        ),
        max_leaves=5,
    )
    body, head = draw(st.lists(term, max_size=3)), draw(st.lists(term, max_size=2))
    options = draw(st.sampled_from([":ruleset facts", ":ruleset opt", ":ruleset simp", ""]))
    return draw(
        st.sampled_from(
            [
                " ".join(words),
                f'(rule ((= y (Relu x)) {" ".join(body)}) ({" ".join(head)}) {options} :name "a")',
                f'(rewrite {" ".join(body)} {" ".join(head)} {options} :name "a")',
            ]
        )
    )


@settings(max_examples=150, deadline=None)
@given(forms())
def test_whatever_the_text_it_is_used_or_refused(form: str) -> None:
    egraph = EGraph()
    schema = parse(egraph, SMALL_SCHEMA, Location("schema", 1, 1))
    run(egraph, *schema)
    message = refusal(form, egraph, schema)
    assert not message or message.startswith("r:")


def refusal(form: str, egraph: EGraph, schema: list[Command]) -> str:
    try:
        book = read_rules([("; SOURCE s\n; FLOATS exact\n" + form, "r")])
        declare(egraph, gate(book, schema, commutative={"Add"}))
    except RulesError as error:
        return str(error)
    return ""
