"""Observations are compared and checked as a whole, their spaces keep Gymnasium's rules, names hash alike anywhere."""

from __future__ import annotations

import copy
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import utils
from gymnasium.vector.utils import batch_space, concatenate, iterate

from eqsat.egraph.groups import group
from rl.env.columns import CANDIDATE_COLUMNS, ECLASS_COLUMNS, ENODE_COLUMNS
from rl.env.environment import EGraphEnv, Settings
from rl.env.observation import (
    NUM_CANDIDATE_FEATURES,
    NUM_ECLASS_FEATURES,
    NUM_ENODE_FEATURES,
    NUM_OPERATOR_BUCKETS,
    NUM_RULE_BUCKETS,
    STOP,
    Observation,
    arrays,
    bucket,
    problems,
)
from rl.env.offers import Offers
from rl.env.scene import Scene
from rl.env.space import ActionSpace, ObservationSpace
from tests.pipeline import models
from tests.rl import worlds


@pytest.fixture
def observation(tmp_path: Path) -> Observation:
    env = EGraphEnv([worlds.branch_task(tmp_path)])
    env.reset(seed=0)
    return env.step(np.int64(worlds.action_of(env, "matmul-distributes")))[0]


def column(names: tuple[str, ...], features: np.ndarray, name: str) -> np.ndarray:
    found: np.ndarray = features[:, names.index(name)]
    return found


def test_buckets_are_the_same_everywhere() -> None:
    assert bucket("MatMul", NUM_OPERATOR_BUCKETS) == 372
    assert bucket("matmul-transpose", NUM_RULE_BUCKETS) == 284


def test_every_feature_has_a_name() -> None:
    lengths = [len(names) for names in (ENODE_COLUMNS, ECLASS_COLUMNS, CANDIDATE_COLUMNS)]
    assert lengths == [NUM_ENODE_FEATURES, NUM_ECLASS_FEATURES, NUM_CANDIDATE_FEATURES]


def test_copies_are_equal_and_share_nothing(observation: Observation) -> None:
    pickled = pickle.dumps(observation)
    for other in (copy.deepcopy(observation), pickle.loads(pickled)):  # noqa: S301 - just made here
        assert other == observation
        assert not any(np.shares_memory(one, two) for one, two in zip(arrays(other), arrays(observation), strict=True))
        other.enode_features[0, 0] += 1
        assert other != observation
    assert observation != "observation"


def test_what_an_episode_shows_is_well_formed(observation: Observation) -> None:
    assert problems(observation) == []
    assert observation.num_actions == len(observation.action_mask) == 1 + observation.num_candidates


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"enode_operator": np.zeros(3, np.int32)}, r"enode_operator is int32 \(3,\), not int64 \(3,\)"),
        ({"action_mask": np.ones(1, np.bool_)}, r"action_mask is bool \(1,\)"),
        ({"root_eclasses": np.array([10_000])}, "root_eclasses is not within 0 and"),
        ({"candidate_rule": np.array([-1, 0, 0])}, "candidate_rule is not within 0 and 1023"),
        ({"action_mask": np.zeros(4, np.bool_)}, "STOP is masked"),
    ],
)
def test_what_does_not_fit_is_named(observation: Observation, changes: dict[str, np.ndarray], message: str) -> None:
    wrong = replace(observation, **changes)
    assert wrong not in ObservationSpace()
    assert any(re.match(message, problem) for problem in problems(wrong))


def test_a_feature_that_is_no_number_is_named(observation: Observation) -> None:
    observation.eclass_features[0, 0] = np.nan
    assert problems(observation) == ["a feature is not finite"]


def test_random_observations_lie_in_the_space() -> None:
    space = ObservationSpace(seed=0)
    found = [space.sample() for _ in range(30)]
    assert all(each in space for each in found)
    assert found[0] == ObservationSpace(seed=0).sample()
    assert found[0] != found[1]
    assert "anything else" not in space
    with pytest.raises(ValueError, match="mask"):
        space.sample(mask=np.ones(1))


def test_flattening_has_a_way_back(observation: Observation) -> None:
    space = ObservationSpace(seed=0)
    flat = utils.flatten(space, observation)
    for each in (*(space.sample() for _ in range(5)), observation):
        flat = utils.flatten(space, each)
        assert flat in utils.flatten_space(space)
        assert isinstance(flat, dict)
        assert utils.unflatten(space, flat) == each
        assert space.from_jsonable(space.to_jsonable([each])) == [each]
    assert not space.is_np_flattenable
    with pytest.raises(ValueError, match="no fixed size"):
        utils.flatdim(space)
    with pytest.raises(ValueError, match="no observation"):
        utils.flatten(space, replace(observation, root_eclasses=np.array([-1])))
    assert isinstance(flat, dict)
    with pytest.raises(ValueError, match="do not fit"):
        utils.unflatten(space, {**flat, "root_eclasses": np.array([10_000])})


def test_a_batch_is_a_tuple(observation: Observation) -> None:
    space = ObservationSpace(seed=0)
    batch = batch_space(space, 2)
    both = concatenate(space, [observation, space.sample()], ())
    assert both in batch
    assert next(iter(iterate(batch, both))) is observation


def test_actions_are_sampled_by_mask() -> None:
    space = ActionSpace(seed=0)
    assert space.sample() == STOP
    mask = np.array([False, True, False, True])
    assert {int(space.sample(mask)) for _ in range(50)} == {1, 3}
    assert space.sample(probability=np.array([0.0, 0.0, 1.0])) == 2
    with pytest.raises(ValueError, match="allows no action"):
        space.sample(np.zeros(3))
    with pytest.raises(ValueError, match="not both"):
        space.sample(mask, np.ones(4) / 4)


