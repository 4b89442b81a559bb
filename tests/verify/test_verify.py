"""Wrong candidates are found, harmless rounding passes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest

from eqsat.errors import UsageError
from eqsat.rules.rule import FloatClass
from eqsat.runtime import OptimizationLevel, SessionFailedError, SessionSettings
from eqsat.verify import Draw, Reason, Verdict, input_specs, random_feeds, verify
from ir.reader import read
from tests.verify.models import BOOL, FLOAT, FLOAT16, INT64, InProcessRunner, node, save, weights
from tests.verify.pairs import Constants, Nodes, Pair, pair

W = weights(16, 16)
V = weights(16, 16, seed=1)
MLP: Nodes = [node("MatMul", "x w", "a"), node("Relu", "a", "b"), node("MatMul", "b v", "y")]


def test_the_same_model_is_equal(tmp_path: Path) -> None:
    found = pair(tmp_path).check((MLP, {"w": W, "v": V}), (MLP, {"w": W, "v": V}), float_class=FloatClass.EXACT)
    assert (found.is_equal, found.is_comparable, found.reason) == (True, True, Reason.EQUAL)
    assert (found.max_abs_error, found.failure) == (0.0, None)
    assert found.draws == {Draw.ORDINARY: 2, Draw.TINY: 2, Draw.HUGE: 2, Draw.WIDE: 1}
    assert [(output.name, output.verdict) for output in found.per_output] == [("y", Verdict.WITHIN)]


def test_another_association_is_within_tolerance(tmp_path: Path) -> None:
    product: Nodes = [node("MatMul", "x w", "a"), node("MatMul", "a v", "y")]
    found = pair(tmp_path).check(
        (product, {"w": W, "v": V}), ([node("MatMul", "x u", "y")], {"u": W @ V}), num_checks=4
    )
    assert found.is_equal
    assert found.max_abs_error > 0
    assert found.per_output[0].verdict is Verdict.WITHIN


SOFTMAX: Nodes = [node("MatMul", "x w", "a"), node("Softmax", "a", "y", axis=1)]


@pytest.mark.parametrize(
    ("original", "candidate"),
    [
        ((MLP, {"w": W, "v": V}), (MLP, {"w": V, "v": W})),
        ((MLP, {"w": W, "v": V}), (MLP, {"w": W, "v": V * np.float32(1.001)})),
        ((MLP, {"w": W, "v": V}), (MLP, {"w": W, "v": np.where(V.max() == V, V * np.float32(1.01), V)})),
        ((SOFTMAX, {"w": W}), ([node("MatMul", "x w", "a"), node("Softmax", "a", "y", axis=0)], {"w": W})),
        ((MLP, {"w": W, "v": V}), ([MLP[0], node("LeakyRelu", "a", "b"), MLP[2]], {"w": W, "v": V})),
        ((MLP, {"w": W, "v": V}), ([node("Identity", "x", "y")], {})),
    ],
    ids=["swapped-weights", "a-part-in-a-thousand", "one-weight", "axis", "activation", "nothing-left"],
)
def test_a_wrong_candidate_is_found(
    tmp_path: Path, original: tuple[Nodes, Constants], candidate: tuple[Nodes, Constants]
) -> None:
    found = pair(tmp_path).check(original, candidate, num_checks=1)
    assert (found.is_equal, found.is_comparable, found.reason) == (False, True, Reason.DIFFERENT)
    assert found.per_output[0].verdict is Verdict.MISMATCH
    assert "output 'y' differs by" in found.detail


def test_a_failing_case_can_be_run_again(tmp_path: Path) -> None:
    both = pair(tmp_path, ("batch", 16))
    found = both.check((MLP, {"w": W, "v": V}), (MLP, {"w": V, "v": W}), seed=7)
    assert found.failure is not None
    graph = read(tmp_path / "a.onnx")
    rng = np.random.default_rng((found.failure.seed, found.failure.check))
    sizes = {graph.symbols.intern(name): size for name, size in found.failure.sizes.items()}
    again = random_feeds(graph, input_specs(graph, {}), rng, sizes)
    assert np.array_equal(again["x"], found.failure.feeds["x"])


def test_an_error_that_shows_only_at_another_size_is_found(tmp_path: Path) -> None:
    right: Nodes = [node("Add", "x x", "y")]
    wrong: Nodes = [node("ReduceSum", "x axes", "s"), node("Add", "x s", "y")]
    both = pair(tmp_path, ("batch", 16))
    found = both.check((right, {}), (wrong, {"axes": np.array([0])}), num_checks=1)
    assert found.reason is Reason.DIFFERENT
    assert found.sizes_checked == ({"batch": 1}, {"batch": 2})
    assert found.failure is not None
    assert found.failure.sizes == {"batch": 2}
    fixed = both.check((right, {}), (wrong, {"axes": np.array([0])}), num_checks=3, input_shapes={"x": (1, 16)})
    assert fixed.is_equal
    assert fixed.sizes_checked == ({"batch": 1},)


def test_an_error_under_the_mask_is_found(tmp_path: Path) -> None:
    mask: Nodes = [node("Cast", "m", "f", to=FLOAT), node("Sub", "one f", "n"), node("Mul", "n big", "bias")]
    right: Nodes = [*mask, node("Add", "x bias", "a"), node("Softmax", "a", "y")]
    wrong: Nodes = [node("Softmax", "x", "y")]
    constants = {"one": np.ones((), np.float32), "big": np.full((), -1e4, np.float32)}
    both = Pair(tmp_path, [("x", FLOAT, (2, 16)), ("m", INT64, (2, 16))], [("y", FLOAT, None)])
    assert both.check((right, constants), (wrong, {}), num_checks=1).reason is Reason.DIFFERENT


def test_nan_equals_nan_but_no_number(tmp_path: Path) -> None:
    root: Nodes = [node("Sqrt", "x", "y")]
    assert (
        pair(tmp_path)
        .check((root, {}), ([node("Pow", "x half", "y")], {"half": np.full((), 0.5, np.float32)}))
        .is_equal
    )
    guarded: Nodes = [node("Relu", "x", "a"), node("Sqrt", "a", "y")]
    assert pair(tmp_path).check((root, {}), (guarded, {})).reason is Reason.DIFFERENT


def test_a_model_that_computes_only_nan_proves_nothing(tmp_path: Path) -> None:
    nothing: Nodes = [
        node("Mul", "x minus", "a"),
        node("Mul", "a x", "b"),
        node("Sub", "b one", "c"),
        node("Sqrt", "c", "y"),
    ]
    constants = {"minus": np.full((), -1, np.float32), "one": np.ones((), np.float32)}
    found = pair(tmp_path).check((nothing, constants), (nothing, constants))
    assert (found.is_equal, found.is_comparable, found.reason) == (False, False, Reason.NOTHING_FINITE)


def test_a_candidate_nearer_to_the_truth_passes(tmp_path: Path) -> None:
    constants = {name: np.full((), value, np.float32) for name, value in (("one", 1), ("most", 1.01), ("n", 24))}
    above: Nodes = [node("Mul", "x x", "s"), node("Add", "s one", "a")]
    lossy: Nodes = [*above, node("Log", "a", "l"), node("Mul", "l n", "m"), node("Exp", "m", "y")]
    found = pair(tmp_path).check((lossy, constants), ([*above, node("Pow", "a n", "y")], constants))
    assert found.is_equal
    assert found.per_output[0].verdict is Verdict.TRUE
    assert found.max_abs_error > 1e-5
    worse: Nodes = [*above, node("Pow", "a n", "p"), node("Mul", "p most", "y")]
    assert pair(tmp_path).check((lossy, constants), (worse, constants)).reason is Reason.DIFFERENT


def test_ties_of_argmax_may_fall_either_way(tmp_path: Path) -> None:
    tied = np.concatenate([W, W], axis=1)
    nudge = np.concatenate([np.full((16,), 1 - 2**-23), np.full((16,), 1)]).astype(np.float32)
    argmax: Nodes = [node("MatMul", "x w", "a"), node("ArgMax", "a", "y", axis=1, keepdims=0)]
    both = pair(tmp_path, (64, 16), output=INT64)
    found = both.check((argmax, {"w": tied}), (argmax, {"w": tied * nudge}))
    assert found.is_equal
    assert found.per_output[0].verdict is Verdict.UNSTABLE
    assert found.per_output[0].num_mismatched > 0
    assert found.max_abs_error == 0.0


def test_an_argmax_without_ties_must_agree(tmp_path: Path) -> None:
    argmax: Nodes = [node("MatMul", "x w", "a"), node("ArgMax", "a", "y", axis=1, keepdims=0)]
    other: Nodes = [node("MatMul", "x w", "a"), node("ArgMin", "a", "y", axis=1, keepdims=0)]
    both = pair(tmp_path, (64, 16), output=INT64)
    assert both.check((argmax, {"w": W}), (other, {"w": W})).reason is Reason.DIFFERENT
    nearly = W.copy()
    nearly[:, 0] *= np.float32(1.05)
    assert both.check((argmax, {"w": W}), (argmax, {"w": nearly})).reason is Reason.DIFFERENT


def test_comparisons_of_inputs_as_they_are_must_be_equal(tmp_path: Path) -> None:
    both = pair(tmp_path, output=BOOL)
    zero = {"zero": np.zeros((), np.float32)}
    found = both.check(([node("Greater", "x zero", "y")], zero), ([node("Less", "x zero", "y")], zero))
    assert found.reason is Reason.DIFFERENT


def test_16_bit_floats_are_judged_by_their_own_precision(tmp_path: Path) -> None:
    both = pair(tmp_path, dtype=FLOAT16, output=FLOAT16)
    w, v = W.astype(np.float16), V.astype(np.float16)
    two: Nodes = [node("MatMul", "x w", "a"), node("MatMul", "a v", "y")]
    fused = (W.astype(np.float32) @ V).astype(np.float16)
    assert both.check((two, {"w": w, "v": v}), ([node("MatMul", "x u", "y")], {"u": fused})).is_equal
    assert both.check((two, {"w": w, "v": v}), (two, {"w": v, "v": w})).reason is Reason.DIFFERENT


def test_an_approximation_passes_only_as_one(tmp_path: Path) -> None:
    both = pair(tmp_path, opset=20)
    exact, tanh = [node("Gelu", "x", "y")], [node("Gelu", "x", "y", approximate="tanh")]
    assert both.check((exact, {}), (tanh, {})).reason is Reason.DIFFERENT
    assert both.check((exact, {}), (tanh, {}), float_class=FloatClass.APPROXIMATES).is_equal


def test_a_random_model_is_not_comparable(tmp_path: Path) -> None:
    noise: Nodes = [node("RandomNormalLike", "x", "r"), node("Add", "x r", "y")]
    found = pair(tmp_path).check((noise, {}), (noise, {}))
    assert (found.is_comparable, found.reason) == (False, Reason.RANDOM_OPERATORS)
    assert "RandomNormalLike" in found.detail
    seeded: Nodes = [node("RandomNormalLike", "x", "r", seed=1.0), node("Add", "x r", "y")]
    assert pair(tmp_path).check((seeded, {}), (seeded, {})).is_equal


def test_a_dropout_in_training_mode_is_random(tmp_path: Path) -> None:
    training: Nodes = [node("Dropout", "x ratio on", "y")]
    constants = {"ratio": np.full((), 0.5, np.float32), "on": np.array(True)}
    assert pair(tmp_path).check((training, constants), (training, constants)).reason is Reason.RANDOM_OPERATORS
    constants["on"] = np.array(False)
    assert pair(tmp_path).check((training, constants), (training, constants)).is_equal


def test_an_input_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    words = onnx.TensorProto.STRING
    found = pair(tmp_path, dtype=words, output=words).check(
        ([node("Identity", "x", "y")], {}), ([node("Identity", "x", "y")], {})
    )
    assert (found.is_comparable, found.reason) == (False, Reason.UNSUPPORTED_INPUT)
    assert "'x'" in found.detail


def test_sizes_at_which_the_original_fails_are_skipped_and_named(tmp_path: Path) -> None:
    nodes: Nodes = [node("Reshape", "x pairs", "y")]
    both = pair(tmp_path, ("rows", 7))
    found = both.check((nodes, {"pairs": np.array([-1, 14])}), (nodes, {"pairs": np.array([-1, 14])}))
    assert found.is_equal
    assert found.sizes_checked == ({"rows": 224}, {"rows": 96}, {"rows": 160}, {"rows": 0})
    odd: Nodes = [node("Reshape", "x pairs", "y")]
    both = pair(tmp_path, ("batch", 7))
    found = both.check((odd, {"pairs": np.array([-1, 14])}), (odd, {"pairs": np.array([-1, 14])}))
    assert found.is_equal
    assert found.sizes_checked == ({"batch": 2}, {"batch": 0})
    assert [skipped.sizes for skipped in found.sizes_skipped] == [{"batch": 1}, {"batch": 3}, {"batch": 1}]
    assert found.draws == {Draw.ORDINARY: 3, Draw.TINY: 2, Draw.HUGE: 2, Draw.WIDE: 1, Draw.EDGE: 1}


def test_an_original_that_never_runs_is_not_comparable(tmp_path: Path) -> None:
    nodes: Nodes = [node("Reshape", "x five", "y")]
    constants = {"five": np.array([5])}
    found = pair(tmp_path, ("batch", 7)).check((nodes, constants), (nodes, constants))
    assert (found.is_equal, found.is_comparable, found.reason) == (False, False, Reason.ORIGINAL_FAILED)
    assert len(found.sizes_skipped) == 3


def test_a_candidate_that_does_not_run_is_refused(tmp_path: Path) -> None:
    found = pair(tmp_path).check(
        ([node("Relu", "x", "y")], {}), ([node("Reshape", "x five", "y")], {"five": np.array([5])})
    )
    assert (found.is_equal, found.reason) == (False, Reason.CANDIDATE_FAILED)
    assert found.failure is not None


def test_another_shape_or_type_is_refused(tmp_path: Path) -> None:
    both = pair(tmp_path)
    assert both.check(([node("Relu", "x", "y")], {}), ([node("Transpose", "x", "y")], {})).reason is Reason.DIFFERENT


def test_other_names_of_outputs_are_refused(tmp_path: Path) -> None:
    one = save(tmp_path / "a.onnx", [node("Relu", "x", "y")], [("x", FLOAT, (2,))], [("y", FLOAT, (2,))])
    two = save(tmp_path / "b.onnx", [node("Relu", "x", "z")], [("x", FLOAT, (2,))], [("z", FLOAT, (2,))])
    found = verify(
        one,
        two,
        read(one),
        InProcessRunner(),
        settings=SessionSettings(),
        num_checks=1,
        seed=0,
        float_class=FloatClass.EXACT,
        input_shapes={},
    )
    assert (found.reason, found.detail) == (Reason.DIFFERENT, "the outputs are z instead of y")


class Unsteady:
    """Answers by model name, and something else without the provider's own fusions."""

    def __init__(self, unfused_error: float) -> None:
        self.unfused_error = unfused_error

    def outputs(self, model: Path, feeds: Mapping[str, np.ndarray], settings: SessionSettings) -> dict[str, np.ndarray]:
        y = np.tanh(feeds["x"])
        if model.name == "b.onnx":
            y = y + np.float32(1e-3)
        elif settings.level is OptimizationLevel.DISABLED:
            y = y + np.float32(self.unfused_error)
        return {"y": y}


