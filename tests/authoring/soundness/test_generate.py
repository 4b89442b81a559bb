"""Instances that nobody wrote: they fit the rule, and they are of many kinds."""

from __future__ import annotations

import numpy as np
import pytest

from eqsat.authoring.soundness.generate import ConflictError, Generator
from eqsat.authoring.soundness.pattern import Patterns
from eqsat.authoring.soundness.values import Style
from eqsat.rules import Rule, read_rules
from eqsat.rules.instances import Apply, Drawn
from eqsat.rules.parts import together
from tests.authoring.soundness.books import shipped


def own(text: str) -> Rule:
    return read_rules([(f"; SOURCE a test\n; FLOATS exact\n{text}", "own.egg")]).rules[0]


def draws(rule: Rule, count: int, *, style: Style = Style.NORMAL, dtype: int = 1) -> list[Drawn]:
    generator = Generator(shipped(), rule)
    found: list[Drawn] = []
    rng = np.random.default_rng(0)
    for _ in range(40 * count):
        try:
            found.append(generator.draw(rng, style=style, dtype=dtype))
        except ConflictError:
            continue
        if len(found) == count:
            break
    return found


def shapes(drawn: list[Drawn]) -> list[tuple[int, ...]]:
    return [leaf.array.shape for each in drawn for leaf in each.leaves.values()]


def test_ranks_sizes_and_kinds_vary() -> None:
    found = draws(own('(rewrite (Add x y) (Add y x) :ruleset opt :name "own")'), 300)
    ranks = {len(shape) for shape in shapes(found)}
    assert ranks == {0, 1, 2, 3, 4, 5, 6} - ({6} - ranks)
    assert {0, 1, 2, 3} <= {size for shape in shapes(found) for size in shape}
    assert any(isinstance(dim, str) for each in found for leaf in each.leaves.values() for dim in leaf.dims)
    assert {leaf.is_constant for each in found for leaf in each.leaves.values()} == {True, False}
    pairs = [tuple(leaf.array.shape for leaf in each.leaves.values()) for each in found]
    assert any(len(pair) == 2 and len(pair[0]) != len(pair[1]) for pair in pairs), "no broadcasting"


def test_every_instance_is_a_graph() -> None:
    for name in ("gemm-add", "conv-batch-norm-image", "slice-of-concat", "layer-norm", "rms-norm-standard"):
        for each in draws(shipped().rule(name), 12):
            assert each.opset >= (23 if name == "rms-norm-standard" else 18)
            assert together([each], np.random.default_rng(0)).parts


def test_conditions_decide_shapes() -> None:
    text = "(rule ((= y (MatMul a b)) (= (shape a) (S2 m k)) (= (shape b) (S2 k m))) ((union y a))"
    for each in draws(own(text + ' :ruleset opt :name "own")'), 40):
        (one, two) = (leaf.array.shape for leaf in each.leaves.values()) if len(each.leaves) == 2 else ((1, 1), (1, 1))
        assert one == two[::-1]


def test_conditions_decide_numbers() -> None:
    text = '(rewrite (Mul x c) x :when ((= (scalar c) 3.0) (constant x)) :ruleset opt :name "own")'
    for each in draws(own(text), 30):
        numbers = [leaf.array.reshape(-1)[0] for leaf in each.leaves.values() if leaf.array.size == 1]
        assert 3.0 in numbers or "3.0" in repr(each.lets), "neither a constant nor made of one"
        assert all(leaf.is_constant for leaf in each.leaves.values())


def test_relations_are_unfolded_in_several_ways() -> None:
    found = draws(shipped().rule("rms-norm"), 40)
    made = {frozenset(term.name for term in each.lets.values() if isinstance(term, Apply)) for each in found}
    assert len(made) > 3
    assert any("Reciprocal" in names for names in made)
    assert any("Pow" in names for names in made)


def test_a_rule_of_facts_can_be_wanted() -> None:
    patterns = Patterns(shipped(), shipped().rule("rms-norm"))
    assert patterns.depends_on("normalised-reciprocal")
    assert not patterns.depends_on("piece-next")


@pytest.mark.parametrize(
    ("style", "has"),
    [
        (Style.SPECIAL, lambda array: bool(np.isnan(array).any() and np.isinf(array).any())),
        (Style.UNDEFINED, lambda array: bool(np.isnan(array).any())),
        (Style.EXTREME, lambda array: bool((np.abs(array) == np.finfo(array.dtype).max).any())),
        (Style.WHOLE, lambda array: bool(np.signbit(array[array == 0]).any())),
        (Style.MASKED, lambda array: bool((array == -np.inf).all(axis=-1).any())),
        (Style.LARGE, lambda array: bool(np.abs(array).max(initial=0) > 50)),
    ],
)
def test_styles(style: Style, has: object) -> None:
    assert callable(has)
    found = draws(own('(rewrite (Relu x) x :ruleset opt :name "own")'), 60, style=style)
    assert any(has(leaf.array) for each in found for leaf in each.leaves.values() if leaf.array.ndim)


def test_integers_reach_the_ends_of_their_range() -> None:
    found = draws(own('(rewrite (Neg x) x :ruleset opt :name "own")'), 60, style=Style.LARGE, dtype=6)
    arrays = [leaf.array for each in found for leaf in each.leaves.values() if leaf.array.dtype == np.int32]
    assert any((array == np.iinfo(np.int32).max).any() for array in arrays)
