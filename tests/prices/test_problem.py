"""From a session to an extraction problem and back: clusters, folded constants, and choices without cycles."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from eqsat.egraph.enode import ENode
from eqsat.egraph.rebuild import rebuild
from eqsat.egraph.session import Session
from eqsat.extraction.cpsat import solve
from eqsat.extraction.problem import ExtractionProblem, Selection, select
from eqsat.prices.micro import Cluster
from eqsat.prices.problem import FOLDED_US, PricedProblem
from tests.pipeline import models, pricing
from tests.pipeline.fake_runtime import FakeRuntime

Price = Callable[..., PricedProblem]


@pytest.fixture
def price(tmp_path: Path) -> Price:
    """Prices a session by a table of operators."""

    def make(session: Session, prices: dict[str, float] | None = None, **options: object) -> PricedProblem:
        runtime = FakeRuntime(prices, failing=frozenset(str(name) for name in options.pop("failing", ())))  # type: ignore[attr-defined]
        by = pricing.pricer(runtime, tmp_path / f"{len(list(tmp_path.iterdir()))}.sqlite")
        return pricing.priced(session, by, **options)  # type: ignore[arg-type]

    return make


def costs(priced: PricedProblem) -> dict[str, float]:
    """Price by the operators of a cluster, outermost first."""
    return {
        " ".join(enode.operator for enode in cluster.enodes): priced.problem.cost_us[index]
        for index, cluster in enumerate(priced.clusters)
    }


def cheapest(priced: PricedProblem) -> Selection:
    return solve(priced.problem, time_limit_s=20).selection


def chosen(session: Session, priced: PricedProblem) -> list[str]:
    rebuilt = rebuild(session, priced.choice(cheapest(priced)))
    return [node.operator for node in rebuilt.nodes]


def norm(skip: bool = False) -> onnx.ModelProto:
    """``LayerNormalization(x + z)``, and the sum as an output too if it is skipped on."""
    nodes = [
        models.node("Add", "x z", "s"),
        models.node("LayerNormalization", "s w b", "y"),
        models.node("Tanh", "s", "t"),
    ]
    outputs: list[models.Value] = [("y", [2, 4]), ("t", [2, 4])]
    constants = {"w": models.weights(4), "b": models.weights(4)}
    inputs: list[models.Value] = [("x", [2, 4]), ("z", [2, 4])]
    return models.make(nodes if skip else nodes[:2], inputs, outputs if skip else outputs[:1], constants)


SUM = (
    "(rule ((= y (LayerNormalization s w b a)) (= s (Add p q)) (= (shape p) (shape q)))"
    ' ((union s (Sum (Cons p (Cons q (Nil)))))) :ruleset opt :name "add-to-sum")'
)


def test_every_enode_is_priced_in_its_class(tmp_path: Path, price: Price) -> None:
    session = models.session(tmp_path, models.chain(3, "Neg"), models.rules())
    priced = price(session, {"Neg": 5.0})
    assert len(priced.clusters) == len(session.mirror.enodes)
    for index, cluster in enumerate(priced.clusters):
        assert priced.handles[priced.problem.node_class[index]] == session.mirror.enodes[cluster.enodes[0]]
    assert cheapest(priced).cost_us == 15.0


def test_a_fused_pair_is_one_choice(tmp_path: Path, price: Price) -> None:
    nodes = [models.node("Conv", "x w", "h"), models.node("Relu", "h", "y")]
    model = models.make(nodes, [("x", [1, 3, 6, 6])], [("y", [1, 8, 4, 4])], {"w": models.weights(8, 3, 3, 3)})
    session = models.session(tmp_path, model, models.rules())
    table = {"Conv": 50.0, "Relu": 5.0}
    assert costs(price(session, table))["Relu Conv"] == 55.0
    assert "Relu Conv" not in costs(price(session, table, has_clusters=False))
    assert "Relu Conv" not in costs(price(session, table, provider="SomeExecutionProvider"))
    assert chosen(session, price(session, table)) == ["Conv", "Relu"]


@pytest.mark.parametrize(("is_constant", "is_fused"), [(True, True), (False, False)])
def test_a_bias_is_fused_where_it_is_constant(tmp_path: Path, price: Price, is_constant: bool, is_fused: bool) -> None:
    nodes = [models.node("MatMul", "x w", "h"), models.node("Add", "h b", "y")]
    constants = {"w": models.weights(4, 3), "b": models.weights(3)}
    inputs: list[models.Value] = [("x", [2, 4])]
    if not is_constant:
        del constants["b"]
        inputs.append(("b", [3]))
    session = models.session(tmp_path, models.make(nodes, inputs, [("y", [2, 3])], constants), models.rules())
    assert ("Add MatMul" in costs(price(session))) == is_fused


def test_a_forced_fusion_is_avoided_by_another_spelling(tmp_path: Path, price: Price) -> None:
    session = models.session(tmp_path, norm(), models.rules(SUM))
    session.apply(session.candidates())
    table = {"LayerNormalization": 20.0, "Add": 30.0, "Sum": 1.0}
    priced = price(session, table)
    assert costs(priced)["LayerNormalization Add"] == 50.0
    assert costs(priced)["LayerNormalization Sum"] == 21.0
    assert costs(priced)["LayerNormalization"] == 50.0, "alone it is no way round the fusion"
    assert chosen(session, priced) == ["Sum", "LayerNormalization"]
    assert chosen(session, price(session, {**table, "Sum": 40.0})) == ["Add", "LayerNormalization"]


def test_what_undoes_a_fusion_is_not_replaced_by_what_is_cheaper_elsewhere(tmp_path: Path, price: Price) -> None:
    session = models.session(tmp_path, norm(skip=True), models.rules(SUM))
    session.apply(session.candidates())
    priced = price(session, {"LayerNormalization": 20.0, "Add": 3.0, "Sum": 4.0})
    dear = {"LayerNormalization", "LayerNormalization Add"}
    cost_us = [
        100.0 if " ".join(enode.operator for enode in cluster.enodes) in dear else us
        for cluster, us in zip(priced.clusters, priced.problem.cost_us, strict=True)
    ]
    priced = replace(priced, problem=replace(priced.problem, cost_us=cost_us))
    operators = {priced.clusters[index].enodes[0].operator for index in cheapest(priced).enodes}
    assert "Add" in operators, "what is hidden in the cluster is made once more"
    assert sorted(chosen(session, priced)) == ["LayerNormalization", "Sum", "Tanh"]


def test_a_constant_is_folded_for_nothing(tmp_path: Path, price: Price) -> None:
    join = models.rewrite("(Add (Add x a) b)", "(Add x (Add a b))", "add-reassociate", "(constant a) (constant b)")
    nodes = [models.node("Add", "x a", "h"), models.node("Add", "h b", "y")]
    constants = {"a": models.weights(64, seed=1), "b": models.weights(64, seed=2)}
    model = models.make(nodes, [("x", [2, 64])], [("y", [2, 64])], constants)
    session = models.session(tmp_path, model, models.rules(join))
    session.apply(session.candidates())
    priced = price(session, {"Add": 30.0})
    folded = [priced.problem.cost_us[i] for i, c in enumerate(priced.clusters) if c.enodes[0].operator == "Add"]
    assert sorted(folded) == [FOLDED_US, 30.0, 30.0, 30.0]
    assert cheapest(priced).cost_us == 30.0 + FOLDED_US


def test_a_constant_too_large_to_fold_costs_its_computation(
    tmp_path: Path, price: Price, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [models.node("Add", "a b", "c"), models.node("Mul", "x c", "y")]
    constants = {"a": models.weights(8, 4, seed=1), "b": models.weights(8, 4, seed=2)}
    model = models.make(nodes, [("x", [8, 4])], [("y", [8, 4])], constants)
    session = models.session(tmp_path, model, models.rules())
    assert costs(price(session, {"Add": 30.0}))["Add"] == FOLDED_US
    monkeypatch.setattr("eqsat.prices.problem.MAX_FOLDED_BYTES", 8 * 4 * 4 - 1)
    assert costs(price(session, {"Add": 30.0}))["Add"] == 30.0


def test_the_models_own_node_stays_choosable(tmp_path: Path, price: Price) -> None:
    other = models.rewrite("(Erf x)", "(Ceil (Floor x))", "erf-other")
    session = models.session(tmp_path, models.chain(2, "Erf"), models.rules(other))
    session.apply(session.candidates())
    priced = price(session, {"Ceil": 7.0}, failing={"Erf", "Floor"})
    assert costs(priced)["Floor"] == math.inf
    assert costs(priced)["Erf"] == 7.0, "as much as the dearest"
    assert chosen(session, priced) == ["Erf", "Erf"]


def test_it_stays_choosable_when_unions_have_renamed_it(tmp_path: Path, price: Price) -> None:
    twice = models.rewrite("(Neg (Neg x))", "x", "neg-twice")
    nodes = [models.node("Neg", "x", "a"), models.node("Neg", "a", "b"), models.node("Erf", "b", "y")]
    session = models.session(tmp_path, models.make(nodes, [("x", [2])], [("y", [2])]), models.rules(twice))
    session.apply(session.candidates())
    assert chosen(session, price(session, failing={"Erf"})) == ["Erf"]


def test_the_models_own_forced_pair_stays_choosable(tmp_path: Path, price: Price) -> None:
    session = models.session(tmp_path, norm(), models.rules())
    priced = price(session, failing={"LayerNormalization"})
    assert chosen(session, priced) == ["Add", "LayerNormalization"]


def test_a_rule_answers_for_all_its_enodes(tmp_path: Path, price: Price) -> None:
    good = models.rewrite("(Neg x)", "(Ceil (Floor x))", "neg-other")
    session = models.session(tmp_path, models.chain(1), models.rules(good))
    session.apply(session.candidates())
    priced = price(session)
    made = {priced.clusters[index].enodes[0].operator for index in priced.groups["neg-other"]}
    assert made == {"Ceil", "Floor"}


def test_every_output_must_be_covered(tmp_path: Path, price: Price) -> None:
    session = models.session(tmp_path, norm(skip=True), models.rules())
    priced = price(session)
    assert len(priced.problem.roots) == 2
    assert sorted(chosen(session, priced)) == ["Add", "LayerNormalization", "Tanh"]


# --- choices without cycles ---------------------------------------------------------------------------------------
#
# E-class 0 is an input. E-class 1 can be made from the input (HIDDEN), or from e-class 2 (BACK).
# E-class 2 is made from e-class 1 (OUTER), which the provider can fuse with HIDDEN. E-class 3 uses both.

HIDDEN, BACK, OUTER, ROOT = (ENode("Relu", (0,)), ENode("Neg", (2,)), ENode("Abs", (1,)), ENode("Add", (1, 2)))


def cyclic(cost_of_alone: float = 50.0) -> PricedProblem:
    clusters = (
        Cluster((ENode("Input", (), ("x",)),)),
        Cluster((HIDDEN,)),
        Cluster((BACK,)),
        Cluster((OUTER,)),
        Cluster((OUTER, HIDDEN), (1,)),
        Cluster((ROOT,)),
    )
    return PricedProblem(
        problem=ExtractionProblem(
            node_class=[0, 1, 1, 2, 2, 3],
            children=[(), (0,), (2,), (1,), (0,), (1, 2)],
            cost_us=[0.0, cost_of_alone, 1.0, 10.0, 11.0, 1.0],
            num_classes=4,
            roots=(3,),
        ),
        clusters=clusters,
        handles=(0, 1, 2, 3),
        canonical=(0, 1, 2, 3),
        groups={},
    )


def is_cyclic(choice: dict[int, ENode], handle: int = 3, above: tuple[int, ...] = ()) -> bool:
    if handle in above:
        return True
    return any(is_cyclic(choice, child, (*above, handle)) for child in choice[handle].children)


def test_what_a_cluster_hides_cannot_make_the_choice_cyclic() -> None:
    priced = cyclic()
    selection = cheapest(priced)
    assert {priced.clusters[index].enodes for index in selection.enodes} >= {(OUTER, HIDDEN), (BACK,)}, (
        "as prices have it"
    )
    choice = priced.choice(selection)
    assert choice == {0: priced.clusters[0].enodes[0], 1: HIDDEN, 2: OUTER, 3: ROOT}


def test_clusters_that_serve_no_choice_for_all_are_taken_apart() -> None:
    # E-classes 1 and 2 as above, where the cluster's own e-node must win. E-class 5 hides (j) of e-class 4 over
    # e-class 6, which needs e-class 4 itself: there the chosen one must win. Nothing serves both.
    clusters = (
        Cluster((ENode("Input", (), ("x",)),)),
        Cluster((HIDDEN,)),
        Cluster((BACK,)),
        Cluster((OUTER,)),
        Cluster((OUTER, HIDDEN), (1,)),
        Cluster((ENode("Add", (1, 2, 4, 5)),)),
        Cluster((ENode("Cos", (0,)),)),
        Cluster((ENode("Sin", (6,)),)),
        Cluster((ENode("Exp", (4,)),)),
        Cluster((ENode("Exp", (4,)), ENode("Sin", (6,))), (4,)),
        Cluster((ENode("Tan", (4,)),)),
    )
    priced = PricedProblem(
        problem=ExtractionProblem(
            node_class=[0, 1, 1, 2, 2, 3, 4, 4, 5, 5, 6],
            children=[(), (0,), (2,), (1,), (0,), (1, 2, 4, 5), (0,), (6,), (4,), (6,), (4,)],
            cost_us=[0.0, 50.0, 1.0, 10.0, 11.0, 1.0, 1.0, 9.0, 9.0, 1.0, 1.0],
            num_classes=7,
            roots=(3,),
        ),
        clusters=clusters,
        handles=tuple(range(7)),
        canonical=tuple(range(7)),
        groups={},
    )
    selection = select(priced.problem, {0: 0, 1: 2, 2: 4, 3: 5, 4: 6, 5: 9, 6: 10})
    choice = priced.choice(selection)
    assert not is_cyclic(choice)
    assert (choice[1], choice[4]) == (HIDDEN, clusters[6].enodes[0])


def test_two_clusters_may_disagree_about_what_is_between() -> None:
    # E-class 1 inside both clusters, by other e-nodes: i in the one (e-class 2), j over e-class 2 in the other (3).
    inner, over = ENode("Relu", (0,)), ENode("Neg", (2,))
    one, two = ENode("Abs", (1,)), ENode("Exp", (1,))
    clusters = (
        Cluster((ENode("Input", (), ("x",)),)),
        Cluster((inner,)),
        Cluster((over,)),
        Cluster((one, inner), (1,)),
        Cluster((two, over), (1,)),
    )
    priced = PricedProblem(
        problem=ExtractionProblem(
            node_class=[0, 1, 1, 2, 3],
            children=[(), (0,), (2,), (0,), (2,)],
            cost_us=[0.0, 9.0, 9.0, 1.0, 1.0],
            num_classes=4,
            roots=(3, 2),
        ),
        clusters=clusters,
        handles=(0, 1, 2, 3),
        canonical=(0, 1, 2, 3),
        groups={},
    )
    choice = priced.choice(select(priced.problem, {0: 0, 2: 3, 3: 4}))
    assert not is_cyclic(choice)
    assert choice[1] == inner
