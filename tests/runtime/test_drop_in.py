from __future__ import annotations

from pathlib import Path

import onnx
import pytest

import eqsat
from eqsat.errors import ModelError, ProviderError
from eqsat.pipeline.job import Job
from eqsat.pipeline.provenance import provenance
from eqsat.runtime import drop_in
from eqsat.runtime.devices import has_cuda
from eqsat.runtime.drop_in import DISABLED_OPTIMIZERS_KEY, LEVEL_KEY, load
from tests.runtime import models

CPU = ["CPUExecutionProvider"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def write(path: Path, metadata: dict[str, str]) -> None:
    model = onnx.load_model_from_string(models.matmul())
    onnx.helper.set_model_props(model, metadata)
    onnx.save_model(model, path)


def test_the_level_in_the_model_is_the_level_of_the_session(path: Path) -> None:
    import onnxruntime

    write(path, {LEVEL_KEY: "ORT_ENABLE_BASIC", DISABLED_OPTIMIZERS_KEY: "MatMulAddFusion,GeluFusion"})
    session = load(path, CPU, threads=1)
    options = session.get_session_options()
    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert options.intra_op_num_threads == 1
    assert session.run(None, models.matmul_feeds())[0].shape == (8, 32)


def test_a_model_that_says_nothing_opens_with_the_callers_options(path: Path) -> None:
    import onnxruntime

    write(path, {})
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = load(path, CPU, options=options)
    level = session.get_session_options().graph_optimization_level
    assert level == onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL


def test_a_level_of_the_future_is_an_error(path: Path) -> None:
    write(path, {LEVEL_KEY: "ORT_ENABLE_MAGIC"})
    with pytest.raises(ModelError, match="ORT_ENABLE_MAGIC"):
        load(path, CPU)


@pytest.mark.parametrize(
    ("wanted", "has_device", "expected"),
    [
        ("CPUExecutionProvider", True, CPU),
        ("CUDAExecutionProvider", True, ["CUDAExecutionProvider", *CPU]),
        ("CUDAExecutionProvider", False, CPU),
        ("CoreMLExecutionProvider", False, CPU),
        (None, True, ["TensorrtExecutionProvider", "CUDAExecutionProvider", *CPU]),
        (None, False, CPU),
    ],
)
def test_the_provider_is_the_one_that_the_model_was_measured_on(
    wanted: str | None, has_device: bool, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    available = ["TensorrtExecutionProvider", "CUDAExecutionProvider", *CPU]
    monkeypatch.setattr(drop_in, "has_cuda", lambda: has_device)
    metadata = {} if wanted is None else {drop_in.PROVIDER_KEY: wanted}
    assert drop_in._with_device(drop_in._default_providers(metadata, available)) == expected


def test_nothing_is_printed_where_there_is_no_device(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    if has_cuda():
        pytest.skip("there is a CUDA driver here")
    write(path, {})
    assert load(path).get_providers() == CPU
    assert capfd.readouterr() == ("", "")


def test_a_provider_without_a_device_is_left_out_where_another_is_named(
    path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop_in, "has_cuda", lambda: False)
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider", *CPU])
    write(path, {})
    assert load(path, [("CUDAExecutionProvider", {"device_id": 0}), *CPU]).get_providers() == CPU
    with pytest.raises(ProviderError, match="there is no CUDA device; add CPUExecutionProvider"):
        load(path, ["CUDAExecutionProvider"])
    assert capfd.readouterr() == ("", "")


def test_the_key_is_the_one_that_outputs_have() -> None:
    assert drop_in.PROVIDER_KEY in provenance(Job(input_path="a.onnx"), None, {}).entries()


def test_a_provider_that_onnxruntime_does_not_have_is_an_error(path: Path) -> None:
    write(path, {})
    with pytest.raises(ProviderError, match=r"no CPUExecutonProvider; it has: .*; did you mean 'CPUExecutionProvider'"):
        load(path, ["CPUExecutonProvider"])


def test_a_file_that_is_no_model_is_a_model_error(path: Path) -> None:
    for content in (None, b"", b"no model"):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ModelError):
            eqsat.load(path)
