"""A selection becomes a file: new constants are folded, names and metadata stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper

from eqsat.egraph.build import Built, build, discard
from eqsat.egraph.enode import ENode
from eqsat.egraph.session import Session
from eqsat.extraction.cpsat import solve
from eqsat.runtime import SessionSettings
from tests.pipeline import models, pricing
from tests.pipeline.fake_runtime import FakeRuntime

JOIN = models.rewrite("(Add (Add x a) b)", "(Add x (Add a b))", "add-reassociate", "(constant a) (constant b)")


def choice(session: Session, folder: Path, prices: dict[str, float] | None = None) -> dict[int, ENode]:
    by = pricing.pricer(FakeRuntime(prices), folder / "db.sqlite")
    priced = pricing.priced(session, by)
    return priced.choice(solve(priced.problem, time_limit_s=20).selection)


def built(session: Session, folder: Path) -> Built:
    return build(session, choice(session, folder), FakeRuntime().as_runtime(), folder / "built.onnx")


def two_sums(size: int = 4) -> onnx.ModelProto:
    nodes = [models.node("Add", "x a", "h"), models.node("Add", "h b", "y")]
    constants = {"a": models.weights(size, seed=1), "b": models.weights(size, seed=2)}
    return models.make(nodes, [("x", [2, size])], [("y", [2, size])], constants)


def test_a_new_constant_is_computed_once(tmp_path: Path) -> None:
    session = models.session(tmp_path, two_sums(), models.rules(JOIN))
    session.apply(session.candidates())
    found = built(session, tmp_path)
    graph = onnx.load_model(found.path).graph
    assert [node.op_type for node in graph.node] == ["Add"]
    (folded,) = graph.initializer
    expected = models.weights(4, seed=1) + models.weights(4, seed=2)
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(folded), expected)
    assert found.origins == {"add-reassociate": 1}
    assert found.operators == {"Add": 1}


def test_the_models_own_constant_nodes_stay(tmp_path: Path) -> None:
    nodes = [models.node("Add", "a b", "c"), models.node("Mul", "x c", "y")]
    constants = {"a": models.weights(4, seed=1), "b": models.weights(4, seed=2)}
    model = models.make(nodes, [("x", [2, 4])], [("y", [2, 4])], constants)
    found = built(models.session(tmp_path, model, models.rules()), tmp_path)
    assert models.operators(found.path) == ["Add", "Mul"]
    assert not found.origins


def test_names_and_metadata_are_kept_and_nothing_that_an_earlier_run_said(tmp_path: Path) -> None:
    model = two_sums()
    for key, text in {"author": "somebody", "eqsat.speedup": "1.2", "eqsat.disabled_optimizers": "A"}.items():
        model.metadata_props.add(key=key, value=text)
    session = models.session(tmp_path, model, models.rules(JOIN))
    session.apply(session.candidates())
    written = onnx.load_model(built(session, tmp_path).path)
    assert [value.name for value in written.graph.input] == ["x"]
    assert [value.name for value in written.graph.output] == ["y"]
    assert {each.key: each.value for each in written.metadata_props} == {"author": "somebody"}
    assert list(written.opset_import) == list(model.opset_import)
    assert written.ir_version == model.ir_version


def test_it_computes_the_same(tmp_path: Path) -> None:
    session = models.session(tmp_path, two_sums(), models.rules(JOIN))
    session.apply(session.candidates())
    path = built(session, tmp_path).path
    runtime = FakeRuntime()
    feeds = {"x": models.weights(2, 4, seed=3)}
    settings = SessionSettings()
    one, two = (runtime.outputs(each, feeds, settings)["y"] for each in (tmp_path / "model.onnx", path))
    np.testing.assert_allclose(one, two, rtol=1e-6)


def test_nothing_is_left_of_the_folding(tmp_path: Path) -> None:
    session = models.session(tmp_path, two_sums(), models.rules(JOIN))
    session.apply(session.candidates())
    built(session, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.onnx")) == ["built.onnx", "model.onnx"]


def test_discarding_takes_the_data_along(tmp_path: Path) -> None:
    for name in ("a.onnx", "a.onnx.data", "b.onnx"):
        (tmp_path / name).touch()
    discard(tmp_path / "a.onnx")
    discard(tmp_path / "a.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["b.onnx"]
