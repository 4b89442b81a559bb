from __future__ import annotations

from collections.abc import Callable

import pytest

from eqsat.egglog.commands import Command, EGraph
from eqsat.errors import RulesError
from eqsat.rules import Program, Signatures
from eqsat.rules.book import RuleBook
from eqsat.rules.signatures import PRIMITIVES, UNIT, Primitive
from eqsat.rules.sorts import infer_sorts


def opt(body: str, head: str = "(union y x)") -> str:
    return f'(rule ((= y (Relu x))\n  {body}) ({head})\n :ruleset opt :name "a")'


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (opt("(= z (Relu x x))"), "r.egg:4:8: `Relu` takes 1 arguments, not 2: (Relu x)"),
        (opt("(Sigmoid x)"), "r.egg:4:3: `Sigmoid` is no operator, fact or function that is declared"),
        (opt("(= (shape x) (rank x))"), "r.egg:4:16: `(rank x)` is of sort i64 where Dims is expected"),
        (opt("(near x 1)"), "r.egg:4:11: `1` is of sort i64 where f64 is expected"),
        (opt("(= n (rank x)) (near x n)"), "r.egg:4:26: `n` is of sort i64 where f64 is expected"),
        (opt("(< (rank x) 1.0)"), "r.egg:4:15: `1.0` is of sort f64 where i64 is expected"),
        (opt("(< x y)"), "r.egg:4:3: `<` takes numbers, not sort Tensor"),
        (opt("(= 1 (vec-length x))"), "r.egg:4:8: `vec-length` takes vectors, not sort Tensor"),
        (opt("(= (rank x) (- 1 2 3))"), "r.egg:4:15: `-` takes 2 arguments, not 3: (- N N)"),
        (opt("(< n 3)"), "r.egg:4:6: nothing on the left side gives `n` a value"),
        (opt("(= n (+ m 1)) (= m (- n 1))"), "r.egg:4:6: nothing on the left side gives `n` a value"),
        (opt("(= p q)"), "r.egg:4:6: the sort of `p` does not follow from anything"),
        (opt("(= p (vec-of))"), "r.egg:4:6: the sort of `p` does not follow from anything"),
        (opt("(= rank (rank x))"), "r.egg:4:6: the variable `rank` has the name of something declared; rename it"),
        (opt("", "(union y z)"), "r.egg:4:15: `z` is not bound by the left side"),
        (opt("", "(union y (Reshape x x))"), "r.egg:4:26: `x` is of sort Tensor where Dims is expected"),
        (opt("", "(union y (shape x))"), "r.egg:4:15: `(shape x)` is of sort Dims where Tensor is expected"),
        (opt("", "(let x (Neg y)) (union y x)"), "r.egg:4:6: `(let x ...)` hides a variable of the same name"),
        (opt("", "(union y z) (let z x)"), "r.egg:4:15: `z` is not bound by the left side"),
        (opt("", "(let v (vec-of)) (union y x)"), "r.egg:4:6: the sort of `v` does not follow from anything"),
        (
            opt("", "(union y (Mul x 2.0))"),
            "r.egg:4:22: `2.0` is of sort f64 where Tensor is expected; a number as a tensor is (ConstantOfShape ",
        ),
        (
            opt("", "(union y (Mul x 0.5f))"),
            "r.egg:4:22: `0.5f` is not bound by the left side; a number as a tensor is ",
        ),
        (
            opt("", "(union y (Reshape x (vec-of 1 4)))"),
            "r.egg:4:26: `vec-of` makes a vector where Dims is expected; write (S2 ...)",
        ),
        (opt("", "(set (rank x) 1.5)"), "r.egg:4:20: `1.5` is of sort f64 where i64 is expected"),
    ],
)
def test_a_mistake_is_refused_where_it_stands(gated: Callable[..., Program], form: str, message: str) -> None:
    with pytest.raises(RulesError) as caught:
        gated(form)
    assert str(caught.value).startswith(message)


def test_sorts_follow_through_equalities_vectors_and_lets(book: Callable[..., RuleBook], schema: list[Command]) -> None:
    form = """(rule ((= y (Transpose x p)) (= n (vec-get p 0)) (= q (vec-append p p)) (= f (to-f64 n)) (= g f)
      (= w (vec-of n 1)) (= (shape x) (S2 a b)) (= s (shape x)))
     ((let z (Transpose x q)) (let h (* f g)) (union y z)) :ruleset opt :name "a")"""
    (rule,) = book(form).rules
    sorts = infer_sorts(rule.body, rule.head, Signatures.of(schema), rule.location)
    by_sort = {"Tensor": "y x z", "IVec": "p q w", "i64": "n a b", "f64": "f g h", "Dims": "s"}
    assert sorts == {name: sort for sort, names in by_sort.items() for name in names.split()}


VARIABLES = {"i64": "n", "f64": "f", "bool": "t", "IVec": "p", "String": "s", UNIT: "", "N": "n", "T": "n"}


@pytest.mark.parametrize(("name", "primitive"), PRIMITIVES.items(), ids=PRIMITIVES)
@pytest.mark.parametrize("vector", ["IVec", "TVec"])
def test_the_table_of_primitives_agrees_with_egglog(
    gated: Callable[..., Program],
    declared: Callable[[Program], None],
    name: str,
    primitive: Primitive,
    vector: str,
) -> None:
    letters = {"V": "p" if vector == "IVec" else "v", "E": "n" if vector == "IVec" else "x"}
    names = {**VARIABLES, **letters}
    arguments = " ".join(names[sort] for sort in primitive.inputs)
    use = f"({name} {arguments})" if primitive.output == UNIT else f"(= {names[primitive.output]} ({name} {arguments}))"
    form = (
        "(rule ((= y (Relu x)) (near x f) (= n (rank x)) (= t (bool-= n 1)) (= y (Transpose x p)) (pieces x v)"
        f'{use}) ((union y x)) :ruleset opt :name "a")'
    )
    declared(gated("(relation pieces (Tensor TVec))", form))


def test_value_sorts_are_those_that_compute(schema: list[Command]) -> None:
    assert Signatures.of(schema).value_sorts() == {"Tensor", "Multi", "TList", "TVec"}


def test_signatures_read_every_kind_of_declaration() -> None:
    egraph = EGraph()
    text = '(sort V (Vec i64))(datatype D (A i64))(constructor B (D) D)(ruleset s)(rule ((= x (A 1))) () :name "r")'
    found = Signatures.of(egraph.parse_program(text))  # type: ignore[arg-type]
    assert dict(found.elements) == {"V": "i64"}
    assert {name: (signature.inputs, signature.output) for name, signature in found.names.items()} == {
        "A": (("i64",), "D"),
        "B": (("D",), "D"),
    }
    assert found.rulesets == {"s"}
    assert found.rule_names == {"r"}
    assert {"V", "D", "f64"} <= found.sorts
