"""Architectures of the ``transformers`` library that no rule was written for, at sizes that are measured in minutes.

They say what the rules are worth on models that their authors did not look at. A rule must never be written to fit one
of them; where one shows that something general is missing, another takes its place here.
"""

from __future__ import annotations

from typing import Any

import transformers
from torch import Tensor, nn
from typing_extensions import override

from bench.architectures.language import Encoder
from bench.inputs import SMALL_VOCABULARY
from bench.spec import Variant

VOCABULARY = 30000


class ImageEncoder(nn.Module):
    """Image in, the last hidden state out."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @override
    def forward(self, image: Tensor) -> Tensor:
        """Map float32 [N, 3, H, W] to the float32 features of the last layer."""
        hidden: Tensor = self.model(pixel_values=image).last_hidden_state
        return hidden


class WaveEncoder(nn.Module):
    """Sound wave in, the last hidden state out."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @override
    def forward(self, wave: Tensor) -> Tensor:
        """Map float32 [N, samples] to float32 [N, T, hidden]."""
        hidden: Tensor = self.model(wave).last_hidden_state
        return hidden


def sizes(variant: Variant) -> dict[str, Any]:
    """Return the sizes that all transformers here share."""
    return {
        "hidden_size": variant.pick(128, 384),
        "num_hidden_layers": variant.layers(2, 6),
        "num_attention_heads": variant.pick(4, 6),
        "intermediate_size": variant.pick(256, 1536),
    }


def text_sizes(variant: Variant) -> dict[str, Any]:
    """Return the sizes of a language model."""
    return sizes(variant) | {"vocab_size": variant.pick(SMALL_VOCABULARY, VOCABULARY)}


def roberta(variant: Variant) -> nn.Module:
    """Return RoBERTa (Liu et al. 2019, arXiv 1907.11692)."""
    return Encoder(transformers.RobertaModel(transformers.RobertaConfig(**text_sizes(variant))))


def electra(variant: Variant) -> nn.Module:
    """Return ELECTRA (Clark et al. 2020, arXiv 2003.10555)."""
    return Encoder(
        transformers.ElectraModel(
            transformers.ElectraConfig(embedding_size=variant.pick(64, 128), **text_sizes(variant))
        )
    )


def deberta(variant: Variant) -> nn.Module:
    """Return DeBERTa v3 (He et al. 2021, arXiv 2111.09543)."""
    return Encoder(
        transformers.DebertaV2Model(
            transformers.DebertaV2Config(relative_attention=True, pos_att_type=["p2c", "c2p"], **text_sizes(variant))
        )
    )


def mpnet(variant: Variant) -> nn.Module:
    """Return MPNet (Song et al. 2020, arXiv 2004.09297)."""
    return Encoder(transformers.MPNetModel(transformers.MPNetConfig(**text_sizes(variant))))


def qwen2(variant: Variant) -> nn.Module:
    """Return Qwen2 (Yang et al. 2024, arXiv 2407.10671)."""
    return Encoder(
        transformers.Qwen2Model(transformers.Qwen2Config(num_key_value_heads=2, use_cache=False, **text_sizes(variant)))
    )


def gemma(variant: Variant) -> nn.Module:
    """Return Gemma (Mesnard et al. 2024, arXiv 2403.08295)."""
    return Encoder(
        transformers.GemmaModel(
            transformers.GemmaConfig(num_key_value_heads=2, head_dim=32, use_cache=False, **text_sizes(variant))
        )
    )


def phi(variant: Variant) -> nn.Module:
    """Return Phi-1.5 (Li et al. 2023, arXiv 2309.05463)."""
    return Encoder(transformers.PhiModel(transformers.PhiConfig(use_cache=False, **text_sizes(variant))))


def gpt_neox(variant: Variant) -> nn.Module:
    """Return GPT-NeoX (Black et al. 2022, arXiv 2204.06745)."""
    return Encoder(transformers.GPTNeoXModel(transformers.GPTNeoXConfig(use_cache=False, **text_sizes(variant))))


def beit(variant: Variant) -> nn.Module:
    """Return BEiT (Bao et al. 2021, arXiv 2106.08254)."""
    return ImageEncoder(
        transformers.BeitModel(transformers.BeitConfig(image_size=variant.pick(64, 224), **sizes(variant)))
    )


def dinov2(variant: Variant) -> nn.Module:
    """Return DINOv2 (Oquab et al. 2023, arXiv 2304.07193)."""
    return ImageEncoder(
        transformers.Dinov2Model(
            transformers.Dinov2Config(image_size=variant.pick(64, 224), patch_size=16, **sizes(variant))
        )
    )


def clip_vision(variant: Variant) -> nn.Module:
    """Return the image side of CLIP (Radford et al. 2021, arXiv 2103.00020)."""
    return ImageEncoder(
        transformers.CLIPVisionModel(
            transformers.CLIPVisionConfig(image_size=variant.pick(64, 224), patch_size=16, **sizes(variant))
        )
    )


def segformer(variant: Variant) -> nn.Module:
    """Return the encoder of SegFormer-B0 (Xie et al. 2021, arXiv 2105.15203)."""
    del variant
    return ImageEncoder(transformers.SegformerModel(transformers.SegformerConfig()))


def poolformer(variant: Variant) -> nn.Module:
    """Return PoolFormer-S12 (Yu et al. 2021, arXiv 2111.11418)."""
    del variant
    return ImageEncoder(transformers.PoolFormerModel(transformers.PoolFormerConfig()))


def mobilevit(variant: Variant) -> nn.Module:
    """Return MobileViT-S (Mehta and Rastegari 2021, arXiv 2110.02178)."""
    return ImageEncoder(transformers.MobileViTModel(transformers.MobileViTConfig(image_size=variant.pick(64, 224))))


def convnext_v2(variant: Variant) -> nn.Module:
    """Return ConvNeXt v2 (Woo et al. 2023, arXiv 2301.00808)."""
    del variant
    return ImageEncoder(
        transformers.ConvNextV2Model(
            transformers.ConvNextV2Config(hidden_sizes=[48, 96, 192, 384], depths=[2, 2, 6, 2])
        )
    )


def levit(variant: Variant) -> nn.Module:
    """Return LeViT-128S (Graham et al. 2021, arXiv 2104.01136)."""
    del variant
    return ImageEncoder(transformers.LevitModel(transformers.LevitConfig()))


def wav2vec2(variant: Variant) -> nn.Module:
    """Return wav2vec 2.0 (Baevski et al. 2020, arXiv 2006.11477)."""
    config = transformers.Wav2Vec2Config(conv_dim=(variant.pick(64, 256),) * 7, **sizes(variant))
    return WaveEncoder(transformers.Wav2Vec2Model(config))
