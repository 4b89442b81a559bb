"""What was found once is kept while the e-graph grows, under the names that unions give it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eqsat.egraph.session import Session
from eqsat.extraction.greedy import greedy_dag
from eqsat.extraction.problem import Selection, dag_cost_us
from eqsat.runtime.settings import CPU_PROVIDER
from rl.env.environment import EGraphEnv, Settings
from rl.env.incumbent import extract
from rl.env.observation import FIRST_CANDIDATE
from rl.env.prices import MeasuredPrices
from rl.env.tracker import Snapshot, Tracker
from tests.pipeline import models, pricing
from tests.pipeline.fake_runtime import FakeRuntime
from tests.rl import worlds

FLOOR = models.rewrite("(Abs (Tanh x))", "(Floor x)", "abs-floor")
CEIL = models.rewrite("(Neg (Tanh x))", "(Ceil x)", "neg-ceil")
SIGN = models.rewrite("(Neg (Tanh x))", "(Sign x)", "neg-sign")
MERGE = models.rewrite("(Tanh x)", "(Sigmoid x)", "tanh-sigmoid")
PRICES = {"Tanh": 15.0, "Sigmoid": 15.0, "Abs": 1.0, "Neg": 1.0, "Floor": 10.0, "Ceil": 10.0, "Sign": 0.5}


class Followed:
    """A model of which the shared part pays only where both outputs use it: 17 us, where greedy extraction finds 20."""

    def __init__(self, folder: Path) -> None:
        nodes = [models.node("Sigmoid", "x", "s"), models.node("Tanh", "x", "t")]
        nodes += [models.node("Abs", "t", "y"), models.node("Neg", "t", "z"), models.node("Relu", "s", "v")]
        outputs = [(name, [2, 3]) for name in "yzv"]
        book = models.rules(FLOOR, CEIL, SIGN, MERGE)
        self.session: Session = models.session(folder, models.make(nodes, [("x", [2, 3])], outputs), book)
        prices = MeasuredPrices(pricing.pricer(FakeRuntime(PRICES), folder / "prices.sqlite"))
        self.tracker = Tracker(self.session, prices, {}, CPU_PROVIDER)
        self.before = self.look(None)

    def look(self, previous: tuple[Snapshot, Selection] | None) -> tuple[Snapshot, Selection]:
        snapshot = self.tracker.snapshot()
        return snapshot, extract(snapshot, previous)

    def apply(self, *rules: str) -> None:
        rule_of = self.session.rule_of
        assert self.session.apply([each for each in self.session.candidates() if rule_of(each).rule.name in rules])


@pytest.mark.parametrize("rules", [("abs-floor",), ("neg-ceil",), ("abs-floor", "neg-ceil")])
@pytest.mark.parametrize("is_merged", [False, True], ids=["grown", "merged"])
def test_a_dearer_extraction_is_not_taken(tmp_path: Path, rules: tuple[str, ...], is_merged: bool) -> None:
    followed = Followed(tmp_path)
    followed.apply(*rules, *(("tanh-sigmoid",) if is_merged else ()))
    snapshot, kept = followed.look(followed.before)
    greedy_us = greedy_dag(snapshot.problem).cost_us
    assert greedy_us > kept.cost_us
    assert kept.cost_us == followed.before[1].cost_us - (15.0 if is_merged else 0.0)
    assert dag_cost_us(snapshot.problem, kept.choice) == pytest.approx(kept.cost_us)
    assert followed.look(None)[1].cost_us == greedy_us


def test_a_cheaper_extraction_is_taken(tmp_path: Path) -> None:
    followed = Followed(tmp_path)
    followed.apply("abs-floor", "neg-sign")
    snapshot, found = followed.look(followed.before)
    assert found == greedy_dag(snapshot.problem)
    assert found.cost_us < followed.before[1].cost_us


@pytest.mark.parametrize("seed", range(3))
def test_the_price_never_rises(tmp_path: Path, seed: int) -> None:
    forms = (worlds.MERGE, worlds.RELU, worlds.NEG_TWICE, worlds.ABS)
    env = EGraphEnv([worlds.task(tmp_path, worlds.branches(4), *forms)], Settings(is_grouped=False))
    observation, info = env.reset(seed=seed)
    rng = np.random.default_rng(seed)
    cost_us = info["cost_us"]
    while observation.num_candidates:
        observation, _, _, _, info = env.step(np.int64(rng.integers(FIRST_CANDIDATE, observation.num_actions)))
        assert info["cost_us"] <= cost_us
        cost_us = info["cost_us"]
    assert cost_us < info["initial_us"]
