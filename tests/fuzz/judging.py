"""Whether a rewritten model computes what the model computes, as far as the float classes of its rules promise it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import onnx
from typing_extensions import override

from eqsat.rules.rule import FloatClass
from eqsat.runtime import MeasurementError, Runtime, SessionSettings
from eqsat.runtime.batch import PLAIN, ModelRun
from eqsat.verify.judge import Judge, Observation, Runner, Verdict
from eqsat.verify.sensitivity import Sensitivity
from eqsat.verify.tolerance import EQUAL, compare, tolerance
from tests.fuzz.feeds import Draw
from tests.fuzz.running import run_all

_FLOATS = frozenset({onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE})


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
    """

    path: Path
    draw: Draw
    feeds: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    sensitivities: Mapping[str, Sensitivity]
    is_regular: bool


def difference(run: Run, found: Mapping[str, np.ndarray], floats: FloatClass, runtime: Runtime) -> str:
    """Return what a rewritten model computes that it must not, in words; empty where all is right.

    On numbers that overflow on the way, rules that assume finite values promise nothing, and rules that reassociate
    promise that what was finite stays finite, and what was not 0 stays so.

    Args:
        run: The run of the original.
        found: Outputs of the rewritten model on the same inputs.
        floats: The loosest float class among the rules applied.
        runtime: Runs the original again where a difference must be explained.
    """
    if list(found) != list(run.outputs):
        return f"the outputs are {list(found)} instead of {list(run.outputs)}"
    judge = Judge(run.path, run.feeds, Plainly(runtime), PLAIN, np.random.default_rng(0))
    for name, reference in run.outputs.items():
        candidate = found[name]
        if candidate.shape != reference.shape or candidate.dtype != reference.dtype:
            return f"{name!r} is {candidate.dtype}{candidate.shape} instead of {reference.dtype}{reference.shape}"
        if not run.is_regular and floats is FloatClass.FINITE:
            continue
        sensitivity = run.sensitivities.get(name, Sensitivity())
        is_float = reference.dtype.kind not in "iubO"
        if not run.is_regular and floats is FloatClass.REASSOCIATES and run.draw is not Draw.SPECIAL:
            if not is_float:
                continue
            reference, candidate = _new_extremes(reference, candidate)
        allowed = EQUAL
        if is_float:
            bits, length = sensitivity.precision_bits, sensitivity.reduction_length
            allowed = tolerance(bits, floats, length, sensitivity.num_reductions)
        apart = compare(reference, candidate, allowed)
        seen = Observation(
            name=name,
            reference=reference,
            candidate=candidate,
            allowed=allowed,
            difference=apart,
            has_jumps=sensitivity.has_jumps,
        )
        if not apart.is_within and judge.verdict(seen) is Verdict.MISMATCH:
            return f"{name!r}: {apart.num_mismatched} of {apart.num_elements}, {_first(reference, candidate)}"
    return ""


def _new_extremes(reference: np.ndarray, candidate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep the candidate only where it is infinite, NaN or 0 and the reference is well inside the range."""
    info = np.finfo(reference.dtype)
    size = np.abs(reference)
    is_inside = np.isfinite(reference) & (size > 16 * info.tiny) & (size < info.max / 16)
    is_extreme = ~np.isfinite(candidate) | (candidate == 0)
    return reference, np.where(is_inside & is_extreme, candidate, reference)


def _first(reference: np.ndarray, candidate: np.ndarray) -> str:
    """The first place where two arrays differ, in words."""
    one, two = reference.reshape(-1), candidate.reshape(-1)
    same = (one == two) | ((one != one) & (two != two))  # noqa: PLR0124  # NaN of every type
    place = int(np.argmin(same))
    return f"{two[place]!r} instead of {one[place]!r}"


def instrumented(model: onnx.ModelProto) -> bytes:
    """Return the model with every float of its main graph as an output."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return b""
    known = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    outputs = {value.name for value in model.graph.output}
    made = {name for node in model.graph.node for name in node.output}
    more = onnx.ModelProto()
    more.CopyFrom(model)
    for name, dtype in known.items():
        if dtype in _FLOATS and name in made and name not in outputs:
            more.graph.output.append(onnx.helper.make_tensor_value_info(name, dtype, None))
    return bytes(more.SerializeToString())


def is_regular(arrays: Mapping[str, np.ndarray]) -> bool:
    """Return whether every float is finite."""
    return all(bool(np.isfinite(array).all()) for array in arrays.values() if array.dtype.kind == "f")
