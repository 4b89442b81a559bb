from __future__ import annotations

import math

import numpy as np
import pytest

from eqsat.egraph.session import Session
from eqsat.errors import UsageError
from eqsat.prices.micro import Cluster, MicroMaker
from eqsat.prices.roofline import kernel
from eqsat.rules.rule import FloatClass, RuleKind
from ir.operators import OPERATORS
from rl.env.environment import EGraphEnv, Settings
from rl.env.observation import FIRST_CANDIDATE
from rl.env.prices import TablePrices
from rl.families import (
    HELD_OUT_KINDS,
    TRAINING_KINDS,
    Kind,
    Split,
    make_task,
    make_tasks,
    training_tasks,
    validation_tasks,
)
from rl.families.kinds import make_graph
from rl.families.pieces import stitched
from rl.families.prices import ANY, CalibratedPrices, Device, Fit, fitted, measured_fits
from rl.families.regimes import TASO_OPERATORS, Regime, rules_of
from rl.families.sketch import OPSET, Sketch

NUM_VALUES = 60


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def sketched() -> tuple[Session, MicroMaker]:
    """A session with a product by a weight, one of two inputs, and convolutions of three kinds."""
    sketch = Sketch(rng())
    rows = sketch.input(4, 8)
    product = sketch.linear(rows, 8, has_bias=False)
    square = sketch.apply("MatMul", product, sketch.transpose(rows, 1, 0))
    image = sketch.input(1, 8, 6, 6)
    images = [
        sketch.convolution(image, 8, kernel, groups=groups) for kernel, groups in ((3, 1), (1, 1), (3, 2), (3, 8))
    ]
    session = Session(sketch.graph(square, *images), rules_of(Regime.TASO, OPSET))
    return session, MicroMaker(session, {})


def kernels(session: Session) -> dict[str, Cluster]:
    found = [Cluster((enode,)) for _, members in session.eclasses() for enode in members if enode.is_operator]
    return {kernel(session, cluster): cluster for cluster in found}


# --- graphs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("seed", range(3))
def test_a_graph_is_whole(kind: Kind, seed: int) -> None:
    graph, sizes = make_graph(kind, rng(seed), NUM_VALUES)
    there = {*graph.inputs, *graph.constants, ""}
    for node in graph.nodes:
        assert set(node.inputs) <= there
        assert list(node.attributes) == [column.name for column in OPERATORS[node.operator].attributes]
        there.update(node.outputs)
    assert set(graph.outputs) <= there
    assert there - {""} <= graph.types.keys()
    assert {size for name in graph.inputs for size in graph.types[name].shape if size < 0} <= sizes.keys()
    assert NUM_VALUES <= len(graph.types) < 5 * NUM_VALUES


@pytest.mark.parametrize("kind", Kind)
def test_the_rules_have_something_to_do_in_each_kind(kind: Kind) -> None:
    graph, _ = make_graph(kind, rng(1), NUM_VALUES)
    session = Session(graph, rules_of(Regime.DEFAULT, graph.opset))
    assert session.candidates()


def test_equal_seeds_make_equal_graphs_and_others_others() -> None:
    for kind in Kind:
        one, two, other = (make_graph(kind, rng(seed), NUM_VALUES)[0] for seed in (5, 5, 6))
        assert one.nodes == two.nodes
        assert one.types == two.types
        assert all(np.array_equal(one.constants[name].numpy(), two.constants[name].numpy()) for name in one.constants)
        assert one.nodes != other.nodes


def test_an_attribute_without_a_default_must_be_given() -> None:
    sketch = Sketch(rng())
    with pytest.raises(ValueError, match="Transpose needs the attribute perm"):
        sketch.apply("Transpose", sketch.input(2, 3))


def test_equal_numbers_are_one_constant_and_equal_weights_are_not() -> None:
    sketch = Sketch(rng())
    assert sketch.number(0.5) == sketch.number(0.5) != sketch.number(0.25)
    one, two = sketch.weight(3), sketch.weight(3)
    graph = sketch.graph(one, two)
    assert not np.array_equal(graph.constants[one].numpy(), graph.constants[two].numpy())


def test_instances_are_joined_where_types_are_equal() -> None:
    joined = 0
    for seed in range(4):
        graph, _ = stitched(rng(seed), 150)
        made = {name.split("/")[0]: name for node in graph.nodes for name in node.outputs}
        for node in graph.nodes:
            own = node.outputs[0].split("/")[0]
            others = [name for name in node.inputs if name and name.split("/")[0] != own]
            joined += len(others)
            assert all(name in graph.types and name not in graph.outputs for name in others)
        assert made
    assert joined


# --- tasks ----------------------------------------------------------------------------------------------------


def test_no_task_is_of_two_splits() -> None:
    assert not set(TRAINING_KINDS) & set(HELD_OUT_KINDS)
    assert {*TRAINING_KINDS, *HELD_OUT_KINDS} == set(Kind)
    train, validation = (make_task(3, split=split, kind=Kind.ALGEBRA) for split in (Split.TRAIN, Split.VALIDATION))
    assert train.graph.nodes != validation.graph.nodes
    for kind in HELD_OUT_KINDS:
        make_task(0, split=Split.HELD_OUT, kind=kind)
        with pytest.raises(UsageError, match=kind):
            make_task(0, kind=kind)


