"""Makes ONNX Runtime sessions and runs them. Only the child process imports this module."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import onnxruntime as ort

from eqsat.errors import ProviderError
from eqsat.runtime.errors import BrokenModelError, SessionFailedError, UnsupportedValueError
from eqsat.runtime.probe import probe_model
from eqsat.runtime.providers import SHORT_NAMES, provider_row
from eqsat.runtime.refusals import fact, is_broken
from eqsat.runtime.settings import CPU_PROVIDER, CUSTOM_OPS_FAILED, REFUSED, SessionSettings
from eqsat.runtime.values import tensors_of
from eqsat.runtime.wire import ELEMENT_TYPES, element_type
from eqsat.text.suggest import did_you_mean

_STATE = ort.capi.onnxruntime_pybind11_state
ORT_ERRORS: tuple[type[Exception], ...] = (
    _STATE.EngineError,
    _STATE.EPFail,
    _STATE.Fail,
    _STATE.InvalidArgument,
    _STATE.InvalidGraph,
    _STATE.InvalidProtobuf,
    _STATE.ModelLoaded,
    _STATE.NoModel,
    _STATE.NoSuchFile,
    _STATE.NotImplemented,
    _STATE.RuntimeException,
    RuntimeError,
    ValueError,
    TypeError,
)
"""All that ONNX Runtime's binding raises for a bad model or bad inputs; the first eleven share no base."""

FATAL = 4
"""Log severity at which a model that ONNX Runtime refuses is told by the exception alone."""

_BYTES_FROM_ORT = frozenset({16, 17, 18, 19, 20})
"""Element types whose OrtValue has no NumPy form: bfloat16 and the 8 bit floats."""


def create_session(
    model: str | bytes,
    settings: SessionSettings,
    *,
    profile_prefix: Path | None = None,
    optimized_path: Path | None = None,
) -> ort.InferenceSession:
    """Return a session with ONNX Runtime's own defaults, except that its idle threads sleep.

    Idle threads that spin would steal the cores from the other session of a comparison.

    Args:
        model: Path or bytes of the model.
        settings: Providers, threads, level, optimizers left out.
        profile_prefix: Start of the name of the profile, where one is wanted.
        optimized_path: Where the graph after ONNX Runtime's passes is written, weights beside it.

    Raises:
        ProviderError: A provider asked for is not available, or silently did not start.
        BrokenModelError: The model is broken.
        SessionFailedError: ONNX Runtime refuses the model for another reason.
    """
    built_in = ort.get_available_providers()
    missing = [name for name in settings.providers if name not in built_in]
    if missing:
        near = did_you_mean(missing[0], (*SHORT_NAMES, *built_in))
        raise ProviderError(f"this onnxruntime has no {', '.join(missing)}; {_there(usable_providers())}{near}")
    options = ort.SessionOptions()
    options.log_severity_level = FATAL
    options.intra_op_num_threads = settings.threads
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, settings.level.value)
    options.add_session_config_entry("session.force_spinning_stop", "1")
    for library in settings.custom_ops:
        try:
            options.register_custom_ops_library(library)
        except ORT_ERRORS as error:
            message = f"{REFUSED}: {CUSTOM_OPS_FAILED} {library} cannot be loaded: {fact(error)}"
            raise SessionFailedError(message) from error
    if profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile_prefix)
    if optimized_path is not None:
        options.optimized_model_filepath = str(optimized_path)
        weights = f"{optimized_path.stem}.weights"
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", weights)
        options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
    try:
        session = ort.InferenceSession(
            model,
            options,
            providers=list(settings.providers),
            disabled_optimizers=list(settings.disabled_optimizers),
            enable_fallback=0,
        )
    except ORT_ERRORS as error:
        if is_broken(error):
            raise BrokenModelError(f"not a valid ONNX model ({fact(error)})") from error
        raise SessionFailedError(f"{REFUSED}: {fact(error)}") from error
    idle = [name for name in settings.providers if name not in session.get_providers()]
    if idle:
        raise not_started(idle, "are the device, its driver and its libraries there?")
    return session


def not_started(providers: Sequence[str], why: str) -> ProviderError:
    """Return the error of providers that ONNX Runtime was built with and that do not start here."""
    usable = usable_providers()
    named = ", ".join(name for name in providers if name not in usable) or ", ".join(providers)
    return ProviderError(
        f"{named} of this onnxruntime does not start on this machine ({why.rstrip('.')}); {_there(usable)}"
    )


def _there(usable: Sequence[str]) -> str:
    return f"it has: {', '.join(ort.get_available_providers())}; of these start here: {', '.join(usable) or 'none'}"


def usable_providers() -> tuple[str, ...]:
    """Return the providers that really start here: ONNX Runtime also lists those it was only built with."""
    usable = []
    for provider in ort.get_available_providers():
        if provider == CPU_PROVIDER:
            usable.append(provider)
            continue
        options = ort.SessionOptions()
        options.log_severity_level = FATAL
        try:
            session = ort.InferenceSession(probe_model(), options, providers=[provider], enable_fallback=0)
        except ORT_ERRORS:
            continue
        if provider in session.get_providers():
            usable.append(provider)
    return tuple(usable)


