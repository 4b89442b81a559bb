"""Whether something wrong is the rule's fault."""

from __future__ import annotations

from functools import cache

import numpy as np

from eqsat.authoring.soundness.second_opinion import concrete, narrowed
from eqsat.rules import RuleBook, load_rules
from eqsat.rules.instances import Apply, Drawn, Precision, draw


@cache
def book() -> RuleBook:
    return load_rules()


def drawn(text: str, precision: Precision = Precision.DOUBLE) -> Drawn:
    return draw(text, np.random.default_rng(0), precision)


def test_symbols_become_what_they_stand_for() -> None:
    one = drawn("x[?A,B,4] | (Reshape x (S2 ?A B*4))")
    two = concrete(one)
    size = one.leaves["x"].array.shape
    assert one.sizes == {"A": size[0]}
    assert not two.sizes
    assert two.leaves["x"].dims == size
    (root,) = two.roots
    assert isinstance(root, Apply)
    assert root.arguments[1] == Apply("S2", (size[0], size[1] * 4))


def test_double_precision_becomes_single() -> None:
    two = narrowed(drawn("x[A,B] i:i64[A] | (Cast x 11)"))
    assert two.leaves["x"].array.dtype == np.float32
    assert two.leaves["i"].array.dtype == np.int64
    (root,) = two.roots
    assert isinstance(root, Apply)
    assert root.arguments[1] == 1
