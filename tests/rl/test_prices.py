"""The price table: more work costs more, and a fused pair less than its parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from eqsat.egraph.session import Session
from eqsat.prices.micro import Cluster, MicroMaker
from eqsat.prices.pricing import VIEW_US
from eqsat.prices.roofline import BYTES_PER_US, COSTLY_FLOPS, FLOPS_PER_US, LAUNCH_US, kernel
from rl.env.prices import TablePrices
from tests.pipeline import models


def prices(session: Session) -> dict[str, float]:
    """The price of each operator of a session."""
    enodes = [enode for _, members in session.eclasses() for enode in members]
    found = TablePrices().price(session, [Cluster((enode,)) for enode in enodes], MicroMaker(session, {}))
    return {cluster.enodes[0].operator: price for cluster, price in found.items()}


def products(folder: Path, rows: int, inner: int, columns: int) -> Session:
    nodes = [models.node("MatMul", "x w", "m"), models.node("Tanh", "m", "t"), models.node("Reshape", "t s", "y")]
    constants = {"w": models.weights(inner, columns), "s": np.array([-1])}
    model = models.make(nodes, [("x", [rows, inner])], [("y", [rows * columns])], constants)
    return models.session(folder, model, models.rules(models.rewrite("(Tanh x)", "(Neg x)", "unused")))


def test_products_cost_arithmetic_or_traffic(tmp_path: Path) -> None:
    heavy = prices(products(tmp_path, 256, 512, 128))["MatMul"]
    assert heavy == pytest.approx(LAUNCH_US + 2 * 256 * 512 * 128 / FLOPS_PER_US)
    light = prices(products(tmp_path, 1, 4096, 1))["MatMul"]
    assert light == pytest.approx(LAUNCH_US + 4 * (4096 + 4096 + 1) / BYTES_PER_US)


def test_other_operators_cost_their_elements(tmp_path: Path) -> None:
    found = prices(products(tmp_path, 64, 8, 1000))
    assert found["Tanh"] == pytest.approx(LAUNCH_US + max(COSTLY_FLOPS * 64_000 / FLOPS_PER_US, 512_000 / BYTES_PER_US))
    assert found["Reshape"] == VIEW_US
    assert found["Input"] == found["Const"] == 0.0


def test_what_picks_some_of_a_table_costs_what_it_picks(tmp_path: Path) -> None:
    def cost(num_rows: int) -> float:
        constants = {"table": models.weights(num_rows, 64)}
        nodes = [models.node("Cast", "x", "i", to=onnx.TensorProto.INT64), models.node("Gather", "table i", "y")]
        model = models.make(nodes, [("x", [16])], [("y", [16, 64])], constants)
        return prices(models.session(tmp_path, model, models.rules()))["Gather"]

    assert cost(100) == cost(100_000) == pytest.approx(LAUNCH_US + (2 * 4 * 16 * 64 + 8 * 16) / BYTES_PER_US)


@pytest.mark.parametrize("operator", ["Add", "Sum"])
def test_a_normalisation_of_three_dimensions_is_another_kernel_with_an_addition(tmp_path: Path, operator: str) -> None:
    def name(*shape: int) -> str:
        nodes = [models.node(operator, "x x", "s"), models.node("LayerNormalization", "s g", "y")]
        model = models.make(nodes, [("x", shape)], [("y", shape)], {"g": models.weights(8)})
        session = models.session(tmp_path, model, models.rules())
        by_operator = {enode.operator: (handle, enode) for handle, (enode,) in session.eclasses()}
        (link, inner), (_, outer) = by_operator[operator], by_operator["LayerNormalization"]
        assert kernel(session, Cluster((outer,))) == "LayerNormalization"
        return kernel(session, Cluster((outer, inner), (link,)))

    assert name(4, 8) == f"LayerNormalization/2d+{operator}"
    assert name(2, 4, 8) == f"LayerNormalization/3d+{operator}"


def test_a_convolution_costs_its_window(tmp_path: Path) -> None:
    def cost(group: int) -> float:
        nodes = [models.node("Conv", "x w", "y", group=group, pads=[1, 1, 1, 1])]
        constants = {"w": models.weights(64, 64 // group, 3, 3)}
        model = models.make(nodes, [("x", [1, 64, 32, 32])], [("y", [1, 64, 32, 32])], constants)
        return prices(models.session(tmp_path, model, models.rules()))["Conv"]

    assert cost(1) == pytest.approx(LAUNCH_US + 2 * 64 * 32 * 32 * 64 * 9 / FLOPS_PER_US)
    assert cost(1) > 5 * cost(64)


def test_fused_pairs_save_a_start_and_the_way_through_memory(tmp_path: Path) -> None:
    nodes = [models.node("Conv", "x w", "c"), models.node("Relu", "c", "y")]
    model = models.make(nodes, [("x", [1, 8, 9, 9])], [("y", [1, 8, 9, 9])], {"w": models.weights(8, 8, 1, 1)})
    session = models.session(tmp_path, model, models.rules())
    by_operator = {enode.operator: (handle, enode) for handle, (enode,) in session.eclasses()}
    link, conv = by_operator["Conv"]
    _, relu = by_operator["Relu"]
    pair, alone = Cluster((relu, conv), (link,)), [Cluster((relu,)), Cluster((conv,))]
    found = TablePrices().price(session, [pair, *alone], MicroMaker(session, {}))
    assert found[pair] < found[alone[0]] + found[alone[1]] - LAUNCH_US
    assert found[pair] >= found[alone[1]]


def test_a_pair_that_is_not_fused_saves_nothing(tmp_path: Path) -> None:
    nodes = [models.node("Sum", "x x", "s"), models.node("LayerNormalization", "s g", "y")]
    model = models.make(nodes, [("x", [4, 8])], [("y", [4, 8])], {"g": models.weights(8)})
    session = models.session(tmp_path, model, models.rules())
    by_operator = {enode.operator: (handle, enode) for handle, (enode,) in session.eclasses()}
    (link, inner), (_, outer) = by_operator["Sum"], by_operator["LayerNormalization"]
    pair, alone = Cluster((outer, inner), (link,)), [Cluster((outer,)), Cluster((inner,))]
    found = TablePrices().price(session, [pair, *alone], MicroMaker(session, {}))
    assert found[pair] == pytest.approx(found[alone[0]] + found[alone[1]])


def test_what_has_no_size_has_a_price_all_the_same(tmp_path: Path) -> None:
    model = models.make([models.node("Neg", "x", "y")], [("x", ["n"])], [("y", ["n"])])
    assert prices(models.session(tmp_path, model, models.rules()))["Neg"] == VIEW_US
