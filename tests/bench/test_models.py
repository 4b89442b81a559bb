"""The registry: every model builds, and what is exported computes what torch computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from bench import light, models
from bench.spec import Attention, Content, Size, Variant

QUICK = ("bert-1l", "transformer-transducer", "dalle", "nasrnn", "resnext50")
BUILT = [spec.name for spec in models.list_models() if spec.architecture]
SHIPPED = [spec.name for spec in models.list_models() if not spec.architecture]
TOLERANCE = 1e-4


def run(path: Path, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return [np.asarray(output) for output in session.run(None, feeds)]


def run_torch(name: str, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    import torch

    from bench.architectures.build import build_module

    choice = models.find(name, size="small")
    module = build_module(choice.spec, choice.variant, seed=models.SEED)
    with torch.no_grad():
        outputs = module(*[torch.from_numpy(array) for array in feeds.values()])
    return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]


def assert_close(found: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    assert len(found) == len(wanted)
    for left, right in zip(found, wanted, strict=True):
        assert left.shape == right.shape
        assert np.abs(left - right).max() <= TOLERANCE * np.abs(right).max()


def assert_inputs_matter(first: list[np.ndarray], second: list[np.ndarray]) -> None:
    """A model that forgets its input would agree with a wrong version of itself."""
    for left, right in zip(first, second, strict=True):
        assert np.isfinite(left).all()
        assert np.abs(left - right).max() > 0.02 * np.abs(left).max()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def test_names_are_unique_and_each_class_has_a_model() -> None:
    names = [spec.name for spec in models.list_models()]
    assert len(set(names)) == len(names)
    assert {spec.model_class for spec in models.list_models()} == set(type(models.list_models()[0].model_class))


def test_a_number_of_layers_is_part_of_a_name() -> None:
    choice = models.find("bert-4l", size="small", attention="eager")
    assert choice.spec.name == "bert"
    assert choice.variant == Variant(size=Size.SMALL, num_layers=4, attention=Attention.EAGER)


@pytest.mark.parametrize("name", ["berd", "resnet50-4l", "bert-0l", "bert-4l-4l", "-4l", ""])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(models.UnknownModelError, match="--list"):
        models.find(name)


def test_samples_are_seeded_and_respect_tokens_and_masks() -> None:
    feeds = models.inputs("bert", size="small", axes={"batch": 5, "sequence": 12}, seed=3)
    again = models.inputs("bert", size="small", axes={"batch": 5, "sequence": 12}, seed=3)
    other = models.inputs("bert", size="small", axes={"batch": 5, "sequence": 12}, seed=4)
    assert all(np.array_equal(feeds[name], again[name]) for name in feeds)
    assert not np.array_equal(feeds["input_ids"], other["input_ids"])
    assert {array.shape for array in feeds.values()} == {(5, 12)}
    assert feeds["input_ids"].max() < 1000
    assert set(np.unique(feeds["token_type_ids"])) == {0, 1}
    mask = feeds["attention_mask"]
    assert mask[0].tolist() == [1] * 9 + [0] * 3
    assert mask.sum(axis=1).min() >= 1
    assert np.array_equal(mask, np.sort(mask, axis=1)[:, ::-1])


@pytest.mark.parametrize("name", QUICK)
def test_an_export_computes_what_torch_computes(name: str, cache: Path) -> None:
    feeds = models.inputs(name, size="small", seed=1)
    assert_close(run(models.export(name, size="small", cache=cache), feeds), run_torch(name, feeds))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in BUILT if name not in QUICK])
def test_every_export_computes_what_torch_computes(name: str, cache: Path) -> None:
    feeds = models.inputs(name, size="small", seed=1)
    assert_close(run(models.export(name, size="small", cache=cache), feeds), run_torch(name, feeds))


def test_a_dynamic_export_runs_at_other_sizes(cache: Path) -> None:
    path = models.export("bert-1l", size="small", dynamic=True, cache=cache)
    feeds = models.inputs("bert-1l", size="small", axes={"batch": 3, "sequence": 7}, seed=2)
    assert_close(run(path, feeds), run_torch("bert-1l", feeds))
    dims = [dim.dim_param for dim in onnx.load(path).graph.input[0].type.tensor_type.shape.dim]
    assert dims == ["batch", "sequence"]


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILT)
def test_every_dynamic_export_runs_at_other_sizes(name: str, cache: Path) -> None:
    path = models.export(name, size="small", dynamic=True, cache=cache)
    feeds = models.inputs(name, size="small", axes={"batch": 3, "sequence": 20}, seed=2)
    assert_close(run(path, feeds), run_torch(name, feeds))


@pytest.mark.slow
@pytest.mark.parametrize("opset", [20, 23])
@pytest.mark.parametrize("name", ["bert", "gpt2", "swin", "t5-encoder", "convnext", "nasrnn"])
def test_newer_opsets_compute_the_same(name: str, opset: int, cache: Path) -> None:
    path = models.export(name, size="small", opset=opset, cache=cache)
    feeds = models.inputs(name, size="small", seed=1)
    assert_close(run(path, feeds), run_torch(name, feeds))
    assert onnx.load(path).opset_import[0].version == opset


def test_eager_attention_is_another_graph_that_computes_the_same(cache: Path) -> None:
    fused = models.export("bert-1l", size="small", cache=cache)
    eager = models.export("bert-1l", size="small", attention="eager", cache=cache)
    feeds = models.inputs("bert-1l", size="small")
    assert_close(run(eager, feeds), run(fused, feeds))
    assert "IsNaN" in {node.op_type for node in onnx.load(fused).graph.node}
    assert "IsNaN" not in {node.op_type for node in onnx.load(eager).graph.node}


def test_every_input_and_bias_matters() -> None:
    import torch

    from bench.architectures.build import build_module

    choice = models.find("bert-1l", size="small")
    module = build_module(choice.spec, choice.variant, seed=0)
    feeds = models.inputs("bert-1l", size="small")
    whole = run_torch("bert-1l", feeds)[0]
    for spec in choice.spec.inputs(choice.variant):
        changed = dict(feeds)
        changed[spec.name] = 1 - feeds[spec.name] if spec.content is Content.MASK else feeds[spec.name][:, ::-1].copy()
        assert np.abs(run_torch("bert-1l", changed)[0] - whole).max() > 0.01, spec.name
    biases = [value for name, value in module.named_parameters() if name.endswith("bias")]
    assert biases
    assert all(torch.count_nonzero(bias) == bias.numel() for bias in biases)


def test_the_split_form_is_the_grouped_form_written_out(cache: Path) -> None:
    operators = [
        node.op_type for node in onnx.load(models.export("resnext50-split", size="small", cache=cache)).graph.node
    ]
    assert operators.count("Split") == 2
    assert operators.count("Conv") == 2 * 32 + 7


def test_the_second_export_comes_from_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = models.export("bert-1l", size="small", cache=cache)

    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("exported again")

    monkeypatch.setattr(models, "export_architecture", fail)
    assert models.export("bert-1l", size="small", cache=cache) == path


def test_a_failed_export_leaves_no_file(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("no space")

    monkeypatch.setattr(torch.onnx.ONNXProgram, "save", fail)
    with pytest.raises(RuntimeError, match="no space"):
        models.export("squeezenet", size="small", cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_shipped_model_gets_weights_and_keeps_everything_else(cache: Path) -> None:
    model = onnx.load(models.export("light_squeezenet", cache=cache))
    published = onnx.load(light.path_of("light_squeezenet"))
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == published.ir_version
    assert model.opset_import == published.opset_import
    kept = [node for node in published.graph.node if node.op_type != "ConstantOfShape"]
    assert list(model.graph.node) == kept
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert all(np.unique(array).size > 1 for array in weights.values())


@pytest.mark.parametrize(
    ("weight", "role"),
    [
        ("conv1_w_0", "kernel"),
        ("conv2_1/x1/bn_mean_0", "mean"),
        ("conv2_1/x1/bn_var_0", "variance"),
        ("conv2_1/x1/bn_scale_0", "scale"),
        ("conv2_1/x1/bn_bias_0", "bias"),
        ("conv2_1/x1/bn_w_0", "scale"),
        ("conv2_1/x1/bn_b_0", "bias"),
    ],
)
def test_a_weight_is_drawn_by_what_reads_it(weight: str, role: str) -> None:
    graph = onnx.load(light.path_of("light_densenet121")).graph
    assert light.role_of(graph, weight).value == role


@pytest.mark.parametrize("name", ["light_squeezenet", "light_shufflenet"])
def test_a_shipped_model_tells_inputs_apart(name: str, cache: Path) -> None:
    assert_inputs_matter(*(run(models.export(name, cache=cache), models.inputs(name, seed=seed)) for seed in (1, 2)))


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_model_tells_inputs_apart(name: str, cache: Path) -> None:
    assert_inputs_matter(*(run(models.export(name, cache=cache), models.inputs(name, seed=seed)) for seed in (1, 2)))


@pytest.mark.parametrize("name", ["resnet50", "efficientnet-b0"])
def test_a_built_model_tells_inputs_apart(name: str) -> None:
    assert_inputs_matter(*(run_torch(name, models.inputs(name, size="small", seed=seed)) for seed in (1, 2)))


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILT)
def test_every_built_model_tells_inputs_apart(name: str) -> None:
    assert_inputs_matter(*(run_torch(name, models.inputs(name, size="small", seed=seed)) for seed in (1, 2)))


def test_statistics_of_batch_norms_are_those_of_their_inputs() -> None:
    import torch

    from bench.architectures.weights import measure_statistics

    first, second = torch.nn.BatchNorm2d(3), torch.nn.BatchNorm2d(3)
    images = 5.0 + 2.0 * torch.randn((4, 3, 6, 6), generator=torch.Generator().manual_seed(0))
    network = torch.nn.Sequential(first, second).eval()
    measure_statistics(network, [images])
    assert not first.training
    assert torch.allclose(network(images).mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(network(images).var(dim=(0, 2, 3)), torch.ones(3), atol=0.02)


def test_statistics_of_a_shipped_model_normalise_its_image(cache: Path) -> None:
    """The first batch norm of ShuffleNet, rerun by itself on what the first convolution makes of the image."""
    model = onnx.load(models.export("light_shufflenet", cache=cache))
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    norm = next(node for node in model.graph.node if node.op_type == "BatchNormalization")
    model.graph.ClearField("output")
    model.graph.output.add().name = norm.input[0]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (activations,) = session.run(None, models.inputs("light_shufflenet", seed=models.SEED))
    assert np.allclose(weights[norm.input[3]], np.mean(activations, axis=(0, 2, 3)), atol=1e-4)
    assert np.allclose(weights[norm.input[4]], np.var(activations, axis=(0, 2, 3)), rtol=1e-3)


def test_a_shipped_model_cannot_be_dynamic(tmp_path: Path) -> None:
    with pytest.raises(models.UnsupportedVariantError, match="static shapes"):
        models.export("light_vgg19", dynamic=True, cache=tmp_path)


def test_the_command_writes_the_file_it_is_asked_for(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.onnx"
    assert models.main(["bert-1l", "--size", "small", "--cache", str(cache), "-o", str(output)]) == 0
    assert capsys.readouterr().out == f"{output}\n"
    onnx.checker.check_model(output)


def test_the_command_lists_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert models.main(["--list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == [spec.name for spec in models.list_models()]


def test_the_command_names_an_unknown_model_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert models.main(["berd"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: unknown model 'berd'; 'python -m bench.models --list' prints the names"
    ]
