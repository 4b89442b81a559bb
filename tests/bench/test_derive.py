"""Substitutions of TASO: read, sized, evaluated, derived. The excerpt holds 0, 22, 64, 70 and 99 of its file."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bench.derive import Budget, Verdict, derive, judge, load_graph, main
from bench.lookup import missing
from bench.sides import error, models
from bench.sizes import draw_sizes
from bench.substitutions import Application, NotExpressibleError, Operation, Port, Substitution, parse
from eqsat.egraph.session import Session
from eqsat.rules import RuleBook, load_rules, read_rules

EXCERPT = Path(__file__).with_name("taso_excerpt.json")
ASSOCIATIVE, DISTRIBUTIVE, FUSED_RELU, JOINED_RELUS, GROUPED = range(5)

JOIN = """
; SOURCE    elementwise operators are pieces of one operator
; FLOATS    exact
(rule ((= y (Relu u)) (= z (Relu v)) (!= y z) (= (shape u) (S2 c a)) (= (shape v) (S2 c b)))
      ((let p (Split (Relu (Concat (Cons u (Cons v (Nil))) 1)) (SplitA 1 (vec-of a b))))
       (union y (Out p 0)) (union z (Out p 1))) :ruleset opt :name "relu-join")
"""


@cache
def excerpt() -> tuple[Substitution, ...]:
    return parse(EXCERPT.read_text(encoding="utf-8"))


@cache
def shipped() -> RuleBook:
    return load_rules()


def test_the_file_is_read() -> None:
    assert len(excerpt()) == 5
    joined = excerpt()[JOINED_RELUS]
    assert joined.source == (
        Application(operation=Operation.RELU, inputs=(Port(-1),)),
        Application(operation=Operation.RELU, inputs=(Port(-2),)),
    )
    assert joined.target[-1] == Application(operation=Operation.SPLIT, inputs=(Port(1),), axis=1, num_outputs=2)
    assert joined.outputs == ((Port(0, 0), Port(2, 0)), (Port(1, 0), Port(2, 1)))
    assert [each.has_relu for each in excerpt()[FUSED_RELU].target] == [True]


@pytest.mark.parametrize(
    ("field", "value", "reason"), [("stride_h", 2, "strides"), ("kernel_w", 4, "even"), ("acti", "TANH", "TANH")]
)
def test_what_has_no_counterpart_is_not_expressible(field: str, value: object, reason: str) -> None:
    items = json.loads(EXCERPT.read_text(encoding="utf-8"))
    items[FUSED_RELU]["source"][0]["params"][field] = value
    strange = parse(json.dumps(items))[FUSED_RELU]
    with pytest.raises(NotExpressibleError, match=reason):
        judge(strange)
    assert derive(strange, shipped(), Budget()).verdict is Verdict.NOT_EXPRESSIBLE


def test_sizes_fit_and_differ_where_they_may() -> None:
    sizes = next(draw_sizes(excerpt()[ASSOCIATIVE], random.Random(0)))
    (m, k), (k_again, n), (n_again, p) = (sizes.free[Port(number)] for number in (-1, -4, -5))
    assert (k, n) == (k_again, n_again)
    assert len({m, k, n, p}) == 4
    assert sizes.source[Port(1)] == sizes.target[Port(1)] == (m, p)


def test_the_groups_of_a_convolution_follow_from_the_sizes() -> None:
    for sizes in draw_sizes(excerpt()[GROUPED], random.Random(0)):
        image, weight = sizes.target[Port(0)], sizes.target[Port(1)]
        assert image[1] == 2 * weight[1]
        assert weight[0] % 2 == 0


def test_sizes_that_contradict_each_other_are_refused() -> None:
    product = Application(operation=Operation.MATMUL, inputs=(Port(-1), Port(-2)))
    doubled = Application(operation=Operation.CONCAT, inputs=(Port(0), Port(0)), axis=1, rank=2)
    impossible = Substitution(number=0, source=(product,), target=(product, doubled), outputs=((Port(0), Port(1)),))
    with pytest.raises(NotExpressibleError):
        list(draw_sizes(impossible, random.Random(0)))


def test_a_substitution_that_holds_at_some_sizes_only_is_told() -> None:
    judgement = judge(excerpt()[GROUPED])
    assert judgement.sound is not None
    assert judgement.unsound is not None
    rng = np.random.default_rng(0)
    assert error(excerpt()[GROUPED], judgement.sound, rng) < 1e-12
    assert error(excerpt()[GROUPED], judgement.unsound, rng) > 1e-3
    first, second = (judgement.unsound.free[Port(number)][0] for number in (-10, -11))
    assert first != second, "it holds for two weights of as many channels"


@pytest.mark.parametrize(("number", "num_rounds"), [(ASSOCIATIVE, 1), (DISTRIBUTIVE, 1), (FUSED_RELU, 0)])
def test_the_rules_derive(number: int, num_rounds: int) -> None:
    result = derive(excerpt()[number], shipped(), Budget(seconds=60.0))
    assert result.verdict is Verdict.DERIVED, result.note
    assert result.num_rounds == num_rounds


def test_without_the_rule_it_is_not_derived() -> None:
    rules = shipped().select(skip=["matmul-associate-right"])
    result = derive(excerpt()[ASSOCIATIVE], rules, Budget(seconds=60.0))
    assert result.verdict is Verdict.NOT_DERIVED
    assert "MatMul t0.0" in result.note


def test_several_outputs_have_to_be_in_their_places() -> None:
    rules = read_rules([(JOIN, "join.egg")])
    joined = excerpt()[JOINED_RELUS]
    assert derive(joined, rules, Budget(seconds=60.0, max_rounds=1)).verdict is Verdict.DERIVED
    (first, piece), (second, other) = joined.outputs
    exchanged = replace(joined, outputs=((first, other), (second, piece)))
    assert derive(exchanged, rules, Budget(seconds=60.0, max_rounds=1)).verdict is Verdict.UNSOUND


def test_a_graph_is_found_only_where_its_outputs_stand_for_those_of_the_model() -> None:
    joined = excerpt()[JOINED_RELUS]
    sizes = next(draw_sizes(joined, random.Random(0)))
    source, target = (load_graph(model) for model in models(joined, sizes))
    session = Session(source, read_rules([(JOIN, "join.egg")]))
    assert missing(session, target).startswith("Concat")
    session.apply(session.candidates())
    assert not missing(session, target)
    exchanged = replace(target, outputs=target.outputs[::-1])
    assert "not known to be equal" in missing(session, exchanged)


def test_a_wrong_substitution_is_unsound() -> None:
    associative = excerpt()[ASSOCIATIVE]
    swapped = replace(associative.target[0], inputs=associative.target[0].inputs[::-1])
    wrong = replace(associative, target=(swapped, associative.target[1]))
    assert derive(wrong, shipped(), Budget()).verdict is Verdict.UNSOUND


def test_the_command_prints_a_line_each_and_the_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = tmp_path / "score.json"
    assert main(["--data", str(EXCERPT), "--only", "0", "2", "--json", str(document)]) == 0
    first, second, last = capsys.readouterr().out.splitlines()
    assert first.split()[:2] == ["0", "derived"]
    assert second.split()[:2] == ["2", "derived"]
    assert last.startswith("2 of 2 derived")
    assert [each["verdict"] for each in json.loads(document.read_text())["results"]] == ["derived", "derived"]


def test_without_the_file_the_command_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path / "none.json")]) == 2
    assert "skipped" in capsys.readouterr().err
