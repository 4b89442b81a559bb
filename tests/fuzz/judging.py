"""Whether a rewritten model computes what the model computes, as far as the float classes of its rules promise it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import numpy as np
import onnx
from typing_extensions import override

from eqsat.rules.rule import FloatClass
from eqsat.runtime import MeasurementError, Runtime, SessionSettings
from eqsat.runtime.batch import PLAIN, ModelRun
from eqsat.verify.judge import (
    CheckedInputs,
    Judge,
    Observation,
    Runner,
    Verdict,
    is_as_unstable,
    perturbed,
)
from eqsat.verify.sensitivity import Sensitivity
from eqsat.verify.tolerance import EQUAL, compare, tolerance
from tests.fuzz.feeds import FINITE_DRAWS, Draw
from tests.fuzz.running import run_all

NUM_VARIATIONS: Final = 6

ROUNDINGS: Final = 4.0
"""Roundings of the largest value on the way that rules which reassociate may add."""

_FLOATS: Final = frozenset({onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE})


@final
@dataclass(frozen=True, slots=True)
class Plainly(Runner):
    """Runs models one node after the other, as they stand."""

    runtime: Runtime

    @override
    def outputs(self, model: Path, feeds: Mapping[str, np.ndarray], settings: SessionSettings) -> dict[str, np.ndarray]:
        (answer,) = run_all(self.runtime, [ModelRun(model=model.read_bytes(), feeds=feeds)])
        if isinstance(answer, MeasurementError):
            raise answer
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the model that was rewritten.

    Attributes:
        path: The model.
        draw: Kind of the numbers that went in.
        feeds: What went in.
        outputs: What came out.
        sensitivities: How much rounding there is on the way to each output.
        is_regular: True where every float on the way was finite.
        largest: The largest of them.
    """

    path: Path
    draw: Draw
    feeds: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    sensitivities: Mapping[str, Sensitivity]
    is_regular: bool
    largest: float


def difference(run: Run, found: Mapping[str, np.ndarray], floats: FloatClass, runtime: Runtime) -> str:
    """Return what a rewritten model computes that it must not, in words; empty where all is right.

    Where a number on the way is infinite or NaN, only rules that keep such numbers promise anything; where it became
    so on the way, nobody does behind a sum, since the order of its terms, and so what overflows, is the kernel's own.

    Args:
        run: The run of the original.
        found: Outputs of the rewritten model on the same inputs.
        floats: The loosest float class among the rules applied.
        runtime: Runs the original again where a difference must be explained.
    """
    if list(found) != list(run.outputs):
        return f"the outputs are {list(found)} instead of {list(run.outputs)}"
    if not run.is_regular and not floats.keeps_nonfinite:
        return _difference_of_types(run.outputs, found)
    look = _Look(run, floats, runtime)
    for name, reference in run.outputs.items():
        candidate = found[name]
        if candidate.shape != reference.shape or candidate.dtype != reference.dtype:
            return _difference_of_types({name: reference}, found)
        sensitivity = run.sensitivities.get(name, Sensitivity())
        if not run.is_regular and run.draw in FINITE_DRAWS and sensitivity.num_reductions:
            continue
        allowed = EQUAL
        if reference.dtype.kind not in "iubO":
            bits, length = sensitivity.precision_bits, sensitivity.reduction_length
            allowed = tolerance(bits, floats, length, sensitivity.num_reductions)
        seen = Observation(
            name=name,
            reference=reference,
            candidate=candidate,
            allowed=allowed,
            difference=compare(reference, candidate, allowed),
            has_jumps=sensitivity.has_jumps,
        )
        if _is_within_the_largest(seen, floats, run.largest):
            continue
        if not seen.difference.is_within and look.is_wrong(seen):
            share = f"{seen.difference.num_mismatched} of {seen.difference.num_elements}"
            return f"{name!r}: {share}, {_first(reference, candidate)}"
    return ""


