"""What the runtime says of models that work."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from eqsat.runtime import (
    LAYOUT_OPERATORS,
    Contender,
    MeasurementError,
    OptimizationLevel,
    Runtime,
    SessionSettings,
    StopReason,
)
from tests.runtime import models


@pytest.mark.parametrize(
    ("data_type", "array"),
    [
        (TensorProto.BFLOAT16, np.array([1.5, -2.0], dtype=ml_dtypes.bfloat16)),
        (TensorProto.FLOAT8E4M3FN, np.array([1.5, -2.0], dtype=ml_dtypes.float8_e4m3fn)),
        (TensorProto.FLOAT16, np.array([1.5, -2.0], dtype=np.float16)),
        (TensorProto.BOOL, np.array([True, False])),
        (TensorProto.INT64, np.array([1, -(2**62)])),
        (TensorProto.STRING, np.array(["one", "zwölf"], dtype=object)),
    ],
)
def test_outputs_come_back_in_their_own_type(
    data_type: int, array: np.ndarray, runtime: Runtime, settings: SessionSettings, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(models.identity(data_type))
    result = runtime.outputs(path, {"x": array}, settings)["y"]
    assert result.dtype == array.dtype
    assert result.tolist() == array.tolist()


def test_outputs_are_those_of_the_model_now_at_the_path(
    runtime: Runtime, settings: SessionSettings, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    feeds = models.matmul_feeds()
    for seed in (0, 1):
        path.write_bytes(models.matmul(seed=seed, prefix="x" * seed))
        weights = numpy_helper.to_array(models.weight("w", 32, 32, seed=seed))
        expected = np.maximum(feeds["x"] @ weights, 0)
        np.testing.assert_allclose(runtime.outputs(path, feeds, settings)["y"], expected, atol=1e-4)


def test_the_price_of_a_matmul_is_the_price_of_its_kernel(runtime: Runtime, settings: SessionSettings) -> None:
    price = runtime.price(models.matmul(), models.matmul_feeds(), settings)
    assert "MatMul" in [kernel.op_type for kernel in price.kernels]
    assert 0 < price.kernel_us <= price.wall_us
    assert math.isclose(sum(kernel.latency_us for kernel in price.kernels), price.kernel_us)
    assert price.num_runs >= 20
    assert price.yardstick_us > 0


def test_fresh_sessions_share_the_runs_as_far_as_time_allows(runtime: Runtime, settings: SessionSettings) -> None:
    model, feeds = models.matmul(), models.matmul_feeds()
    alone, shared, late = (
        runtime.price(model, feeds, settings, max_seconds=seconds, min_runs=900, num_sessions=number)
        for seconds, number in ((5.0, 1), (5.0, 3), (1e-9, 3))
    )
    assert alone.num_runs >= 900
    assert shared.num_runs >= 900
    assert late.num_runs == 3


def test_prices_show_what_the_provider_fused(runtime: Runtime, settings: SessionSettings) -> None:
    x = models.floats("x", 8, 32)
    y = models.floats("y", 8, 32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Add", ["h", "b"], ["y"])]
    model = models.model_bytes(nodes, [x], [y], [models.weight("w", 32, 32), models.weight("b", 32)])
    plain = SessionSettings(threads=1, level=OptimizationLevel.DISABLED)
    assert [k.op_type for k in runtime.price(model, models.matmul_feeds(), settings).kernels] == ["Gemm"]
    assert [k.op_type for k in runtime.price(model, models.matmul_feeds(), plain).kernels] == ["MatMul", "Add"]


def test_a_disabled_optimizer_stays_out(runtime: Runtime) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Add", ["h", "b"], ["y"])]
    weights = [models.weight("w", 32, 32), models.weight("b", 32)]
    model = models.model_bytes(nodes, [models.floats("x", 8, 32)], [models.floats("y", 8, 32)], weights)
    settings = SessionSettings(threads=1, disabled_optimizers=("MatMulAddFusion",))
    assert [k.op_type for k in runtime.price(model, models.matmul_feeds(), settings).kernels] == ["MatMul", "Add"]


def test_layout_nodes_can_be_left_out_of_a_price(runtime: Runtime, settings: SessionSettings) -> None:
    price = runtime.price(models.conv(), {"x": np.ones((1, 32, 8, 8), dtype=np.float32)}, settings)
    layout_us = sum(kernel.latency_us for kernel in price.kernels if kernel.op_type in LAYOUT_OPERATORS)
    assert math.isclose(price.without_us() + layout_us, price.kernel_us)
    assert any(kernel.op_type == "Conv" for kernel in price.kernels)


def test_a_model_that_folds_away_costs_nothing(runtime: Runtime, settings: SessionSettings) -> None:
    node = helper.make_node("Relu", ["w"], ["y"])
    model = models.model_bytes([node], [], [models.floats("y", 4)], [models.weight("w", 4)])
    price = runtime.price(model, {}, settings)
    assert price.kernels == ()
    assert price.kernel_us == 0.0


def test_a_whole_model_is_profiled_node_by_node(runtime: Runtime, settings: SessionSettings, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(models.matmul(prefix="block_"))
    profile = runtime.profile(path, models.matmul_feeds(), settings, max_seconds=0.1)
    assert profile.kernels[0].name == "block_multiply"
    assert profile.kernels[0].provider == "CPUExecutionProvider"


def test_graphs_that_differ_in_names_and_weights_have_one_fingerprint(
    runtime: Runtime, settings: SessionSettings
) -> None:
    first = runtime.optimized_fingerprint(models.matmul(), settings)
    assert runtime.optimized_fingerprint(models.matmul(prefix="other_", seed=5), settings) == first
    assert runtime.optimized_fingerprint(models.matmul(size=33), settings) != first


def test_graphs_that_onnxruntime_makes_equal_have_one_fingerprint(runtime: Runtime, settings: SessionSettings) -> None:
    nodes = [
        helper.make_node("Identity", ["x"], ["i"]),
        helper.make_node("MatMul", ["i", "w"], ["h"]),
        helper.make_node("Relu", ["h"], ["y"]),
    ]
    weights = [models.weight("w", 32, 32)]
    longer = models.model_bytes(nodes, [models.floats("x", 8, 32)], [models.floats("y", 8, 32)], weights)
    shorter = models.matmul()
    assert runtime.optimized_fingerprint(longer, settings) == runtime.optimized_fingerprint(shorter, settings)
    plain = SessionSettings(threads=1, level=OptimizationLevel.DISABLED)
    assert runtime.optimized_fingerprint(longer, plain) != runtime.optimized_fingerprint(shorter, plain)


@pytest.fixture
def contender(settings: SessionSettings, tmp_path: Path) -> Contender:
    path = tmp_path / "model.onnx"
    path.write_bytes(models.matmul())
    return Contender(path=path, settings=settings)


FEW: dict[str, Any] = {"num_pairs": 3, "rounds": 3, "min_run_s": 1e-4}


def test_a_model_against_itself_gives_a_finite_interval(runtime: Runtime, contender: Contender) -> None:
    comparison = runtime.compare([contender, contender], models.matmul_feeds(), **FEW)
    baseline, result = comparison.results[0], comparison.results[1]
    assert baseline.speedup == baseline.speedup_low == baseline.speedup_high == 1.0
    assert 0 < result.speedup_low <= result.speedup <= result.speedup_high < math.inf
    assert result.latency_us > 0
    assert result.num_pairs == comparison.num_pairs == 3
    assert comparison.stop_reason is StopReason.NUM_PAIRS
    assert comparison.failures == {}


def test_a_contender_that_fails_is_named_and_the_others_are_measured(
    runtime: Runtime, contender: Contender, settings: SessionSettings, tmp_path: Path
) -> None:
    nowhere = Contender(path=tmp_path / "nowhere.onnx", settings=settings)
    comparison = runtime.compare([contender, nowhere, contender], models.matmul_feeds(), **FEW)
    assert set(comparison.results) == {0, 2}
    assert set(comparison.failures) == {1}
    assert comparison.results[2].num_pairs == 3


def test_a_baseline_that_fails_is_an_error(
    runtime: Runtime, contender: Contender, settings: SessionSettings, tmp_path: Path
) -> None:
    nowhere = Contender(path=tmp_path / "nowhere.onnx", settings=settings)
    with pytest.raises(MeasurementError, match="nowhere"):
        runtime.compare([nowhere, contender], models.matmul_feeds(), **FEW)


def test_a_deadline_in_the_past_measures_nothing(runtime: Runtime, contender: Contender) -> None:
    comparison = runtime.compare([contender, contender], models.matmul_feeds(), deadline=0.0, **FEW)
    assert comparison.results == {}
    assert comparison.stop_reason is StopReason.DEADLINE


def test_a_comparison_needs_two(runtime: Runtime, contender: Contender) -> None:
    with pytest.raises(ValueError, match="at least one more"):
        runtime.compare([contender], models.matmul_feeds())


def test_memory_is_that_of_one_model_alone(runtime: Runtime, settings: SessionSettings, tmp_path: Path) -> None:
    sizes = {}
    for rows in (32, 4096):
        path = tmp_path / f"{rows}.onnx"
        weight = numpy_helper.from_array(np.ones((rows, 4096), np.float32), "w")
        graph = helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, rows])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4096])],
            [weight],
        )
        opsets = [helper.make_opsetid("", 18)]
        path.write_bytes(helper.make_model(graph, ir_version=8, opset_imports=opsets).SerializeToString())
        sizes[rows] = runtime.peak_memory_bytes(path, {"x": np.ones((1, rows), np.float32)}, settings)
    assert 32 * 4096 * 4 < sizes[4096] - sizes[32] < 4 * 4096 * 4096 * 4


def test_the_latency_of_one_model(runtime: Runtime, settings: SessionSettings, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(models.matmul())
    contender = Contender(path=path, settings=settings)
    assert 0.0 < runtime.latency_us(contender, models.matmul_feeds(), max_seconds=0.05) < math.inf