@pytest.mark.parametrize(("unfused_error", "verdict"), [(5e-4, Verdict.UNSTABLE), (1e-5, Verdict.MISMATCH)])
def test_without_a_truth_the_original_itself_is_the_measure(
    tmp_path: Path, unfused_error: float, verdict: Verdict
) -> None:
    gelu = [node("Gelu", "x", "y", domain="com.microsoft")]
    one = save(tmp_path / "a.onnx", gelu, [("x", FLOAT, (8,))], [("y", FLOAT, (8,))])
    two = save(tmp_path / "b.onnx", gelu, [("x", FLOAT, (8,))], [("y", FLOAT, (8,))])
    found = verify(
        one,
        two,
        read(one),
        Unsteady(unfused_error),
        settings=SessionSettings(),
        num_checks=1,
        seed=0,
        float_class=FloatClass.REASSOCIATES,
        input_shapes={},
    )
    assert found.per_output[0].verdict is verdict
    assert found.is_equal is (verdict is Verdict.UNSTABLE)


class Shaky:
    """Moves by a thousandth whenever the inputs are not the first ones seen."""

    def __init__(self) -> None:
        self.first: bytes = b""

    def outputs(self, model: Path, feeds: Mapping[str, np.ndarray], settings: SessionSettings) -> dict[str, np.ndarray]:
        self.first = self.first or feeds["x"].tobytes()
        is_moved = model.name == "b.onnx" or feeds["x"].tobytes() != self.first
        return {"y": np.tanh(feeds["x"]) + np.float32(1e-3 * is_moved)}


