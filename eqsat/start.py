"""The first moments of a process that is a command; imports next to nothing, so that they are few."""

from __future__ import annotations

from eqsat import signals


def begin() -> None:
    """Let this process end in order whatever its parent has done with its streams, and whatever signal comes."""
    signals.end_at_once()
    from eqsat import streams

    streams.take_over()
