"""Where the prices of a run came from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceAccount:
    """Where the prices of a run came from, distinct ones.

    Attributes:
        num_measured: Measured in this run.
        num_cached: Found in the price database.
        num_failed: Could not be measured: ONNX Runtime refused or crashed.
        num_assumed: Not measured: nothing depended on them, or time was short.
    """

    num_measured: int
    num_cached: int
    num_failed: int
    num_assumed: int