@pytest.mark.parametrize(("domain", "verdict"), [("own", Verdict.UNSTABLE), ("", Verdict.MISMATCH)])
def test_a_truth_overrules_the_instability_of_the_original(tmp_path: Path, domain: str, verdict: Verdict) -> None:
    tanh = [node("Tanh", "x", "y", domain=domain)]
    one = save(tmp_path / "a.onnx", tanh, [("x", FLOAT, (8,))], [("y", FLOAT, (8,))])
    two = save(tmp_path / "b.onnx", tanh, [("x", FLOAT, (8,))], [("y", FLOAT, (8,))])
    found = verify(
        one,
        two,
        read(one),
        Shaky(),
        settings=SessionSettings(),
        num_checks=1,
        seed=0,
        float_class=FloatClass.REASSOCIATES,
        input_shapes={},
    )
    assert found.per_output[0].verdict is verdict


def test_the_candidate_can_have_settings_of_its_own(tmp_path: Path) -> None:
    path = save(tmp_path / "a.onnx", [node("Relu", "x", "y")], [("x", FLOAT, (2,))], [("y", FLOAT, (2,))])
    runner = InProcessRunner()
    basic = SessionSettings(level=OptimizationLevel.BASIC)
    verify(
        path,
        path,
        read(path),
        runner,
        settings=SessionSettings(),
        candidate_settings=basic,
        num_checks=1,
        seed=0,
        float_class=FloatClass.EXACT,
        input_shapes={},
    )
    levels = [settings.level for _, settings, _ in runner.seen]
    assert levels == [OptimizationLevel.ALL] * 6 + [OptimizationLevel.BASIC] * 6


