from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from eqsat.egglog.commands import Command
from eqsat.errors import RulesError
from eqsat.rules import RuleBook, Signatures
from eqsat.rules.views import view_commands, with_views

COMMUTATIVE = frozenset({"Add", "Mul"})


@pytest.fixture
def viewed(book: Callable[..., RuleBook]) -> Callable[[str], list[str]]:
    def run(form: str) -> list[str]:
        (rule,) = book(form).rules
        return [str(fact) for fact in with_views(rule.body, rule.head, COMMUTATIVE)]

    return run


def rewrite(left: str, right: str, when: Iterable[str] = ()) -> str:
    conditions = f":when ({' '.join(when)})" if when else ""
    return f'(rewrite {left} {right} {conditions} :ruleset opt :name "a")'


@pytest.mark.parametrize(
    ("left", "right", "when", "body"),
    [
        # Both arguments are used nowhere else: the other order is the same match.
        ("(Neg (Add a b))", "(Relu c)", ["(= c (Const 0))"], ["(= root_ (Neg (Add a b)))", "(= c (Const 0))"]),
        # The right side is the same for both orders.
        ("(Mul (Add a b) c)", "(Add (Mul a c) (Mul b c))", [], ["(Mul~ (Add a b) c root_)"]),
        ("(Neg (Add a a))", "(Mul a a)", [], ["(= root_ (Neg (Add a a)))"]),
        # The right side, or a condition, tells the arguments apart.
        ("(Neg (Add a b))", "(Sub a b)", [], ["(= root_ (Neg view0_))", "(Add~ a b view0_)"]),
        (
            "(Add a b)",
            "(Relu c)",
            ["(= c (Const 0))", "(finite b)"],
            ["(= c (Const 0))", "(finite b)", "(Add~ a b root_)"],
        ),
        # An argument is a term of its own.
        ("(Add a (Neg b))", "(Sub a b)", [], ["(Add~ a (Neg b) root_)"]),
        (
            "(Add (Mul a b) (Mul a c))",
            "(Mul a (Add b c))",
            [],
            ["(Mul~ a b view0_)", "(Mul~ a c view1_)", "(Add~ view0_ view1_ root_)"],
        ),
        (
            "(Mul x (Mul y (Neg z)))",
            "(Sub x y)",
            [],
            ["(Mul~ y (Neg z) view0_)", "(Mul~ x view0_ root_)"],
        ),
    ],
)
def test_a_view_stands_where_the_order_matters(
    viewed: Callable[[str], list[str]], left: str, right: str, when: list[str], body: list[str]
) -> None:
    assert viewed(rewrite(left, right, when)) == body


def test_views_stand_on_either_side_of_an_equality_and_alone(viewed: Callable[[str], list[str]]) -> None:
    form = """(rule ((= (Add a (Neg b)) y) (= (Mul a (Neg a)) (Add b (Neg c))) (Mul c (Neg a)))
                    ((union y a)) :ruleset opt :name "a")"""
    assert viewed(form) == [
        "(= view0_ view1_)",
        "(Add~ a (Neg b) y)",
        "(Mul~ a (Neg a) view0_)",
        "(Add~ b (Neg c) view1_)",
        "(Mul~ c (Neg a) view2_)",
    ]


def test_of_two_exchanges_that_share_a_variable_one_stays(viewed: Callable[[str], list[str]]) -> None:
    form = """(rule ((= y (Add a b)) (= y (Add b c)) (= y (Add a c))) ((finite y)) :ruleset facts :name "a")"""
    assert viewed(form) == ["(= y (Add a b))", "(Add~ b c y)", "(Add~ a c y)"]


def test_a_view_has_both_orders(schema: list[Command]) -> None:
    relation, rule = view_commands(frozenset({"Add", "Unheard"}), Signatures.of(schema))
    assert str(relation) == "(relation Add~ (Tensor Tensor Tensor))"
    expected = '(rule ((= y (Add x0 x1))) ((Add~ x0 x1 y) (Add~ x1 x0 y)) :ruleset facts :name "view-Add")'
    assert " ".join(str(rule).split()) == expected


def test_a_view_that_is_declared_already_is_left_alone(schema: list[Command]) -> None:
    signatures = Signatures.of(schema)
    views = view_commands(frozenset({"Add"}), signatures)
    assert view_commands(frozenset({"Add"}), signatures.extended(views)) == ()


def test_an_operator_of_unlike_inputs_cannot_be_commutative(schema: list[Command]) -> None:
    with pytest.raises(RulesError, match="`Reshape` cannot be commutative"):
        view_commands(frozenset({"Reshape"}), Signatures.of(schema))
