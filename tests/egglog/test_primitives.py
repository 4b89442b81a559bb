"""Primitives give here what they give in egglog; those that give values are compared in tests/egraph/test_heads.py."""

from __future__ import annotations

import pytest

from eqsat.egglog.commands import EgglogError, EGraph, Location, parse, run
from eqsat.egglog.primitives import NAMES, Attribute, NoValueError, compute, inverted
from eqsat.rules.signatures import PRIMITIVES

PLACE = Location("probe", 1, 1)


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("/", (-7, 2), -3),
        ("%", (-7, 2), -1),
        ("/", (1.0, 4.0), 0.25),
        ("vec-of", (1, 2), (1, 2)),
        ("vec-append", ((1,), (2, 3)), (1, 2, 3)),
        ("vec-get", ((4, 5), 1), 5),
        ("vec-set", ((4, 5), 0, 6), (6, 5)),
        ("vec-remove", ((4, 5), 0), (5,)),
        ("or", (False, True), True),
        ("<", (1, 2), True),
        ("vec-not-contains", ((1, 2), 3), True),
    ],
)
def test_values(name: str, arguments: tuple[Attribute, ...], result: Attribute) -> None:
    assert compute(name, arguments) == result


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("<", (2, 1)), ("/", (1, 0)), ("vec-get", ((4, 5), 2)), ("vec-get", ((4, 5), -1)), ("guard", (False,))],
)
def test_failures(name: str, arguments: tuple[Attribute, ...]) -> None:
    with pytest.raises(NoValueError):
        compute(name, arguments)


def test_every_primitive_of_rules_is_known() -> None:
    assert set(PRIMITIVES) <= NAMES


NUMBERS = (-7, -1, 0, 1, 3, 2**62)
VECTORS: dict[str, Attribute] = {"(vec-empty)": (), "(vec-of 1)": (1,), "(vec-of 4 5 6)": (4, 5, 6)}

CONDITIONS_BY_TERM: dict[str, tuple[str, tuple[Attribute, ...]]] = {
    **{
        f"({name} {one} {two})": (name, (one, two))
        for name in ("<", ">", "<=", ">=", "!=")
        for one in NUMBERS
        for two in NUMBERS
    },
    **{
        f"({name} {text} {number})": (name, (vector, number))
        for name in ("vec-contains", "vec-not-contains")
        for text, vector in VECTORS.items()
        for number in (1, 5)
    },
    **{
        f"(guard ({name} {one} {two}))": (name, (one, two))
        for name in ("bool-<", "bool->", "bool-<=", "bool->=", "bool-=")
        for one in NUMBERS
        for two in NUMBERS
    },
}


def test_conditions_hold_where_they_hold_in_egglog() -> None:
    egraph = EGraph()
    run(egraph, *parse(egraph, "(sort IVec (Vec i64))", PLACE))
    wrong = []
    for term, (name, arguments) in CONDITIONS_BY_TERM.items():
        try:
            run(egraph, *parse(egraph, f"(check {term})", PLACE))
            expected = True
        except EgglogError:
            expected = False
        try:
            found = bool(compute(name, arguments))
        except NoValueError:
            found = False
        if found is not expected:
            wrong.append(term)
    assert not wrong


@pytest.mark.parametrize(
    ("name", "arguments", "result", "found"),
    [
        ("+", (1, None), 5, {1: 4}),
        ("-", (None, 2), 5, {0: 7}),
        ("-", (9, None), 5, {1: 4}),
        ("*", (2, None), 6, {1: 3}),
        ("*", (4, None), 6, {}),
        ("vec-of", (None, 2), (1, 2), {0: 1, 1: 2}),
        ("min", (1, None), 1, {}),
    ],
)
def test_what_a_result_decides(
    name: str, arguments: tuple[Attribute | None, ...], result: Attribute, found: dict[int, Attribute]
) -> None:
    assert inverted(name, arguments, result) == found


def test_a_vector_of_another_length_is_none() -> None:
    with pytest.raises(NoValueError):
        inverted("vec-of", (None, None), (1, 2, 3))