def test_each_check_has_inputs_of_its_own_and_a_seed_repeats_them(tmp_path: Path) -> None:
    runs = []
    for seed in (3, 3, 4):
        both = pair(tmp_path)
        both.check(([node("Relu", "x", "y")], {}), ([node("Relu", "x", "y")], {}), num_checks=3, seed=seed)
        runs.append([feeds["x"] for model, _, feeds in both.runner.seen if model.name == "a.onnx"])
    assert len({array.tobytes() for array in runs[0]}) == len(runs[0]) == 8
    assert [array.tobytes() for array in runs[0]] == [array.tobytes() for array in runs[1]]
    assert runs[0][0].tobytes() != runs[2][0].tobytes()


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    relu: tuple[Nodes, Constants] = ([node("Relu", "x", "y")], {})
    with pytest.raises(ValueError, match="at least one check"):
        pair(tmp_path).check(relu, relu, num_checks=0)
    with pytest.raises(UsageError, match="names 'z'"):
        pair(tmp_path).check(relu, relu, input_shapes={"z": (1,)})


def test_the_runner_in_these_tests_reports_failures_as_the_runtime_does(tmp_path: Path) -> None:
    path = save(tmp_path / "a.onnx", [node("Nonsense", "x", "y")], [("x", FLOAT, (2,))], [("y", FLOAT, (2,))])
    with pytest.raises(SessionFailedError):
        InProcessRunner().outputs(path, {}, SessionSettings())