@pytest.mark.parametrize(
    ("action", "is_action"), [(0, True), (np.int64(7), True), (-1, False), (0.5, False), (True, False)]
)
def test_actions_are_whole_numbers(action: object, is_action: bool) -> None:
    assert (action in ActionSpace()) is is_action


def test_edges_say_what_the_e_graph_says(tmp_path: Path) -> None:
    env = EGraphEnv([worlds.branch_task(tmp_path, 1)])
    observation, _ = env.reset(seed=0)
    operator = dict(enumerate(observation.enode_operator))
    eclass_of = dict(observation.member_edges.T)
    wanted = {name: bucket(name, NUM_OPERATOR_BUCKETS) for name in ("Relu", "Add", "MatMul", "Input", "Const")}
    by_position = {
        (int(reader), int(position)): int(child)
        for (child, reader), position in zip(observation.child_edges.T, observation.child_positions, strict=True)
    }

    def below(enode: int, position: int) -> int:
        return next(int(one) for one, eclass in eclass_of.items() if eclass == by_position[enode, position])

    (relu,) = (enode for enode, number in operator.items() if number == wanted["Relu"])
    add = below(relu, 0)
    assert operator[add] == wanted["Add"]
    products = [below(add, position) for position in (0, 1)]
    assert [operator[enode] for enode in products] == [wanted["MatMul"]] * 2
    assert {operator[below(enode, 0)] for enode in products} == {wanted["Input"]}
    assert {operator[below(enode, 1)] for enode in products} == {wanted["Const"]}
    assert list(observation.root_eclasses) == [eclass_of[relu]]
    rules = [each.rule for each in env.look.groups]
    bound = observation.binding_edges[0][observation.binding_edges[1] == rules.index("matmul-distributes")]
    assert eclass_of[add] in bound


def test_features_follow_the_extraction(tmp_path: Path) -> None:
    env = EGraphEnv([worlds.branch_task(tmp_path, 1)])
    env.reset(seed=0)
    observation, *_ = env.step(np.int64(worlds.action_of(env, "matmul-distributes")))
    extracted = column(ENODE_COLUMNS, observation.enode_features, "is_extracted")
    made = column(ENODE_COLUMNS, observation.enode_features, "is_made_by_rule")
    products = observation.enode_operator == bucket("MatMul", NUM_OPERATOR_BUCKETS)
    assert extracted[products].sum() == 1
    assert made[products & (extracted == 1)] == [1.0]
    share = column(ECLASS_COLUMNS, observation.eclass_features, "price_share")
    assert share.sum() == pytest.approx(1.0)
    depth = column(ECLASS_COLUMNS, observation.eclass_features, "relative_depth")
    assert depth[observation.root_eclasses] == 1.0
    constant = column(ECLASS_COLUMNS, observation.eclass_features, "is_constant")
    assert constant.sum() == 4, "both weights, and their sum in both orders"
    assert column(CANDIDATE_COLUMNS, observation.candidate_features, "extracted_share").max() > 0


def test_the_order_of_candidates_carries_no_meaning(tmp_path: Path) -> None:
    task = worlds.branch_task(tmp_path, 4)
    scene = Scene.of(task, task.graph, is_grouped=True)
    look = scene.look()
    order = np.random.default_rng(0).permutation(len(look.groups))
    shuffled = [look.groups[index] for index in order]
    other = scene.observer.observe(look.snapshot, look.selection, shuffled)
    assert len(order) > 3
    assert not np.array_equal(order, np.arange(len(order)))
    assert np.array_equal(other.candidate_rule, look.observation.candidate_rule[order])
    assert np.allclose(other.candidate_features, look.observation.candidate_features[order])
    for new, old in enumerate(order):
        edges = [
            sorted(zip(each.binding_edges[0], each.binding_slots, strict=True))
            for each in (
                replace(
                    one,
                    binding_edges=one.binding_edges[:, one.binding_edges[1] == index],
                    binding_slots=one.binding_slots[one.binding_edges[1] == index],
                )
                for one, index in ((other, new), (look.observation, old))
            )
        ]
        assert edges[0] == edges[1]


def test_groups_are_those_of_the_session(tmp_path: Path) -> None:
    task = worlds.task(tmp_path, worlds.branches(4), worlds.MERGE, worlds.RELU)
    scene = Scene.of(task, task.graph, is_grouped=True)
    assert scene.offers.groups() == group(scene.session, scene.session.candidates())
    single = Offers(scene.session, is_grouped=False).groups()
    assert [each.candidates for each in single] == [(each,) for each in scene.session.candidates()]


def test_symbolic_dimensions_count_at_their_size(tmp_path: Path) -> None:
    nodes = [models.node("Neg", "x", "n"), models.node("Neg", "n", "y")]
    model = models.make(nodes, [("x", ["batch", 8])], [("y", ["batch", 8])])
    task = worlds.task(tmp_path, model, worlds.NEG_TWICE)
    env = EGraphEnv([replace(task, sizes=dict.fromkeys(task.sizes, 32))], Settings())
    observation, _ = env.reset(seed=0)
    assert set(column(ECLASS_COLUMNS, observation.eclass_features, "is_symbolic")) == {1.0}
    size = column(ECLASS_COLUMNS, observation.eclass_features, "log_num_elements")
    assert size == pytest.approx(np.log1p(32 * 8) / 16)