def test_tasks_have_names_of_their_own_and_several_kinds_and_rules() -> None:
    tasks = make_tasks(range(30))
    assert len({task.name for task in tasks}) == len(tasks)
    assert len({task.name.split("-")[1] for task in tasks}) > 5
    assert len({id(task.rules) for task in tasks}) == len(Regime)


def test_an_episode_comes_out_the_same_again() -> None:
    def costs() -> list[float]:
        env = EGraphEnv([make_task(4)], Settings(max_steps=5))
        observation, info = env.reset(seed=1)
        found = [info["cost_us"]]
        for step in range(4):
            action = FIRST_CANDIDATE + step % observation.num_candidates
            observation, _, _, _, info = env.step(np.int64(action))
            found.append(info["cost_us"])
        return found

    first = costs()
    assert first == costs()
    assert all(map(math.isfinite, first))
    assert first[0] > 0


def test_training_and_validation_take_a_range_of_seeds() -> None:
    assert [task.name for task in training_tasks({"first": 2, "count": 3})] == [make_task(i).name for i in (2, 3, 4)]
    names = [task.name for task in validation_tasks({"count": 4})]
    assert sum(name.startswith(f"{Split.HELD_OUT}-") for name in names) == 2
    assert sum(name.startswith(f"{Split.VALIDATION}-") for name in names) == 2
    for options in ({"seed": 1}, {"count": "3"}, {"first": -1}, {"count": True}):
        with pytest.raises(UsageError, match="tasks have no option"):
            training_tasks(options)


# --- rules ----------------------------------------------------------------------------------------------------


def test_the_rules_of_taso_speak_of_its_operators_alone() -> None:
    book = rules_of(Regime.TASO, OPSET)
    names = {rule.name for rule in book.rules}
    assert {"conv-join", "matmul-join", "matmul-associate-left", "conv-of-sum"} <= names
    for rule in book.rules:
        if rule.kind is not RuleKind.FACTS:
            assert (rule.operators_matched | rule.operators_made) & OPERATORS.keys() <= TASO_OPERATORS


def test_regimes_differ_by_the_tier_and_none_approximates() -> None:
    default, everything = (rules_of(regime, OPSET) for regime in (Regime.DEFAULT, Regime.ALL))
    assert {rule.tier for rule in default.rules} == {""}
    assert {rule.tier for rule in everything.rules} == {"", "wide"}
    assert all(rule.floats is not FloatClass.APPROXIMATES for rule in everything.rules)


# --- prices ---------------------------------------------------------------------------------------------------


def test_kernels_differ_where_speed_does(sketched: tuple[Session, MicroMaker]) -> None:
    session, _ = sketched
    names = {"MatMul", "MatMul/weight", "Conv", "Conv/pointwise", "Conv/grouped", "Conv/depthwise", "Transpose"}
    assert names <= kernels(session).keys()


def test_a_price_is_the_start_and_the_scaled_work(sketched: tuple[Session, MicroMaker]) -> None:
    session, maker = sketched
    cluster = kernels(session)["Conv"]
    table_us = TablePrices().price(session, [cluster], maker)[cluster]
    fits = {"Conv": Fit(start_us=7.0, scale=3.0), ANY: Fit(start_us=1.0, scale=1.0)}
    price_us = CalibratedPrices(fits).price(session, [cluster], maker)[cluster]
    assert price_us == pytest.approx(7.0 + 3.0 * (table_us - 1.0))
    slow = CalibratedPrices(fits, Device(slowness=10.0)).price(session, [cluster], maker)[cluster]
    assert slow == pytest.approx(7.0 + 30.0 * (table_us - 1.0))
    unknown = CalibratedPrices({ANY: Fit(start_us=2.0, scale=0.0)}).price(session, [cluster], maker)[cluster]
    assert unknown == 2.0


def test_devices_differ_by_kernel_and_are_the_same_again(
    sketched: tuple[Session, MicroMaker],
) -> None:
    session, maker = sketched
    clusters = list(kernels(session).values())
    plain, one, again, two = (
        CalibratedPrices(measured_fits(), device).price(session, clusters, maker)
        for device in (Device(), Device(seed=1, spread=0.3), Device(seed=1, spread=0.3), Device(seed=2, spread=0.3))
    )
    assert one == again
    factors = {cluster: one[cluster] / plain[cluster] for cluster in clusters if plain[cluster]}
    assert len(set(factors.values())) > 3
    assert one != two


def test_a_fit_finds_start_and_scale_again_in_spite_of_an_outlier() -> None:
    measured = [(work, 5.0 + 0.4 * work) for work in (0.1, 1.0, 3.0, 10.0, 40.0, 200.0)] + [(1.0, 500.0)]
    fit = fitted(measured)
    assert fit.start_us == pytest.approx(5.0, rel=0.1)
    assert fit.scale == pytest.approx(0.4, rel=0.1)


def test_what_was_not_measured_comes_from_the_prior() -> None:
    prior = Fit(start_us=2.0, scale=9.0)
    fit = fitted([(0.0, 6.0), (0.0, 6.0)], prior)
    assert fit.start_us == pytest.approx(6.0, rel=0.1)
    assert fit.scale == pytest.approx(9.0, rel=0.1)
    with pytest.raises(ValueError, match="nothing to fit"):
        fitted([], prior)


def test_the_fits_that_ship_are_usable() -> None:
    fits = measured_fits()
    assert {ANY, "Add", "Conv", "MatMul/weight", "Relu+Conv"} <= fits.keys()
    assert all(fit.start_us > 0 and fit.scale > 0 for fit in fits.values())
