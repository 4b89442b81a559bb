"""Laws: the ones that hold are found, with what they require, and nothing else is."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from eqsat.authoring.inference.choices import IsIdentity
from eqsat.authoring.inference.conditions import IsFloating, KeepsShape, RankIs
from eqsat.authoring.inference.law import Law, equation, opened
from eqsat.authoring.inference.learning import Learner, sight_of
from eqsat.authoring.inference.naming import formula, names_of
from eqsat.authoring.inference.terms import Apply, Composed, Leaf, Literal, Typing, attributes
from eqsat.authoring.inference.worth import is_case_of, is_worth_it
from tests.authoring.inference.conftest import discover

Laws = Callable[[str, int], list[Law]]


def formulas(laws: list[Law]) -> set[str]:
    return {f"{formula(law.left, names_of(law, {}))} = {formula(law.right, names_of(law, {}))}" for law in laws}


def relu(term: Apply | Leaf) -> Apply:
    return Apply("Relu", (), (term,))


def test_the_laws_of_relu_and_transpose(laws: Laws) -> None:
    found = laws("Transpose Relu", 2)
    assert formulas(found) >= {
        "transpose(x) = x",
        "relu(relu(x)) = relu(x)",
        "transpose(transpose(x)) = transpose(x)",
        "relu(transpose(x)) = transpose(relu(x))",
    }
    by_formula = {formula(law.left, names_of(law, {})): law for law in found}
    assert by_formula["transpose(x)"].conditions == (IsIdentity(0),)
    assert attributes(by_formula["transpose(transpose(x))"].right) == (Composed(1, 0),)
    assert by_formula["relu(transpose(x))"].conditions == ()


def test_numbers_are_neutral_where_the_shape_stays(laws: Laws) -> None:
    by_formula = {formula(law.left, names_of(law, {})): law for law in laws("Add Mul", 1)}
    one = by_formula["x * c"]
    assert one.right == Leaf(0)
    assert one.numbers == (None, 1)
    assert one.conditions == (KeepsShape(0),)
    assert one.near_misses


def test_what_holds_only_for_integers_that_do_not_wrap_around_asks_for_floating_point(laws: Laws) -> None:
    found = laws("Mul Relu", 2)
    square = next(law for law in found if formula(law.left, names_of(law, {})) == "relu(x * x)")
    assert square.right == square.left.operands[0]
    assert square.conditions == (IsFloating(0),)
    assert next(law for law in found if law.left == relu(relu(Leaf(0)))).conditions == ()


def test_equal_seeds_give_equal_laws(laws: Laws) -> None:
    assert discover("Transpose Relu", 2).run() == laws("Transpose Relu", 2)


def test_what_was_left_out_is_said() -> None:
    calls = iter(range(100))
    found = discover("Transpose Relu", 3, lambda: next(calls) > 3)
    found.run()
    assert any("no time left" in cut for cut in found.cuts)
    other = discover("Relu", 2)
    other.run()
    assert other.cuts == ["numbers, 2 operators: not enumerated"]


def test_an_equation_of_one_instance_is_no_law() -> None:
    learner = Learner(random.Random(0), declared={"extent"})
    said = equation(Apply("Transpose", (Literal((1, 0)),), (relu(Leaf(0)),)), relu(Leaf(0)), [(1, 1)], [None])
    law = learner.learn(said)
    sight = sight_of(opened(said.left), Typing(((2, 3),), ((1, 0),)))
    assert law is None or not all(each.holds(sight) for each in law.conditions)
    wrong = equation(relu(Leaf(0)), Leaf(0), [(2, 2)], [None])
    assert learner.learn(wrong) is None


def test_a_case_of_a_law_is_none_of_its_own(laws: Laws) -> None:
    (swap,) = (law for law in laws("Add", 1) if law.left.operator == "Add" and law.numbers == (None, None))
    case = replace(
        swap,
        left=Apply("Add", (), (Leaf(0), Leaf(0))),
        right=Apply("Add", (), (Leaf(0), Leaf(0))),
        numbers=(None,),
    )
    assert is_case_of(case, swap)
    assert not is_case_of(swap, case)


@pytest.mark.parametrize(("share", "is_worth"), [(0.9, True), (0.01, False)])
def test_a_large_law_that_hardly_ever_applies_is_a_curiosity(laws: Laws, share: float, is_worth: bool) -> None:
    law = next(law for law in laws("Transpose Relu", 2) if law.left == relu(relu(Leaf(0))))
    large = replace(law, left=relu(law.left), share=share)
    assert is_worth_it(large) is is_worth


def test_a_product_of_vectors_is_no_law_of_matrices(laws: Laws) -> None:
    law = next(law for law in laws("Transpose Relu", 2) if law.left == relu(relu(Leaf(0))))
    product = Apply("MatMul", (), (Leaf(0), Leaf(1)))
    vectors = replace(law, left=product, right=product, conditions=(RankIs(0, 1),))
    assert not is_worth_it(vectors)
