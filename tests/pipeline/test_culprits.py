"""Halving finds who is at fault, one or several, and stops when it has to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eqsat.pipeline.culprits import culprits

NAMES = tuple("abcdefghijklmnop")


@given(guilty=st.frozensets(st.sampled_from(NAMES), min_size=1, max_size=4))
def test_exactly_the_guilty_are_found(guilty: frozenset[str]) -> None:
    assert culprits(NAMES, lambda left_out: guilty <= left_out) == guilty


@given(one=st.sampled_from(NAMES), two=st.sampled_from(NAMES))
def test_where_either_would_do_the_result_is_sound(one: str, two: str) -> None:
    assert culprits(NAMES, lambda left_out: not left_out.isdisjoint({one, two})) <= {one, two}


@pytest.mark.parametrize("guilty", NAMES)
def test_one_takes_few_questions(guilty: str) -> None:
    asked: list[frozenset[str]] = []

    def is_sound(left_out: frozenset[str]) -> bool:
        asked.append(left_out)
        return guilty in left_out

    assert culprits(NAMES, is_sound) == {guilty}
    assert len(asked) <= 8


def test_when_time_is_up_the_rest_stays_suspect() -> None:
    asked: list[frozenset[str]] = []

    def is_sound(left_out: frozenset[str]) -> bool:
        asked.append(left_out)
        return "a" in left_out

    assert culprits("abcd", is_sound, lambda: len(asked) >= 1) == {"a", "b"}


def test_no_suspects_no_culprits() -> None:
    assert culprits((), lambda _: False) == frozenset()