def _is_within_the_largest(seen: Observation, floats: FloatClass, largest: float) -> bool:
    """Whether rules that reassociate are off by no more than the largest value on the way is rounded by."""
    reference, candidate = seen.reference, seen.candidate
    if floats.looseness < FloatClass.REASSOCIATES.looseness or reference.dtype.kind != "f":
        return False
    is_finite = bool(np.isfinite(reference).all() and np.isfinite(candidate).all())
    return is_finite and seen.difference.max_abs_error <= ROUNDINGS * float(np.finfo(reference.dtype).eps) * largest


def _difference_of_types(outputs: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> str:
    for name, one in outputs.items():
        two = found[name]
        if two.shape != one.shape or two.dtype != one.dtype:
            return f"{name!r} is {two.dtype}{two.shape} instead of {one.dtype}{one.shape}"
    return ""


@final
class _Look:
    """The second look at an output: by the float64 truth, and by the original on numbers that mean the same."""

    def __init__(self, run: Run, floats: FloatClass, runtime: Runtime) -> None:
        self._run = run
        self._runtime = runtime
        inputs = CheckedInputs(
            feeds=run.feeds,
            scalable=frozenset(name for name, array in run.feeds.items() if array.dtype.kind == "f"),
            is_huge=run.draw in {Draw.HUGE, Draw.MIXED},
        )
        rng = np.random.default_rng(0)
        self._judge = Judge(run.path, inputs, Plainly(runtime), PLAIN, rng, float_class=floats)
        self._variations: list[Mapping[str, np.ndarray]] | None = None

    def is_wrong(self, seen: Observation) -> bool:
        """Return whether an output is neither as true as the original's nor within what the last bits decide."""
        if self._judge.verdict(seen) is not Verdict.MISMATCH:
            return False
        arrays = [each[seen.name] for each in self._varied() if each[seen.name].shape == seen.reference.shape]
        return not is_as_unstable(arrays, seen)

    def _varied(self) -> list[Mapping[str, np.ndarray]]:
        """Return what the original computes when inputs and weights move by a few units in the last place."""
        if self._variations is None:
            rng = np.random.default_rng(1)
            runs = [
                ModelRun(model=_moved(self._run.path.read_bytes(), rng), feeds=perturbed(self._run.feeds, rng))
                for _ in range(NUM_VARIATIONS)
            ]
            answers = run_all(self._runtime, runs)
            self._variations = [each for each in answers if not isinstance(each, MeasurementError)]
        return self._variations


def _moved(model: bytes, rng: np.random.Generator) -> bytes:
    """Return a model whose float weights are moved by a few units in their last places; whole numbers stay."""
    proto = onnx.ModelProto.FromString(model)
    for tensor in proto.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if tensor.data_type in _FLOATS and not np.array_equal(array, np.rint(array), equal_nan=True):
            tensor.CopyFrom(onnx.numpy_helper.from_array(perturbed({"": array}, rng)[""], tensor.name))
    return bytes(proto.SerializeToString())


def _first(reference: np.ndarray, candidate: np.ndarray) -> str:
    """The first place where two arrays differ, in words."""
    one, two = reference.reshape(-1), candidate.reshape(-1)
    same = (one == two) | ((one != one) & (two != two))  # noqa: PLR0124  # NaN of every type
    place = int(np.argmin(same))
    return f"{two[place]!r} instead of {one[place]!r}"


def instrumented(model: onnx.ModelProto, dtypes: Mapping[str, int]) -> bytes:
    """Return the model with every float of its main graph as an output.

    Args:
        model: The model.
        dtypes: Element types of its values, as far as they are known.
    """
    outputs = {value.name for value in model.graph.output}
    more = onnx.ModelProto()
    more.CopyFrom(model)
    for name in dict.fromkeys(name for node in model.graph.node for name in node.output):
        if dtypes.get(name, 0) in _FLOATS and name not in outputs:
            more.graph.output.append(onnx.helper.make_tensor_value_info(name, dtypes[name], None))
    return bytes(more.SerializeToString())


def largest_of(arrays: Mapping[str, np.ndarray]) -> float:
    """Return the largest magnitude of any float; infinite where one is infinite or NaN."""
    with np.errstate(invalid="ignore"):
        sizes = [float(np.abs(array).max(initial=0.0)) for array in arrays.values() if array.dtype.kind == "f"]
    return max((math.inf if math.isnan(size) else size for size in sizes), default=0.0)
