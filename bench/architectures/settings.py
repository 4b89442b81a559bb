"""Settings that every configuration of the ``transformers`` library takes, though its types do not list them."""

from __future__ import annotations

from typing import Any

from bench.spec import Variant

LABELS: dict[str, Any] = {"num_labels": 1000}
"""The classes of ImageNet."""


def attention(variant: Variant) -> dict[str, Any]:
    """Return the setting for the implementation of attention."""
    return {"attn_implementation": variant.attention.value}
