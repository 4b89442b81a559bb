"""What conditions of rules give while an instance is drawn."""

from __future__ import annotations

import pytest

from eqsat.authoring.soundness.primitives import Attribute, NoValueError, compute, inverted
from eqsat.rules.signatures import PRIMITIVES


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
    for name in PRIMITIVES:
        try:
            compute(name, (1, 1))
        except (NoValueError, TypeError):
            continue


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
