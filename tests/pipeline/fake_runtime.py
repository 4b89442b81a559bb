"""A runtime whose times are tables: what an operator costs alone, and what it costs in a whole model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import onnx

from eqsat.runtime import (
    Comparison,
    Contender,
    ContenderResult,
    Device,
    Kernel,
    Profile,
    Runtime,
    SessionFailedError,
    SessionSettings,
    StopReason,
)
from tests.verify.models import InProcessRunner


class FakeRuntime:
    """Runs models really, measures them by table, and remembers what it was asked.

    Attributes:
        alone_us: Price of an operator in a micro-model; 10 us where it is not named.
        whole_us: The same in a whole model; as alone where it is not named.
        interval: Relative half width of every interval.
        failing: Operators whose models are refused.
        fingerprint: What models are told apart by.
        stop_reason: Why every test ends.
        num_priced: Micro-models that were measured.
        compared: The operators of both models of every test.
        slowness: By how much the device is slower just now than it can be.
    """

    def __init__(
        self,
        alone_us: Mapping[str, float] | None = None,
        whole_us: Mapping[str, float] | None = None,
        interval: float = 0.001,
        failing: frozenset[str] = frozenset(),
    ) -> None:
        self.alone_us = dict(alone_us or {})
        self.whole_us = {**self.alone_us, **(whole_us or {})}
        self.interval = interval
        self.failing = failing
        self.fingerprint: Callable[[onnx.ModelProto], str] = lambda model: " ".join(
            node.SerializeToString().hex() for node in model.graph.node
        )
        self.stop_reason = StopReason.DECIDED
        self.num_priced = 0
        self.compared: list[tuple[list[str], list[str]]] = []
        self.on_compare: Callable[[], None] = lambda: None
        self.on_price: Callable[[], None] = lambda: None
        self.slowness: Callable[[], float] = lambda: 1.0
        self._runner = InProcessRunner()

    def as_runtime(self) -> Runtime:
        return cast("Runtime", self)

    def require_providers(self, providers: Sequence[str]) -> None:
        assert providers

    def device(self, provider: str) -> Device:
        return Device(provider=provider, name="table", ort_version="0")

    def outputs(self, model: Path, feeds: Mapping[str, np.ndarray], settings: SessionSettings) -> dict[str, np.ndarray]:
        return self._runner.outputs(model, feeds, settings)

    def price(
        self,
        model: bytes,
        feeds: Mapping[str, np.ndarray],
        settings: SessionSettings,
        *,
        max_seconds: float,
        min_runs: int,
    ) -> Profile:
        self.num_priced += 1
        self.on_price()
        proto = onnx.load_model_from_string(model)
        self._refuse(proto)
        onnx.checker.check_model(proto)
        slowness = self.slowness()
        latency_us = slowness * sum(self.alone_us.get(node.op_type, 10.0) for node in proto.graph.node)
        kernel = Kernel(name="", op_type="All", provider="table", latency_us=latency_us)
        return Profile(
            kernel_us=latency_us,
            wall_us=latency_us,
            yardstick_us=slowness,
            spread=0.0,
            num_runs=min_runs,
            kernels=(kernel,),
        )

    def optimized_fingerprint(self, model: Path, settings: SessionSettings) -> str:
        proto = onnx.load_model(model)
        self._refuse(proto)
        return self.fingerprint(proto) + settings.level + "".join(settings.disabled_optimizers)

    def compare(
        self,
        contenders: Sequence[Contender],
        feeds: Mapping[str, np.ndarray],
        *,
        num_pairs: int = 16,
        rounds: int = 15,
        seed: int = 0,
        deadline: float | None = None,
        on_pair: Callable[[int, int], None] = lambda *_: None,
    ) -> Comparison:
        self.on_compare()
        on_pair(1, num_pairs)
        times_us = [self.time_us(each) for each in contenders]
        operators = [[node.op_type for node in onnx.load_model(each.path).graph.node] for each in contenders]
        self.compared.extend((operators[0], each) for each in operators[1:])
        results = {
            index: ContenderResult(
                speedup=times_us[0] / time_us,
                speedup_low=times_us[0] / time_us * (1 - self.interval if index else 1),
                speedup_high=times_us[0] / time_us * (1 + self.interval if index else 1),
                latency_us=time_us,
                num_pairs=num_pairs,
            )
            for index, time_us in enumerate(times_us)
        }
        return Comparison(results=results, num_pairs=num_pairs, rounds=rounds, stop_reason=self.stop_reason)

    def peak_memory_bytes(self, model: Path, feeds: Mapping[str, np.ndarray], settings: SessionSettings) -> int:
        return model.stat().st_size

    def close(self) -> None:
        pass

    def latency_us(self, contender: Contender, feeds: Mapping[str, np.ndarray], *, seed: int = 0) -> float:
        return self.time_us(contender)

    def time_us(self, contender: Contender) -> float:
        nodes = onnx.load_model(contender.path).graph.node
        return 1.0 + sum(self.whole_us.get(node.op_type, 10.0) for node in nodes)

    def _refuse(self, proto: onnx.ModelProto) -> None:
        for node in proto.graph.node:
            if node.op_type in self.failing:
                raise SessionFailedError(f"{node.op_type} is refused")
