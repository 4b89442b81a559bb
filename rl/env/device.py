"""Prices measured on this machine, for models of any opset, kept in a price database."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self, final

from eqsat.prices.database import PriceDatabase
from eqsat.prices.pricing import Pricer
from eqsat.runtime.runtime import Runtime
from eqsat.runtime.settings import CPU_PROVIDER, SessionSettings
from rl.env.prices import MeasuredPrices

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from rl.env.prices import PriceSource


@final
class Device:
    """The machine at hand; a context manager, whose end ends ONNX Runtime."""

    def __init__(self, database: Path | None, *, provider: str = CPU_PROVIDER, threads: int = 0) -> None:
        """Measure nothing yet.

        Args:
            database: Where latencies are kept; the user's own price database where it is left out.
            provider: ONNX Runtime's name of the provider.
            threads: Intra-op threads; 0 is ONNX Runtime's default.
        """
        self._runtime = Runtime()
        self._database = PriceDatabase(database)
        self._settings = SessionSettings(providers=(provider,), threads=threads)
        self._sources: dict[int, PriceSource] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._runtime.close()
        self._database.close()

    @property
    def name(self) -> str:
        """What models run on."""
        return self._runtime.device(self._settings.providers[0]).name

    def prices(self, opset: int) -> PriceSource:
        """Return the prices of models of an opset."""
        if opset not in self._sources:
            pricer = Pricer(
                runtime=self._runtime,
                database=self._database,
                settings=self._settings,
                opset=opset,
                now=time.time,
                clock=time.monotonic,
            )
            self._sources[opset] = MeasuredPrices(pricer)
        return self._sources[opset]
