"""The tracker's problem is that of a fresh start, whatever happened before; a new start keeps what a model computes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from eqsat.egraph.enode import ENode
from eqsat.egraph.restart import restarted
from eqsat.egraph.session import Session
from eqsat.extraction.greedy import greedy_dag
from eqsat.prices.micro import Cluster, MicroMaker
from eqsat.prices.pricing import Pricer
from eqsat.prices.problem import PricedProblem, build_problem
from eqsat.runtime.settings import CPU_PROVIDER
from ir.assembly import assemble
from ir.onnx_file import write_model
from rl.env.prices import MeasuredPrices, PriceSource, TablePrices
from rl.env.scene import Scene, priced_problem
from rl.env.tasks import Task
from rl.env.tracker import Snapshot, Tracker
from tests.pipeline import models, pricing
from tests.pipeline.fake_runtime import FakeRuntime
from tests.rl import worlds

Priced = Counter[tuple[int, tuple[ENode, ...], float]]


class Direct:
    """Asks a source of prices as :func:`build_problem` asks a pricer."""

    def __init__(self, source: PriceSource, session: Session) -> None:
        self.source = source
        self.session = session

    def price(self, clusters: Sequence[Cluster], maker: MicroMaker, **_: object) -> Mapping[Cluster, float]:
        return self.source.price(self.session, clusters, maker)


def fresh(session: Session, source: PriceSource, sizes: Mapping[int, int]) -> PricedProblem:
    pricer = cast("Pricer", Direct(source, session))
    return build_problem(session, pricer, MicroMaker(session, sizes), CPU_PROVIDER)


def of_problem(priced: PricedProblem) -> Priced:
    problem = priced.problem
    return Counter(
        (priced.handles[eclass], cluster.enodes, cost_us)
        for eclass, cluster, cost_us in zip(problem.node_class, priced.clusters, problem.cost_us, strict=True)
    )


def fused_model() -> onnx.ModelProto:
    """Pairs that the provider fuses, some of them because it must, and constants that become equal."""
    constants = {
        "w": models.weights(8, 8),
        "b": models.weights(8),
        "s": models.weights(8),
        "z": np.zeros(8, np.float32),
    }
    nodes = [
        models.node("MatMul", "x w", "m"),
        models.node("Add", "m b", "a"),
        models.node("Relu", "a", "r"),
        models.node("Add", "r x", "skip"),
        models.node("LayerNormalization", "skip s b", "n", epsilon=1e-5),
        models.node("Neg", "n", "n1"),
        models.node("Neg", "n1", "y"),
    ]
    return models.make(nodes, [("x", [4, 8])], [("y", [4, 8])], constants)


SUM = models.rewrite("(Add x y)", "(Sum (Cons x (Cons y (Nil))))", "add-sum")
GEMM = models.rewrite("(Relu x)", "(Clip x (Absent) (Absent))", "relu-clip")
TASKS: dict[str, tuple[Callable[[], onnx.ModelProto], tuple[str, ...]]] = {
    "chain": (lambda: models.chain(5), (worlds.NEG_TWICE, worlds.IDENTITY, worlds.ABS)),
    "branches": (lambda: worlds.branches(3), (worlds.MERGE, worlds.RELU, GEMM)),
    "fused": (fused_model, (SUM, GEMM, worlds.NEG_TWICE, worlds.IDENTITY, worlds.RELU)),
}


def random_steps(session: Session, seed: int) -> bool:
    """Apply a random candidate; False where there is none."""
    candidates = session.candidates()
    return bool(candidates) and bool(session.apply([random.Random(seed).choice(candidates)]))


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("is_measured", [False, True], ids=["table", "measured"])
def test_it_is_the_problem_of_a_fresh_start(tmp_path: Path, name: str, is_measured: bool) -> None:
    make, forms = TASKS[name]
    session = models.session(tmp_path, make(), models.rules(*forms))
    prices: PriceSource = TablePrices()
    if is_measured:
        runtime = FakeRuntime({"Neg": 7.0, "MatMul": 30.0}, failing=frozenset({"Tanh", "Clip"}))
        prices = MeasuredPrices(pricing.pricer(runtime, tmp_path / "prices.sqlite"))
    tracker = Tracker(session, prices, {}, CPU_PROVIDER)
    for step in range(12):
        snapshot = tracker.snapshot()
        expected = fresh(session, prices, {})
        assert of_problem(snapshot.priced(session)) == of_problem(expected)
        found, wanted = greedy_dag(snapshot.problem), greedy_dag(expected.problem)
        assert found.cost_us == pytest.approx(wanted.cost_us)
        assert snapshot.priced(session).groups.keys() == expected.groups.keys()
        if not random_steps(session, step):
            break


def test_other_searches_get_the_prices_of_the_environment(tmp_path: Path) -> None:
    task = worlds.task(tmp_path, fused_model(), SUM, worlds.NEG_TWICE)
    scene = Scene.of(task, task.graph, is_grouped=True)
    for step in range(3):
        mine = scene.tracker.snapshot().priced(scene.session)
        assert of_problem(priced_problem(task, scene.session)) == of_problem(mine)
        random_steps(scene.session, step)


def test_the_model_itself_stays_choosable(tmp_path: Path) -> None:
    session = models.session(tmp_path, models.chain(2), models.rules(worlds.ABS))
    runtime = FakeRuntime({}, failing=frozenset({"Neg", "Abs"}))
    prices = MeasuredPrices(pricing.pricer(runtime, tmp_path / "p.sqlite"))
    tracker = Tracker(session, prices, {}, CPU_PROVIDER)
    session.apply(session.candidates())
    snapshot = tracker.snapshot()
    assert of_problem(snapshot.priced(session)) == of_problem(fresh(session, prices, {}))
    chosen = {snapshot.entries[index].enode.operator for index in greedy_dag(snapshot.problem).enodes}
    assert chosen == {"Input", "Neg"}


def test_a_copy_goes_on_after_an_undo(tmp_path: Path) -> None:
    make, forms = TASKS["fused"]
    session = models.session(tmp_path, make(), models.rules(*forms))
    base = Tracker(session, TablePrices(), {}, CPU_PROVIDER)
    base.snapshot()
    for seed in range(4):
        session.checkpoint()
        tracker = base.copy()
        for step in range(4):
            random_steps(session, 10 * seed + step)
            assert of_problem(tracker.snapshot().priced(session)) == of_problem(fresh(session, TablePrices(), {}))
        session.undo()


def test_every_place_is_that_of_the_chosen_enode(tmp_path: Path) -> None:
    make, forms = TASKS["fused"]
    session = models.session(tmp_path, make(), models.rules(*forms))
    snapshot = Tracker(session, TablePrices(), {}, CPU_PROVIDER).snapshot()
    selection = greedy_dag(snapshot.problem)
    choice = snapshot.priced(session).choice(selection)
    places = dict(snapshot.places(selection.choice))
    assert any(index >= len(snapshot.entries) for index in selection.choice.values())
    assert {eclass: snapshot.entries[place].enode for eclass, place in places.items()} == choice


def evaluated(scene: Scene, snapshot: Snapshot, path: Path, feeds: dict[str, np.ndarray]) -> np.ndarray:
    choice = snapshot.priced(scene.session).choice(greedy_dag(snapshot.problem))
    graph = restarted(scene.session, choice).graph
    write_model(assemble(graph, graph.nodes, graph.constants, graph.types), path, is_durable=False)
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    (found,) = ReferenceEvaluator(proto).run(None, feeds)
    assert isinstance(found, np.ndarray)
    return found


@pytest.mark.parametrize("name", TASKS)
def test_a_new_start_keeps_what_the_model_computes(tmp_path: Path, name: str) -> None:
    make, forms = TASKS[name]
    forms = tuple(form for form in forms if form != worlds.ABS)  # that one is not true
    task: Task = worlds.task(tmp_path, make(), *forms)
    shape = [each.dim_value for each in make().graph.input[0].type.tensor_type.shape.dim]
    feeds = {"x": np.random.default_rng(0).standard_normal(shape).astype(np.float32)}
    (expected,) = ReferenceEvaluator(make()).run(None, feeds)
    scene = Scene.of(task, task.graph, is_grouped=True)
    num_starts = 0
    for step in range(9):
        look = scene.look()
        found = evaluated(scene, look.snapshot, tmp_path / "found.onnx", feeds)
        assert np.allclose(found, expected, rtol=1e-4, atol=1e-4)
        if step % 3 == 2:
            choice = look.snapshot.priced(scene.session).choice(look.selection)
            again = Scene.around(task, restarted(scene.session, choice), is_grouped=True)
            assert again.session.size().num_enodes <= scene.session.size().num_enodes
            assert again.look().selection.cost_us == pytest.approx(look.selection.cost_us)
            scene = again
            num_starts += 1
        elif not random_steps(scene.session, step):
            break
    assert num_starts or name == "chain"
