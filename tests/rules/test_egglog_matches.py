"""A fault of egglog that rules must not rely on being repaired, nor on being there (docs/decisions/0013)."""

from __future__ import annotations

from eqsat.egglog.commands import EGraph, Location, parse, run

LANGUAGE = """
(datatype* (T (I String) (Absent) (Cat L i64) (Conv T T T A)) (L (Nil) (Cons T L)) (A (ConvA i64 i64 i64 i64)))
(ruleset find)
(Conv (Cat (Cons (I "x") (Cons (I "z") (Nil))) 1) (Cat (Cons (I "u") (Cons (I "v") (Nil))) 1) (Absent) (ConvA 7 8 9 1))
"""
BODY = """
(= q (Cat k 1)) (= n2 (Nil)) (= p (Cat l 1)) (= k2 (Cons v n2)) (= k (Cons u k2)) (= l (Cons x l2)) (= n (Nil))
(= l2 (Cons z n)) (= a (ConvA st pd dl 1)) (= y (Conv p q b a))
"""


def rows(*columns: str) -> int:
    """Return how many matches of the body egglog finds where a rule keeps only some variables."""
    egraph = EGraph()
    sorts = {"v": "T", "z": "T", "u": "T", "x": "T", "y": "T", "k": "L", "l": "L"}
    relation = f"(relation m ({' '.join(sorts[each] for each in columns)}))"
    rule = f"(rule ({BODY}) ((m {' '.join(columns)})) :ruleset find)"
    run(egraph, *parse(egraph, f"{LANGUAGE}{relation}{rule}(run find 1)", Location("m.egg", 1, 1)))
    return len(egraph.freeze().functions["m"].rows)


def test_all_variables_give_the_one_match() -> None:
    assert rows("v", "z", "u", "x", "y", "k", "l") == 1


def test_both_lists_give_the_one_match() -> None:
    assert rows("v", "z", "u", "x") == 1


def test_the_fault_is_there() -> None:
    """With this egglog one variable alone gives a second match, which does not hold; once it does not, tell 0013."""
    assert rows("v") == 2
