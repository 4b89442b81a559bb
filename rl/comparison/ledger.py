"""Prices that are kept by what is measured, and counted: every search pays for what it asks."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, final

from typing_extensions import override

from eqsat.prices.beliefs import Kernel
from eqsat.prices.frugal import Meter
from eqsat.prices.micro import Cluster
from eqsat.prices.pricing import micro_or_price
from eqsat.prices.roofline import kernel, roofline_us
from ir.atomic_file import write_text
from rl.env.prices import PriceSource

if TYPE_CHECKING:
    from pathlib import Path

    from eqsat.egraph.session import Session
    from eqsat.prices.micro import MicroMaker


Clock: TypeAlias = "Callable[[], float]"
"""Tells seconds."""


@final
@dataclass(slots=True, kw_only=True)
class PriceBook:
    """Prices by what is measured for them: its operators, attributes and types.

    Attributes:
        source: Gives what is not known yet.
        known: Price in microseconds by digest.
        kernels: What these are prices of, as far as they came from ``source``.
        others: Prices of other models on the same device, in microseconds, and what they are of, by digest.
        measuring_s: Seconds that ``source`` took.
        clock: Seconds on a clock that only goes forward.
    """

    source: PriceSource
    known: dict[str, float] = field(default_factory=dict)
    kernels: dict[str, Kernel] = field(default_factory=dict)
    others: Mapping[str, tuple[Kernel, float]] = field(default_factory=dict)
    measuring_s: float = 0.0
    clock: Clock = time.monotonic

    def save(self, path: Path) -> None:
        """Write what is known; infinite prices, of what cannot run, as null."""
        rows = {name: us if math.isfinite(us) else None for name, us in sorted(self.known.items())}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(rows, indent=0) + "\n")

    def load(self, path: Path) -> None:
        """Add what a file knows; a file that is not there knows nothing."""
        if path.exists():
            rows = json.loads(path.read_text(encoding="utf-8"))
            self.known |= {name: math.inf if us is None else us for name, us in rows.items()}

    def price_us(self, session: Session, cluster: Cluster, maker: MicroMaker, digest: str) -> float:
        """Return the price of a cluster, from the source where it is not known."""
        if digest not in self.known:
            began = self.clock()
            self.known[digest] = self.source.price(session, [cluster], maker)[cluster]
            self.measuring_s += self.clock() - began
            self.kernels[digest] = Kernel(kernel(session, cluster), roofline_us(session, cluster, maker))
        return self.known[digest]

    def described(self) -> dict[str, tuple[Kernel, float]]:
        """Return the prices of which it is known what they are of, by digest."""
        return {digest: (found, self.known[digest]) for digest, found in self.kernels.items()}


@final
class Ledger(PriceSource, Meter):
    """The prices of one attempt, with a count of how many it asked for.

    What is asked beyond the allowance has a price that needs no measurement.

    Attributes:
        asked: Digests of what was measured for this attempt; measured before for another one counts too.
    """

    def __init__(self, book: PriceBook, *, allowance: float = math.inf, fallback: PriceSource | None = None) -> None:
        """Open an account.

        Args:
            book: The prices.
            allowance: Prices that may be measured.
            fallback: Prices beyond; needed where the allowance is finite.
        """
        self.asked: set[str] = set()
        self._book = book
        self._allowance = allowance
        self._fallback = fallback

    @property
    def is_spent(self) -> bool:
        """Whether nothing more may be measured."""
        return len(self.asked) >= self._allowance

    @override
    def price(self, session: Session, clusters: Sequence[Cluster], maker: MicroMaker) -> Mapping[Cluster, float]:
        return {cluster: self._price_us(session, cluster, maker) for cluster in clusters}

    @override
    def known(self, session: Session, clusters: Sequence[Cluster], maker: MicroMaker) -> Mapping[Cluster, float]:
        digests = {cluster: _flat_or_digest(cluster, maker) for cluster in clusters}
        return {
            cluster: self._price_us(session, cluster, maker)
            for cluster, found in digests.items()
            if isinstance(found, float) or found in self.asked
        }

    @override
    def measure(self, session: Session, cluster: Cluster, maker: MicroMaker) -> float:
        return self._price_us(session, cluster, maker)

    @override
    def describe(self, kernels: Mapping[str, Kernel]) -> None:
        """The book knows that itself."""

    @override
    def others(self, names: Collection[str]) -> Mapping[str, tuple[Kernel, float]]:
        """What this model has itself is left out, since a database that knows it has nothing to measure."""
        return {
            digest: (found, price_us)
            for digest, (found, price_us) in self._book.others.items()
            if found.name in names and digest not in self._book.known
        }

    def _price_us(self, session: Session, cluster: Cluster, maker: MicroMaker) -> float:
        digest = _flat_or_digest(cluster, maker)
        if isinstance(digest, float):
            return digest
        if digest not in self.asked and self.is_spent and self._fallback is not None:
            return self._fallback.price(session, [cluster], maker)[cluster]
        self.asked.add(digest)
        return self._book.price_us(session, cluster, maker, digest)


def _flat_or_digest(cluster: Cluster, maker: MicroMaker) -> float | str:
    """Return the price of what is never measured, or the digest of what is."""
    micro = micro_or_price(cluster, maker)
    if isinstance(micro, float):
        return micro
    return hashlib.sha1(micro.signature.encode(), usedforsecurity=False).hexdigest()[:16]


def clock_without_measuring(book: PriceBook, clock: Clock) -> Clock:
    """Return a clock that stands still while prices are measured: that is done once, for all attempts."""
    return lambda: clock() - book.measuring_s
