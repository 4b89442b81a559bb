"""Decoders of current language models that no rule was written for: rotary positions, grouped queries, gated layers.

As with :mod:`bench.architectures.held_out`, a rule must never be written to fit one of them.
"""

from __future__ import annotations

from typing import Any

import transformers
from torch import nn

from bench.architectures.held_out import text_sizes
from bench.architectures.language import Encoder
from bench.spec import Variant


def grouped(variant: Variant) -> dict[str, Any]:
    """Return the settings of a decoder in which queries share two heads of keys and values."""
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return text_sizes(variant) | ids | {"num_key_value_heads": 2, "use_cache": False}


def mistral(variant: Variant) -> nn.Module:
    """Return Mistral (Jiang et al. 2023, arXiv 2310.06825)."""
    return Encoder(transformers.MistralModel(transformers.MistralConfig(**grouped(variant))))


def qwen3(variant: Variant) -> nn.Module:
    """Return Qwen3 (Yang et al. 2025, arXiv 2505.09388): queries and keys are normalised."""
    return Encoder(transformers.Qwen3Model(transformers.Qwen3Config(head_dim=64, **grouped(variant))))


def olmo2(variant: Variant) -> nn.Module:
    """Return OLMo 2 (Walsh et al. 2025, arXiv 2501.00656): normalised after each part instead of before."""
    return Encoder(transformers.Olmo2Model(transformers.Olmo2Config(**grouped(variant))))


def granite(variant: Variant) -> nn.Module:
    """Return Granite 3 (Mishra et al. 2024, arXiv 2405.04324): scaled residuals, embeddings and attention."""
    config = transformers.GraniteConfig(
        residual_multiplier=0.22, embedding_multiplier=12.0, attention_multiplier=0.0156, **grouped(variant)
    )
    return Encoder(transformers.GraniteModel(config))


def gemma2(variant: Variant) -> nn.Module:
    """Return Gemma 2 (Riviere et al. 2024, arXiv 2408.00118): four normalisations a block, capped scores."""
    return Encoder(transformers.Gemma2Model(transformers.Gemma2Config(head_dim=32, **grouped(variant))))


def cohere(variant: Variant) -> nn.Module:
    """Return Command R (Cohere 2024): attention and feed-forward side by side, interleaved rotary positions."""
    return Encoder(transformers.CohereModel(transformers.CohereConfig(**grouped(variant))))


def phi3(variant: Variant) -> nn.Module:
    """Return Phi-3 (Abdin et al. 2024, arXiv 2404.14219): one product makes queries, keys and values."""
    return Encoder(transformers.Phi3Model(transformers.Phi3Config(**grouped(variant))))


def stablelm(variant: Variant) -> nn.Module:
    """Return StableLM 2 (Bellagente et al. 2024, arXiv 2402.17834): rotary positions in a quarter of each head."""
    return Encoder(transformers.StableLmModel(transformers.StableLmConfig(**grouped(variant))))
