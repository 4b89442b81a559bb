"""Prices of e-nodes: measured on the device, once for everything that looks the same, kept in the price database."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, final

from eqsat.egraph.enode import OPAQUE, STRUCTURE
from eqsat.prices.account import PriceAccount
from eqsat.prices.database import PriceKey, StoredPrice
from eqsat.prices.micro import Cluster, Micro, MicroMaker, UnpriceableError, feeds_for
from eqsat.runtime.errors import MeasurementError
from ir.inference import TypeInferenceError
from ir.operators import OPERATORS
from ir.writer import UnwritableError

if TYPE_CHECKING:
    from eqsat.prices.beliefs import Kernel
    from eqsat.prices.database import PriceDatabase
    from eqsat.runtime.measurements import Price
    from eqsat.runtime.runtime import Runtime
    from eqsat.runtime.settings import SessionSettings

VIEWS: Final = frozenset({"Reshape", "Identity", "Dropout"})
"""Operators that move no data inside a model, though alone in a micro-model they would have to copy."""

VIEW_US: Final = 1.0
"""Price of a view, an assumption: about what the executor takes to start a node. Opaque nodes cost the same."""

MAX_CONSTANT_BYTES: Final = 2**30
"""Constants of a micro-model beyond which its price is a guess: protobuf ends at 2 GiB, and several copies are made."""

UNMEASURED_BYTES_PER_US: Final = 4000.0
"""Memory traffic assumed where a price could not be measured in time."""


MEASURING_S: Final = 0.15
"""Seconds for the runs of one micro-model."""

MIN_RUNS: Final = 45
"""Of one micro-model; its sessions share them."""

YARDSTICK: Final = "yardstick"
"""Signature under which it is kept how fast the device was when it was first measured; no micro-model has it."""

MOST_DRIFT: Final = 100.0
"""No device becomes so many times faster or slower: what was kept of the yardstick then is not of this device."""

MOST_OTHERS: Final = 200
"""Prices of one kernel from which others are foretold, the latest ones: more tell little more."""


@final
class Pricer:
    """Prices clusters of e-nodes; what it has seen once it knows, whatever session asks.

    Attributes:
        measuring_s: Seconds spent on measurements so far.
    """

    def __init__(
        self,
        *,
        runtime: Runtime,
        database: PriceDatabase,
        settings: SessionSettings,
        opset: int,
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        """Make a pricer; nothing is measured yet.

        Args:
            runtime: Measures micro-models.
            database: Keeps prices between runs.
            settings: How the user will run the model.
            opset: Version of the default domain.
            now: Seconds since 1970, for the age of stored prices.
            clock: Seconds on a clock that only goes forward, for the deadline.
        """
        self.measuring_s = 0.0
        self._runtime = runtime
        self._database = database
        self._settings = settings
        self._opset = opset
        self._now = now
        self._clock = clock
        self._device = runtime.device(settings.providers[0])
        self._yardstick_us: float | None = None
        self._known: dict[str, float] = {}
        self._counts = {"measured": 0, "cached": 0, "failed": 0, "assumed": 0}

    @property
    def account(self) -> PriceAccount:
        """Where the prices came from so far."""
        return PriceAccount(**{f"num_{name}": count for name, count in self._counts.items()})

    def price(
        self,
        clusters: Iterable[Cluster],
        maker: MicroMaker,
        *,
        deadline: float = math.inf,
        on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> dict[Cluster, float]:
        """Return the price of each cluster in microseconds; infinite where ONNX Runtime cannot run it.

        Args:
            clusters: What to price.
            maker: Makes their micro-models.
            deadline: Point on the clock after which nothing is measured any more: sizes decide then.
            on_progress: Is told how many of how many distinct prices are known.
        """
        prices, pending = self._looked_up(clusters, maker)
        missing: dict[str, Micro] = {}
        for micro in pending.values():
            if micro.signature not in self._known:
                missing.setdefault(micro.signature, micro)
        assumed: dict[str, float] = {}
        for done, micro in enumerate(missing.values()):
            on_progress(done, len(missing))
            began = self._clock()
            if began < deadline:
                self._measure(micro)
                self.measuring_s += self._clock() - began
            else:
                assumed[micro.signature] = _assumed_us(micro)
                self._counts["assumed"] += 1
        for cluster, micro in pending.items():
            found = self._known.get(micro.signature)
            prices[cluster] = assumed[micro.signature] if found is None else found
        return prices

    def known(self, clusters: Iterable[Cluster], maker: MicroMaker) -> dict[Cluster, float]:
        """Return the prices of those clusters that need no measurement any more, or never do.

        Args:
            clusters: What to price.
            maker: Makes their micro-models.
        """
        prices, pending = self._looked_up(clusters, maker)
        known = ((cluster, self._known.get(micro.signature)) for cluster, micro in pending.items())
        return prices | {cluster: price for cluster, price in known if price is not None}

    def describe(self, kernels: Mapping[str, Kernel]) -> None:
        """Keep what prices are of, beside them.

        Args:
            kernels: By signature.
        """
        self._database.describe(kernels)

    def others(self, names: Iterable[str]) -> dict[str, tuple[Kernel, float]]:
        """Return prices that were measured on this device in the same way, for whatever model, by signature.

        Args:
            names: Names of the kernels that are of interest.
        """
        return self._database.of_kernels(self._key(""), names, MOST_OTHERS)

    def _key(self, signature: str) -> PriceKey:
        return PriceKey(
            signature=signature,
            provider=self._device.provider,
            device=self._device.name,
            threads=self._settings.threads,
            level=str(self._settings.level),
            ort_version=self._device.ort_version,
        )

    def _looked_up(
        self, clusters: Iterable[Cluster], maker: MicroMaker
    ) -> tuple[dict[Cluster, float], dict[Cluster, Micro]]:
        """Return the prices of what is never measured and the micro-models of the rest; learn what is stored."""
        prices: dict[Cluster, float] = {}
        pending: dict[Cluster, Micro] = {}
        for cluster in clusters:
            micro = micro_or_price(cluster, maker)
            if isinstance(micro, float):
                prices[cluster] = micro
            else:
                pending[cluster] = micro
        wanted = dict.fromkeys(micro.signature for micro in pending.values() if micro.signature not in self._known)
        keys = {self._key(signature): signature for signature in wanted}
        for key, stored in self._database.get_many(keys).items():
            self._known[keys[key]] = stored.latency_us
            self._counts["cached"] += 1
        return prices, pending

    def _measure(self, micro: Micro) -> None:
        try:
            model = micro.build(self._opset)
            measured = self._runtime.price(
                model.proto,
                feeds_for(model),
                self._settings,
                max_seconds=MEASURING_S,
                min_runs=MIN_RUNS,
            )
        except (MeasurementError, UnwritableError, TypeInferenceError):
            self._known[micro.signature] = math.inf
            self._counts["failed"] += 1
            return
        latency_us = measured.without_us() * self._reference_us(measured) / measured.yardstick_us
        self._known[micro.signature] = latency_us
        self._counts["measured"] += 1
        self._keep(micro.signature, latency_us, measured)

    def _reference_us(self, measured: Price) -> float:
        """Return what the yardstick took when this device was first measured: all prices are as of then."""
        if self._yardstick_us is None:
            key = self._key(YARDSTICK)
            stored = self._database.get_many([key]).get(key)
            now_us = measured.yardstick_us
            if stored is not None and now_us / MOST_DRIFT <= stored.latency_us <= now_us * MOST_DRIFT:
                self._yardstick_us = stored.latency_us
            else:
                self._yardstick_us = now_us
                self._keep(YARDSTICK, now_us, measured)
        return self._yardstick_us

    def _keep(self, signature: str, latency_us: float, measured: Price) -> None:
        stored = StoredPrice(
            latency_us=latency_us,
            spread=measured.spread,
            num_runs=measured.num_runs,
            measured_at=self._now(),
        )
        self._database.put_many({self._key(signature): stored})


def flat_price(cluster: Cluster) -> float | None:
    """Return the price of structure, of a view and of a node that nobody can look into; None of all else.

    Args:
        cluster: What to price.
    """
    operator = cluster.enodes[0].operator
    if operator in STRUCTURE:
        return 0.0
    return VIEW_US if operator == OPAQUE or operator in VIEWS else None


def micro_or_price(cluster: Cluster, maker: MicroMaker) -> Micro | float:
    """Return what to measure for a cluster, or the price of one that is never measured.

    That is structure, a view, a node that nobody can look into, what has no type or no size, and what has constants
    that no message to ONNX Runtime can hold.

    Args:
        cluster: What to price.
        maker: Makes micro-models.
    """
    flat = flat_price(cluster)
    if flat is not None:
        return flat
    try:
        micro = maker.micro(cluster)
    except UnpriceableError:
        return VIEW_US
    return micro if micro.constant_bytes <= MAX_CONSTANT_BYTES else _assumed_us(micro)


def _assumed_us(micro: Micro) -> float:
    """A guess by the elements that go through, for what was not measured in time."""
    elements = sum(math.prod(type_.shape) for type_ in micro.inputs.values())
    elements += sum(math.prod(type_.shape) for type_, _ in micro.constants.values())
    heavy = sum(OPERATORS[node.operator].name in {"Conv", "MatMul", "Gemm"} for node in micro.nodes)
    return VIEW_US + 4 * elements * (1 + 8 * heavy) / UNMEASURED_BYTES_PER_US
