"""What rules do on a model, counted and measured."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from onnx import helper

from eqsat.authoring.tools import models, stats
from eqsat.authoring.tools.bench import Measured, told
from eqsat.authoring.tools.models import Setting
from eqsat.egraph.session import Session
from eqsat.errors import UsageError, VerificationError
from eqsat.rules import RuleBook
from tests.egraph.sessions import rules
from tests.ir.graphs import make_model, read_proto, save, value

N = helper.make_node

HEADER = "; SOURCE algebra\n; FLOATS {}\n"
NEG_NEG = '(rewrite (Neg (Neg x)) x :ruleset opt :name "neg-neg")'
RELU_MAX = '(rewrite (Relu x) (Max (Cons x (Cons x (Nil)))) :ruleset opt :name "relu-max")'
CHAIN = [N("Relu", ["x"], ["a"]), N("Neg", ["a"], ["b"]), N("Neg", ["b"], ["y"])]


def session(folder: Path, book: RuleBook) -> Session:
    return Session(read_proto(make_model(CHAIN, [value("x")], [value("y")]), folder), book)


def test_matches_applications_and_growth_are_counted(tmp_path: Path) -> None:
    found = stats.count(session(tmp_path, rules(NEG_NEG, RELU_MAX)), max_enodes=1000, deadline=math.inf, prices=None)
    used = {rule.name: rule for rule in found.rules}
    assert (used["neg-neg"].num_matches, used["neg-neg"].num_applied) == (1, 1)
    assert used["relu-max"].num_applied == 1
    assert used["relu-max"].num_enodes > 0
    assert (found.is_saturated, found.input_us, found.best_us) == (True, None, None)
    assert found.before == 4
    assert all(rule.gain_us is None for rule in found.rules)


def test_a_limit_ends_the_counting(tmp_path: Path) -> None:
    found = stats.count(session(tmp_path, rules(RELU_MAX)), max_enodes=1, deadline=math.inf, prices=None)
    assert not found.is_saturated
    assert found.num_rounds == 0


def own(folder: Path, form: str, floats: str = "exact") -> Path:
    path = folder / "own.egg"
    path.write_text(HEADER.format(floats) + form + "\n")
    return path


def setting(folder: Path, form: str, floats: str = "exact", operator: str = "Relu") -> Setting:
    nodes = [N(operator, ["x"], ["a"]), N("Exp", ["a"], ["y"])]
    model = save(make_model(nodes, [value("x", (64, 64))], [value("y", (64, 64))]), folder)
    return Setting(model=model, files=(own(folder, form, floats),), threads=1, time_s=40.0, cost_db=str(folder / "db"))


def measured(what: Setting, name: str) -> Measured:
    (found,) = models.measure(what, name)
    return found


def test_a_rule_is_measured_with_and_without(tmp_path: Path) -> None:
    form = '(rewrite (Tanh x) (Neg (Tanh (Neg x))) :ruleset opt :name "tanh-odd")'
    found = measured(setting(tmp_path, form, "reassociates", "Tanh"), "tanh-odd")
    assert found.num_applied is not None
    assert found.num_applied >= 1
    assert found.change == {"Neg": 2}
    assert found.speedup_low <= found.speedup <= found.speedup_high
    assert found.without_us is not None
    assert found.num_pairs > 0
    first, second = told(found)
    assert first.startswith("tanh-odd, applied ")
    assert second.startswith("x")


def test_a_rule_that_does_not_match_is_not_measured(tmp_path: Path) -> None:
    form = '(rewrite (Tanh x) (Neg (Tanh (Neg x))) :ruleset opt :name "tanh-odd")'
    found = measured(setting(tmp_path, form), "tanh-odd")
    assert (found.num_applied, found.is_same) == (0, True)
    assert told(found) == ["tanh-odd does not match this model; why-not says why"]


def test_a_rule_that_needs_another_one_says_which(tmp_path: Path) -> None:
    form = (
        '(rewrite (Tanh x) (Neg (Tanh (Neg x))) :ruleset opt :name "tanh-odd")\n\n'
        '; SOURCE x\n; FLOATS exact\n(rewrite (Neg (Tanh x)) (Tanh (Neg x)) :ruleset opt :name "neg-of-tanh")'
    )
    found = measured(setting(tmp_path, form, "reassociates", "Tanh"), "neg-of-tanh")
    assert (found.num_applied, "tanh-odd" in found.needs) == (0, True)
    (line,) = told(found)
    assert line.startswith("neg-of-tanh does not match this model by itself: it needs what ")


def test_a_wrong_rule_is_never_measured(tmp_path: Path) -> None:
    form = '(rewrite (Relu x) (Neg x) :ruleset opt :name "relu-wrong")'
    with pytest.raises(VerificationError, match="with the rule it computes something else"):
        measured(setting(tmp_path, form), "relu-wrong")


def test_facts_cannot_be_measured(tmp_path: Path) -> None:
    form = '(rule ((= y (Relu x))) ((flowing y)) :ruleset facts :name "own-fact")'
    with pytest.raises(UsageError, match="only states facts"):
        measured(setting(tmp_path, form), "own-fact")


def test_prices_say_what_a_rule_gains(tmp_path: Path) -> None:
    form = '(rewrite (Relu (Neg (Neg x))) (Relu x) :ruleset opt :name "own-relu")'
    nodes = [N("Neg", ["x"], ["a"]), N("Neg", ["a"], ["b"]), N("Exp", ["b"], ["c"]), N("Relu", ["c"], ["y"])]
    what = setting(tmp_path, form)
    save(make_model(nodes, [value("x", (64, 64))], [value("y", (64, 64))]), tmp_path)
    (found,) = models.count(what, has_prices=True)
    assert found.input_us is not None
    assert found.best_us is not None
    assert found.best_us <= found.input_us
    assert all(rule.gain_us is None or rule.gain_us >= 0.0 for rule in found.rules)