def check_inputs(session: ort.InferenceSession) -> None:
    """Check that all inputs are tensors, which an optional may hold.

    Raises:
        UnsupportedValueError: One is not.
    """
    for value in session.get_inputs():
        if not value.type.removeprefix("optional(").startswith("tensor("):
            raise UnsupportedValueError(f"input {value.name!r} is a {value.type}; only tensors can be given")


@final
class Runner:
    """A session with its inputs in place, ready to be run again and again.

    Inputs and outputs are bound to the device where that is possible. It is not for strings, sequences, maps and
    optionals; and ONNX Runtime refuses a bound output whose declared shape the model contradicts, of which a plain run
    only warns. What cannot be bound is run plainly.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        feeds: Mapping[str, np.ndarray],
        providers: tuple[str, ...] = (CPU_PROVIDER,),
    ) -> None:
        """Bind the inputs the model has; other feeds are left out.

        Args:
            session: The session.
            feeds: Arrays by input name.
            providers: The session's providers; the first decides where inputs and outputs live.

        Raises:
            UnsupportedValueError: A graph input is no tensor.
            SessionFailedError: An input is missing, or ONNX Runtime refuses it.
        """
        check_inputs(session)
        self._session = session
        names = [value.name for value in session.get_inputs()]
        missing = [name for name in names if name not in feeds]
        if missing:
            raise SessionFailedError(f"the model's input {missing[0]!r} was given no value")
        self._feeds = {name: feeds[name] for name in names}
        self._outputs = [(value.name, value.type) for value in session.get_outputs()]
        self._binding: ort.IOBinding | None = None
        types = [value.type for value in (*session.get_inputs(), *session.get_outputs())]
        if all(type_.startswith("tensor(") and type_ != "tensor(string)" for type_ in types):
            self._binding = session.io_binding()
            device = provider_row(providers[0]).device
            try:
                self._values = {name: _ort_value(array, device) for name, array in self._feeds.items()}
                for name, value in self._values.items():
                    self._binding.bind_ortvalue_input(name, value)
                for name, _ in self._outputs:
                    self._binding.bind_output(name, device)
            except ORT_ERRORS as error:
                raise SessionFailedError(f"ONNX Runtime refuses an input: {fact(error)}") from error

    @property
    def is_bound(self) -> bool:
        """True where a run copies nothing from or to the device."""
        return self._binding is not None

    def unbind(self) -> None:
        """Run plainly from now on, as whatever this is compared with."""
        self._binding = None

    def run(self) -> None:
        """Run once, to the end; plainly from now on where ONNX Runtime refuses what is bound.

        Raises:
            SessionFailedError: ONNX Runtime failed.
        """
        if self._binding is not None:
            try:
                self._session.run_with_iobinding(self._binding)
            except ORT_ERRORS as error:
                self._run_unbound(error)
            return
        self._run_plainly()

    def outputs(self) -> dict[str, np.ndarray]:
        """Run once and return the outputs by name; those that are no tensors as :func:`.values.tensors_of` says.

        Raises:
            SessionFailedError: ONNX Runtime failed.
            UnsupportedValueError: An output cannot be given to Python.
        """
        if self._binding is not None:
            self.run()
        if self._binding is not None:
            values = self._binding.get_outputs()
            return {name: _array(name, value) for (name, _), value in zip(self._outputs, values, strict=True)}
        found: dict[str, np.ndarray] = {}
        for (name, type_), value in zip(self._outputs, self._run_plainly(), strict=True):
            found |= tensors_of(name, value, type_)
        return found

    def _run_unbound(self, refusal: Exception) -> None:
        try:
            self._session.run(None, self._feeds)
        except ORT_ERRORS:
            raise _failed(refusal) from refusal
        self.unbind()

    def _run_plainly(self) -> list[object]:
        try:
            values: list[object] = self._session.run(None, self._feeds)
        except ORT_ERRORS as error:
            raise _failed(error) from error
        return values


def _failed(error: Exception) -> SessionFailedError:
    return SessionFailedError(f"ONNX Runtime failed while running the model: {fact(error)}")


def _ort_value(array: np.ndarray, device: str) -> ort.OrtValue:
    number = element_type(array)
    if number in _BYTES_FROM_ORT:
        stored = array.view(np.uint16 if array.itemsize == 2 else np.uint8)
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(stored, number)
    return ort.OrtValue.ortvalue_from_numpy(array, device, 0)


def _array(name: str, value: ort.OrtValue) -> np.ndarray:
    number = value.element_type()
    if number not in ELEMENT_TYPES:
        raise UnsupportedValueError(f"output {name!r} is a {value.data_type()}, which cannot leave ONNX Runtime")
    if number not in _BYTES_FROM_ORT:
        array: np.ndarray = value.numpy()
        return array
    dtype: np.dtype[Any] = ELEMENT_TYPES[number]
    data = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return np.frombuffer(data, dtype=np.uint8).view(dtype).reshape(value.shape())
